//! From a request to its answer, without a connection: the server sends it, and a test may call it directly.

use std::borrow::Cow;

use parking_lot::RwLockReadGuard;
use serde_json::Value as Json;

use super::{
    auth,
    collection::{Collection, Deed, Handler},
    group::{Group, Who},
    list, object,
    request::Request,
    router::{self, Route, route},
};
use crate::{
    Simulator,
    model::Refusal,
    world::{
        World,
        change::{Actor, Change},
        people::Caller,
        view::View,
    },
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Headers other than content type and length; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Empty if the body has no type.
    pub content_type: &'static str,
}

impl Answer {
    /// JSON that is already serialized.
    pub fn json_bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, content_type: "application/json", ..Self::default() }
    }

    pub fn json(status: u16, body: &Json) -> Self {
        Self::json_bytes(status, serde_json::to_vec(body).expect("JSON can be written"))
    }

    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status(), &refusal.body())
    }
}

/// The root of the API.
pub const ROOT: &str = "/api/v1/";
/// The path of the API description (reference, section 1.1).
const OPENAPI: &str = "/api/openapi.json";

/// Answers a request of the API. Never panics: a bug inside becomes a 500 and a log line, and the next request is
/// served.
pub fn answer(simulator: &Simulator, request: Request) -> Answer {
    guarded(simulator, || attempt(simulator, request))
}

/// Returns the answer, or 500 if computing it panics.
pub fn guarded(simulator: &Simulator, answer: impl FnOnce() -> Answer) -> Answer {
    // The locks do not poison, and what a change stored before the panic stays: the simulator continues and reports the
    // bug.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        tracing::error!("a request broke the simulator: see the panic above; what it had changed until then stays");
        simulator.world.write().clock.hold(None);
        Refusal::Status(500, "Internal server error.".to_owned()).into()
    })
}

/// Checks credentials, limits and route, runs the handler, and counts the request.
fn attempt(simulator: &Simulator, mut request: Request) -> Answer {
    if request.header("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked")) {
        return Refusal::bad("Chunked transfer encoding is not supported; send Content-Length.").into();
    }
    if let Some(refusal) = override_method(&mut request) {
        return refusal.into();
    }
    if let Some(answer) = auth::oauth(simulator, &request) {
        return answer;
    }
    let Some(path) = inner_path(&request.path).map(Cow::into_owned) else {
        if request.path.trim_end_matches('/') == OPENAPI {
            return Answer::json(200, crate::describe::openapi());
        }
        return not_found().into();
    };
    let found = route(&path);
    let group = Group::of(&request.method, found.as_ref());
    let world = simulator.read();
    if request.url_length > world.switches.max_url {
        return Refusal::Status(414, "The requested URL is too long.".to_owned()).into();
    }
    let slash = request.path.ends_with('/');
    if request.path.contains("//") {
        // Clients that join paths carelessly send double slashes; the vendor's ingress collapses them.
        request.path = format!("{ROOT}{path}{}", if slash { "/" } else { "" });
    }
    if found.is_some() && !slash {
        return redirect(&request, world.switches.write_redirect_status);
    }
    if request.method == "OPTIONS" && found.is_some() {
        return Answer { headers: vec![("allow", allowed(&path))], ..Answer::empty(200) };
    }
    let caller = auth::caller(&world, &request);
    let who = Who::of(caller.as_ref(), request.peer);
    let verdict = simulator.limits.take(group, who, caller.as_ref(), &world.switches);
    let answer = match (verdict.refused, &caller, found) {
        (Some(refused), _, _) => refused,
        (None, None, _) => Answer {
            headers: vec![("www-authenticate", "Basic realm=\"api\"".to_owned())],
            ..Refusal::Status(401, "Unauthorized".to_owned()).into()
        },
        (None, Some(_), None) => not_found().into(),
        (None, Some(_), Some(_)) if wrong_media_type(&world, &request) => {
            Refusal::Status(415, "Unsupported media type: the request body must be application/json.".to_owned()).into()
        }
        (None, Some(caller), Some(found)) => {
            serve(simulator, world, caller, found, &path, &mut request).unwrap_or_else(Answer::from)
        }
    };
    simulator.counters.count(group, who, caller.as_ref(), answer.status);
    Answer { headers: answer.headers.into_iter().chain(verdict.headers).collect(), ..answer }
}

