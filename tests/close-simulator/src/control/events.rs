//! Events of undocumented kinds: what a connector meets when Close adds an object type (reference, section 12, item
//! 30).

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::{
    Simulator,
    http::{Answer, Request},
    model::{Id, Kind, Refusal, record::intern},
    world::{
        World,
        change::{Actor, Body, Change},
    },
};

const KNOWN: [&str; 6] = ["object_type", "action", "object_id", "lead_id", "user_id", "data"];

/// `{"object_type": "future.thing", "action": "invented", "object_id"?, "lead_id"?, "user_id"?, "data"?: {}}`; answers
/// `{"object_id": …}`.
pub(super) fn add(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    if let Some(unknown) = body.map.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Refusal::field(unknown, format!("unknown; must be one of {}", KNOWN.join(", "))));
    }
    let word = |name: &str| body.text(name).ok_or_else(|| Refusal::field(name, "required: a text"));
    let (object_type, action) = (word("object_type")?, word("action")?);
    let data: Option<Arc<[u8]>> = match body.get("data") {
        Some(data @ Json::Object(_)) => Some(data.to_string().into_bytes().into()),
        Some(_) => return Err(Refusal::field("data", "must be an object")),
        None => None,
    };
    let object = {
        let mut world = simulator.world.write();
        world.catch_up();
        let object = id(&world, &body, "object_id")?;
        let (lead, user) = (id(&world, &body, "lead_id")?, id(&world, &body, "user_id")?);
        let object = object.unwrap_or_else(|| world.next_id(Kind::Media));
        let mut change = Change::begin(&mut world, Actor { user, ..Actor::system() });
        change.emit_raw(intern(object_type), object, lead, intern(action), data);
        object.text(world.seed)
    };
    simulator.wake.notify_waiters();
    Ok(Answer::json(200, &json!({ "object_id": object })))
}

fn id(world: &World, body: &Body, name: &str) -> Result<Option<Id>, Refusal> {
    match body.text(name) {
        None => Ok(None),
        Some(text) => {
            world.parse_id(text).map(Some).ok_or_else(|| Refusal::field(name, "must be an id of this organization"))
        }
    }
}
