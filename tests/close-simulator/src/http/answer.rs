//! From a request to its answer, without a connection: what the server sends and what a test may call directly.

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
/// Where the description of the API is (reference, section 1.1).
const OPENAPI: &str = "/api/openapi.json";

/// Answers a request of the API, whatever happens: a broken promise inside is a 500 and a line in the log, and the next
/// request is served.
pub fn answer(simulator: &Simulator, request: Request) -> Answer {
    guarded(simulator, || attempt(simulator, request))
}

/// The answer, or 500 in the place of a panic.
pub fn guarded(simulator: &Simulator, answer: impl FnOnce() -> Answer) -> Answer {
    // The locks do not poison, and what a change has stored before it broke stays: a laboratory goes on, and says that
    // it is broken.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        tracing::error!("a request broke the simulator: see the panic above; what it had changed until then stays");
        simulator.world.write().clock.hold(None);
        Refusal::Status(500, "Internal server error.".to_owned()).into()
    })
}

/// Credentials, limits, route, handler; counts it.
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
        // Clients that join paths carelessly send double slashes, which the vendor's ingress folds.
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

/// The part of a path behind `/api/v1/`, without slashes at its ends and without double ones; `None` for a path that
/// lies elsewhere.
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

/// The methods that a path serves, as the `allow` header lists them.
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

/// Whether the switch `media_type_status` asks for 415 and the body is no JSON. (Without it the handler that reads the
/// body answers 400.)
fn wrong_media_type(world: &World, request: &Request) -> bool {
    world.switches.media_type_status == 415 && !request.body.is_empty() && !request.has_json()
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
