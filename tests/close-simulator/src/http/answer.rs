//! From a request to its answer, without a connection: what the server sends and what a test may call directly.

use serde_json::Value as Json;

use super::collection::{Deed, Handler};
use super::request::Request;
use super::router::{Route, route};
use super::{auth, list, object};
use crate::Simulator;
use crate::model::Refusal;
use crate::world::change::{Actor, Change};
use crate::world::people::Caller;
use crate::world::view::View;

/// A complete answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Beyond content type and length; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Its type; empty for none.
    pub content_type: &'static str,
}

impl Answer {
    /// JSON that is written already.
    pub fn json_bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, content_type: "application/json", ..Self::default() }
    }

    /// JSON.
    pub fn json(status: u16, body: &Json) -> Self {
        Self::json_bytes(status, serde_json::to_vec(body).expect("JSON can be written"))
    }

    /// No body.
    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status(), &refusal.body())
    }
}

/// Where the API begins.
pub const ROOT: &str = "/api/v1/";

/// Answers a request of the API: credentials, limits, route, handler.
pub fn answer(simulator: &Simulator, mut request: Request) -> Answer {
    if request.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Refusal::bad("Chunked transfer encoding is not supported; send Content-Length.").into();
    }
    if let Some(refusal) = override_method(&mut request) {
        return refusal.into();
    }
    if let Some(answer) = auth::oauth(simulator, &request) {
        return answer;
    }
    // Clients that join paths carelessly send double slashes, which the vendor's ingress folds.
    while request.path.contains("//") {
        request.path = request.path.replace("//", "/");
    }
    let Some(path) = request.path.strip_prefix(ROOT).map(|path| path.trim_matches('/').to_owned()) else {
        return Refusal::Missing("The requested URL was not found on the server.".to_owned()).into();
    };
    let found = route(&path);
    if found.is_some() && !request.path.ends_with('/') {
        return redirect(&request, simulator.world.read().switches.write_redirect_status);
    }
    let caller = auth::caller(&simulator.world.read(), &request);
    let group = group(&path, &request.method);
    let verdict = simulator.limits.check(
        &group,
        caller.as_ref().map(|caller| caller.name.as_str()),
        &request,
        &simulator.world.read().switches,
    );
    if let Some(refused) = verdict.refused {
        return refused;
    }
    let mut answer = match (caller, found) {
        (None, _) => Answer {
            headers: vec![("www-authenticate", "Basic realm=\"api\"".to_owned())],
            ..Refusal::Status(401, "Unauthorized".to_owned()).into()
        },
        (Some(_), None) => Refusal::Missing("The requested URL was not found on the server.".to_owned()).into(),
        (Some(caller), Some(found)) => serve(simulator, &caller, found, &mut request).unwrap_or_else(Answer::from),
    };
    answer.headers.extend(verdict.headers);
    answer
}

fn serve(simulator: &Simulator, caller: &Caller, found: Route, request: &mut Request) -> Result<Answer, Refusal> {
    let method = request.method.as_str();
    match found {
        Route::Endpoints(endpoints, segments) => {
            request.segments = segments;
            let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
            if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.method == method) {
                return match endpoint.handler {
                    Handler::Read(read) => {
                        let world = simulator.read();
                        read(&View::of(&world, caller), caller, request)
                    }
                    Handler::Write(write) => simulator.change(caller, request, write),
                };
            }
            // An endpoint may share its path with a collection that serves the other methods.
            let path = request.path.trim_start_matches(ROOT).trim_matches('/').to_owned();
            match super::router::collection(&path) {
                Some(collection) => collection_list(simulator, caller, collection, request),
                None => {
                    match path.rsplit_once('/').and_then(|(path, id)| Some((super::router::collection(path)?, id.to_owned()))) {
                        Some((collection, id)) => collection_object(simulator, caller, collection, &id, request),
                        None => Err(not_allowed()),
                    }
                }
            }
        }
        Route::List(collection) => {
            let _ = method;
            collection_list(simulator, caller, collection, request)
        }
        Route::Object(collection, id) => collection_object(simulator, caller, collection, &id, request),
    }
}

fn collection_list(
    simulator: &Simulator,
    caller: &Caller,
    collection: &super::Collection,
    request: &Request,
) -> Result<Answer, Refusal> {
    if !object::serves(collection, &request.method, false) {
        return Err(not_allowed());
    }
    if request.method == "POST" {
        return simulator.change(caller, request, |change, request| object::create(change, collection, request));
    }
    let world = simulator.read();
    let view = View::of(&world, caller);
    object::permit(&view, caller, collection, Deed::Read, None)?;
    list::list(&view, collection, request)
}

fn collection_object(
    simulator: &Simulator,
    caller: &Caller,
    collection: &super::Collection,
    id: &str,
    request: &Request,
) -> Result<Answer, Refusal> {
    if !object::serves(collection, &request.method, true) {
        return Err(not_allowed());
    }
    match request.method.as_str() {
        "GET" | "HEAD" => {
            let world = simulator.read();
            object::get(&View::of(&world, caller), caller, collection, id, request)
        }
        "DELETE" => simulator.change(caller, request, |change, _| object::delete(change, collection, id)),
        _ => simulator.change(caller, request, |change, request| object::update(change, collection, id, request)),
    }
}

fn not_allowed() -> Refusal {
    Refusal::Status(405, "The method is not allowed for the requested URL.".to_owned())
}

/// The endpoint group of a path and method: URL prefix and method (reference, section 3.1).
pub fn group(path: &str, method: &str) -> String {
    let prefix = match route(path) {
        Some(Route::List(collection) | Route::Object(collection, _)) => collection.path,
        Some(Route::Endpoints(endpoints, _)) => endpoints[0].path,
        None => path.split('/').next().unwrap_or(""),
    };
    format!("{method} {prefix}")
}

/// `x-http-method-override: GET` on a POST: the query comes in the body (reference, section 1.1).
fn override_method(request: &mut Request) -> Option<Refusal> {
    if request.method != "POST" || !request.header("x-http-method-override")?.eq_ignore_ascii_case("GET") {
        return None;
    }
    let body = match request.json() {
        Ok(body) => body,
        Err(refusal) => return Some(refusal),
    };
    if let Some(Json::Object(params)) = body.map.get("_params") {
        for (name, value) in params {
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                other => other.to_string(),
            };
            request.params.push((name.clone(), text));
        }
    }
    request.method.clear();
    request.method.push_str("GET");
    request.body = bytes::Bytes::new();
    None
}

fn redirect(request: &Request, write_status: u16) -> Answer {
    let mut location = format!("{}/", request.path);
    if !request.params.is_empty() {
        location.push('?');
        location.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.params).finish());
    }
    // After a 301 most clients repeat a POST as a GET without its body, which is how writes without the slash are lost.
    let status = if matches!(request.method.as_str(), "GET" | "HEAD") { 301 } else { write_status };
    Answer { headers: vec![("location", location)], ..Answer::empty(status) }
}

impl Simulator {
    /// Changes the organization as a caller.
    pub fn change(
        &self,
        caller: &Caller,
        request: &Request,
        write: impl FnOnce(&mut Change<'_>, &Request) -> Result<Answer, Refusal>,
    ) -> Result<Answer, Refusal> {
        let mut world = self.world.write();
        world.catch_up();
        let actor = Actor::caller(caller.clone(), &request.method, &request.path);
        let answer = write(&mut Change::begin(&mut world, actor), request);
        drop(world);
        self.wake.notify_waiters();
        answer
    }
}
