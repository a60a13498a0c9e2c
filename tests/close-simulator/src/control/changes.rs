//! Random changes: run some immediately, run them in the background, report progress, stop them.

use serde_json::{Map, Value as Json};

use crate::{
    Simulator,
    http::{Answer, Request},
    laboratory::{changes::Order, deeds::DEEDS},
    model::Refusal,
};

/// Maximum changes per order.
const MAX_CHANGES: u64 = 100_000_000;
const KNOWN: [&str; 5] = ["count", "seed", "rate_per_sec", "spread_secs", "weights"];

/// Progress of the background changes, and every kind of change with its weight.
pub(super) fn get(simulator: &Simulator) -> Answer {
    let mut progress = simulator.laboratory.progress();
    progress["weights"] =
        Json::Object(DEEDS.iter().map(|(name, weight, _)| ((*name).to_owned(), (*weight).into())).collect());
    Answer::json(200, &progress)
}

/// `{"count": 1000, "seed": 7, "spread_secs": 3600, "weights": {"delete_lead": 0}}` runs the changes immediately,
/// spread over that much of the organization's time, and moves the clock to its end. With `"rate_per_sec": 50` they run
/// in the background.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    if let Some(unknown) = body.map.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Refusal::field(unknown, format!("unknown; must be one of {}", KNOWN.join(", "))));
    }
    let whole = |name: &str, default: u64| match body.get(name) {
        None => Ok(default),
        Some(json) => json.as_u64().ok_or_else(|| Refusal::field(name, "must be an integer of 0 or more")),
    };
    let decimal = |name: &str, most: f64| match body.get(name) {
        None => Ok(None),
        Some(json) => match json.as_f64().filter(|number| (0.0..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::field(name, format!("must be a number from 0 to {most}"))),
        },
    };
    let none = Map::new();
    let weights = match body.get("weights") {
        None => &none,
        Some(Json::Object(weights)) => weights,
        Some(_) => return Err(Refusal::field("weights", "must be an object of names and weights")),
    };
    let spread = decimal("spread_secs", 1e10)?.map(|secs| (secs * 1_000.0) as i64);
    let count = whole("count", 1)?;
    if count > MAX_CHANGES {
        return Err(Refusal::field("count", format!("must be at most {MAX_CHANGES}")));
    }
    let order = Order::new(count, whole("seed", 1)?, spread, weights)?;
    Ok(Answer::json(
        200,
        &match decimal("rate_per_sec", 1e6)?.filter(|rate| *rate > 0.0) {
            None => simulator.laboratory.at_once(simulator, order),
            Some(rate) => simulator.laboratory.at_rate(simulator, order, rate),
        },
    ))
}

/// Stops the background changes.
pub(super) fn stop(simulator: &Simulator) -> Answer {
    Answer::json(200, &simulator.laboratory.stop())
}
