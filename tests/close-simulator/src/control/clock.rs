//! The organization's clock: read it, move it, let it run faster, slower or not at all.

use serde_json::json;

use crate::Simulator;
use crate::http::{Answer, Request};
use crate::model::moment::Stamps;
use crate::model::{Moment, Refusal};

/// `{"now": "…", "rate": 1.0}`
pub(super) fn get(simulator: &Simulator) -> Answer {
    let world = simulator.read();
    Answer::json(200, &json!({ "now": world.clock.now().text(Stamps::Offset), "rate": world.clock.rate() }))
}

/// `{"to": "2026-09-02T00:00:00Z"}` or `{"advance_secs": 3600}`, and `{"rate": 0}`; what is due on the way is done, each at its moment.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    if let Some(unknown) = body.map.keys().find(|key| !matches!(key.as_str(), "to" | "advance_secs" | "rate")) {
        return Err(Refusal::field(unknown, "unknown; known are to, advance_secs and rate"));
    }
    let to = match body.text("to") {
        Some(text) => Some(Moment::parse(text, 0).ok_or_else(|| Refusal::field("to", "not a date with time"))?),
        None => None,
    };
    {
        let mut world = simulator.world.write();
        let now = world.clock.now();
        if to.is_some_and(|to| to < now) {
            return Err(Refusal::field("to", "the clock never goes back"));
        }
        if let Some(secs) = body.get("advance_secs") {
            let secs = secs
                .as_f64()
                .filter(|secs| *secs >= 0.0)
                .ok_or_else(|| Refusal::field("advance_secs", "not a number of 0 or more"))?;
            world.clock.set(now.plus_millis((secs * 1_000.0) as i64));
        }
        if let Some(to) = to {
            world.clock.set(to);
        }
        if let Some(rate) = body.get("rate") {
            world.clock.set_rate(
                rate.as_f64().filter(|rate| *rate >= 0.0).ok_or_else(|| Refusal::field("rate", "not a number of 0 or more"))?,
            );
        }
        world.catch_up();
    }
    simulator.wake.notify_waiters();
    Ok(get(simulator))
}
