//! Imports, which Close's application starts and its API does not: start one, revert one.

use serde_json::{Map, Value as Json, json};

use crate::{
    Simulator,
    http::{Answer, Request},
    model::Refusal,
    resources::r#import,
    seed::foundation,
    world::change::{Actor, Change},
};

/// Maximum leads in a generated import.
const MAX_LEADS: u64 = 1_000_000;

/// `{"leads": 10000}` or `{"leads": [{"name": "…", "contacts": […]}, …]}`; a row with the `id` of a lead changes that
/// lead. Answers with `{"id": "bulk_…"}`; the import then runs by the clock.
pub(super) fn start(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let rows: Vec<Map<String, Json>> = match body.get("leads") {
        Some(Json::Array(rows)) => rows
            .iter()
            .map(|row| row.as_object().cloned().ok_or_else(|| Refusal::field("leads", "must be a list of objects")))
            .collect::<Result<_, _>>()?,
        Some(count) => {
            let count = count
                .as_u64()
                .ok_or_else(|| Refusal::field("leads", "must be a number of leads or a list of leads"))?;
            if count > MAX_LEADS {
                return Err(Refusal::field("leads", format!("must be at most {MAX_LEADS}")));
            }
            (1..=count).map(generated).collect()
        }
        None => return Err(Refusal::field("leads", "required: a number of leads or a list of leads")),
    };
    let mut world = simulator.world.write();
    world.catch_up();
    let id = r#import::start(&mut Change::begin(&mut world, Actor::user(foundation::founder())), rows);
    let answer = Answer::json(200, &json!({ "id": id.text(world.seed) }));
    drop(world);
    simulator.wake.notify_waiters();
    Ok(answer)
}

/// Reverts a finished import.
pub(super) fn revert(simulator: &Simulator, text: &str) -> Result<Answer, Refusal> {
    let mut world = simulator.world.write();
    world.catch_up();
    let id = world.parse_id(text).ok_or_else(|| Refusal::missing(text))?;
    r#import::revert(&mut Change::begin(&mut world, Actor::user(foundation::founder())), id)?;
    drop(world);
    simulator.wake.notify_waiters();
    Ok(Answer::json(200, &json!({ "id": text })))
}

fn generated(n: u64) -> Map<String, Json> {
    let lead = json!({
        "name": format!("Imported {n}"),
        "contacts": [{
            "name": format!("Contact {n}"),
            "emails": [{ "email": format!("contact{n}@import.example"), "type": "office" }],
        }],
    });
    lead.as_object().cloned().unwrap_or_default()
}
