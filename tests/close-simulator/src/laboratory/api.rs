//! Calls endpoints from inside, as their callers would.

use serde_json::Value as Json;

use crate::{
    http::{
        Answer, Request,
        collection::Handler,
        router::{Route, route},
    },
    model::Refusal,
    seed::foundation::founder,
    world::{
        World,
        change::{Actor, Body, Change},
        people::Caller,
    },
};

/// The founder, who may do everything, with the founder's key.
pub fn founder_caller(world: &World) -> Option<Caller> {
    let key = world.people.keys.values().find(|key| key.user == founder())?;
    world.caller_by_key(&key.secret)
}

/// An actor that acts as the founder through the API.
pub fn founder_actor(world: &World, method: &str, path: &str) -> Actor {
    match founder_caller(world) {
        Some(caller) => Actor::caller(caller, method, &format!("/api/v1/{path}/")),
        None => Actor::user(founder()),
    }
}

/// Sends a body to an endpoint that writes; `path` is without `/api/v1/` and without slashes at the ends.
///
/// # Errors
/// The endpoint's refusal; 404 if the endpoint does not exist.
pub fn ask(change: &mut Change<'_>, method: &str, path: &str, body: &Json) -> Result<Answer, Refusal> {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let full = format!("/api/v1/{path}/");
    let mut request = Request::new(method, &full, "", headers, body.to_string().into());
    match route(path) {
        Some(Route::Endpoints(endpoints, segments)) => {
            request.segments = segments;
            match endpoints.iter().find(|endpoint| endpoint.method == method).map(|endpoint| endpoint.handler) {
                Some(Handler::Write(write)) => write(change, &request),
                _ => Err(Refusal::Status(405, format!("no endpoint that writes at {method} {path}"))),
            }
        }
        Some(Route::List(collection)) if method == "POST" => crate::http::object::create(change, collection, &request),
        Some(Route::Object(collection, id)) if method == "PUT" => {
            crate::http::object::update(change, collection, &id, &request)
        }
        Some(Route::Object(collection, id)) if method == "DELETE" => {
            crate::http::object::delete(change, collection, &id)
        }
        _ => Err(Refusal::Status(404, format!("no endpoint at {method} {path}"))),
    }
}

pub fn body(json: Json) -> Body {
    match json {
        Json::Object(map) => Body { map, offset_minutes: 0 },
        _ => Body::default(),
    }
}