/// The part of a path after `/api/v1/`, without slashes at its ends and without double slashes; `None` for other paths.
pub fn inner_path(path: &str) -> Option<Cow<'_, str>> {
    let mut path = Cow::Borrowed(path);
    while path.contains("//") {
        path = Cow::Owned(path.replace("//", "/"));
    }
    match path {
        Cow::Borrowed(path) => path.strip_prefix(ROOT).map(|path| Cow::Borrowed(path.trim_matches('/'))),
        Cow::Owned(path) => path.strip_prefix(ROOT).map(|path| Cow::Owned(path.trim_matches('/').to_owned())),
    }
}

fn serve(
    simulator: &Simulator,
    world: RwLockReadGuard<'_, World>,
    caller: &Caller,
    found: Route,
    path: &str,
    request: &mut Request,
) -> Result<Answer, Refusal> {
    match found {
        Route::Endpoints(endpoints, segments) => {
            request.segments = segments;
            let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
            if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.method == method) {
                return match endpoint.handler {
                    Handler::Read(read) => read(&View::of(&world, caller), caller, request),
                    Handler::Write(write) => {
                        drop(world);
                        simulator.change(caller, request, write)
                    }
                };
            }
            // An endpoint may share its path with a collection that serves the other methods.
            if let Some(collection) = router::collection(path) {
                return collection_list(simulator, world, caller, collection, path, request);
            }
            match path.rsplit_once('/').and_then(|(path, id)| Some((router::collection(path)?, id))) {
                Some((collection, id)) => collection_object(simulator, world, caller, collection, id, path, request),
                None => Ok(not_allowed(path)),
            }
        }
        Route::List(collection) => collection_list(simulator, world, caller, collection, path, request),
        Route::Object(collection, id) => collection_object(simulator, world, caller, collection, &id, path, request),
    }
}

fn collection_list(
    simulator: &Simulator,
    world: RwLockReadGuard<'_, World>,
    caller: &Caller,
    collection: &Collection,
    path: &str,
    request: &Request,
) -> Result<Answer, Refusal> {
    if !object::serves(collection, &request.method, false) {
        return Ok(not_allowed(path));
    }
    if request.method == "POST" {
        drop(world);
        return simulator.change(caller, request, |change, request| object::create(change, collection, request));
    }
    let view = View::of(&world, caller);
    object::permit(&view, caller, collection, Deed::Read, None)?;
    list::list(&view, collection, request)
}

fn collection_object(
    simulator: &Simulator,
    world: RwLockReadGuard<'_, World>,
    caller: &Caller,
    collection: &Collection,
    id: &str,
    path: &str,
    request: &Request,
) -> Result<Answer, Refusal> {
    if !object::serves(collection, &request.method, true) {
        return Ok(not_allowed(path));
    }
    if matches!(request.method.as_str(), "GET" | "HEAD") {
        return object::get(&View::of(&world, caller), caller, collection, id, request);
    }
    drop(world);
    match request.method.as_str() {
        "DELETE" => simulator.change(caller, request, |change, _| object::delete(change, collection, id)),
        _ => simulator.change(caller, request, |change, request| object::update(change, collection, id, request)),
    }
}

fn not_found() -> Refusal {
    Refusal::Missing("The requested URL was not found on the server.".to_owned())
}

fn not_allowed(path: &str) -> Answer {
    let refusal = Refusal::Status(405, "The method is not allowed for the requested URL.".to_owned());
    Answer { headers: vec![("allow", allowed(path))], ..refusal.into() }
}

/// The methods that a path serves, in the form of the `allow` header.
fn allowed(path: &str) -> String {
    let mut methods: Vec<&str> = match route(path) {
        Some(Route::Endpoints(endpoints, _)) => endpoints.iter().map(|endpoint| endpoint.method).collect(),
        _ => Vec::new(),
    };
    let collection = router::collection(path).map(|collection| (collection, false));
    let object = || Some((router::collection(path.rsplit_once('/')?.0)?, true));
    if let Some((collection, single)) = collection.or_else(object) {
        methods.extend(
            ["GET", "POST", "PUT", "DELETE"].into_iter().filter(|method| object::serves(collection, method, single)),
        );
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// Returns true if the switch `media_type_status` asks for 415 and the body is not JSON. Without the switch, the
/// handler that reads the body answers 400.
fn wrong_media_type(world: &World, request: &Request) -> bool {
    world.switches.media_type_status == 415 && !request.body.is_empty() && !request.has_json()
}

/// `x-http-method-override: GET` on a POST: the body holds the query (reference, section 1.1).
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
                Json::Null => continue,
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
    // After a 301 most clients repeat a POST as a GET without its body, so writes without the slash are lost.
    let status = if matches!(request.method.as_str(), "GET" | "HEAD") { 301 } else { write_status };
    Answer { headers: vec![("location", location)], ..Answer::empty(status) }
}

impl Simulator {
    /// Changes the organization as the caller of a request.
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
