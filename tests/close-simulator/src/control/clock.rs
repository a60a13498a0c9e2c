//! The organization's clock: read it, move it, change its rate or stop it.

use serde_json::json;

use crate::{
    Simulator,
    http::{Answer, Request},
    model::{Moment, Refusal, moment::Stamps},
};

/// Maximum seconds by which one request may move the clock: 100 years.
const MAX_ADVANCE_SECS: f64 = 100.0 * 366.0 * 86_400.0;
/// Maximum rate: a year in half a minute.
const MAX_RATE: f64 = 1_000_000.0;

/// `{"now": "…", "rate": 1.0}`
pub(super) fn get(simulator: &Simulator) -> Answer {
    let world = simulator.read();
    Answer::json(200, &json!({ "now": world.clock.now().text(Stamps::Offset), "rate": world.clock.rate() }))
}

/// `{"to": "2026-09-02T00:00:00Z"}` or `{"advance_secs": 3600}`, and `{"rate": 0}`. Work that becomes due on the way is
/// done, each item at its moment.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    if let Some(unknown) = body.map.keys().find(|key| !matches!(key.as_str(), "to" | "advance_secs" | "rate")) {
        return Err(Refusal::field(unknown, "unknown; must be to, advance_secs or rate"));
    }
    let to = match body.get("to") {
        Some(json) => Some(
            json.as_str()
                .and_then(|text| Moment::parse(text, 0))
                .ok_or_else(|| Refusal::field("to", "must be a date with time"))?,
        ),
        None => None,
    };
    let within = |name: &str, max: f64| match body
        .get(name)
        .map(|json| json.as_f64().filter(|value| (0.0..=max).contains(value)))
    {
        Some(None) => Err(Refusal::field(name, format!("must be a number from 0 to {max}"))),
        Some(value) => Ok(value),
        None => Ok(None),
    };
    let (advance_secs, rate) = (within("advance_secs", MAX_ADVANCE_SECS)?, within("rate", MAX_RATE)?);
    {
        let mut world = simulator.world.write();
        let now = world.clock.now();
        let target = to.unwrap_or_else(|| now.plus_millis((advance_secs.unwrap_or(0.0) * 1_000.0) as i64));
        if target < now {
            return Err(Refusal::field("to", "must not be before the present time: the clock moves forward only"));
        }
        if target > now.plus_millis((MAX_ADVANCE_SECS * 1_000.0) as i64) {
            return Err(Refusal::field("to", "must be at most 100 years from now"));
        }
        world.clock.set(target);
        if let Some(rate) = rate {
            world.clock.set_rate(rate);
        }
        world.catch_up();
    }
    simulator.wake.notify_waiters();
    Ok(get(simulator))
}
