//! Pending webhook deliveries, delivery results, and delivery faults.

use serde_json::{Value as Json, json};

use crate::{
    Simulator,
    http::{Answer, Request},
    model::{Kind, Moment, Refusal, moment::Stamps},
    webhooks::{Faults, Queue},
};

/// `{"settling": 0, "faults": {…}, "subscriptions": [{"id", "url", "status", "waiting", "under_way", "next",
/// "failing_since", "latest_error", "counts": {"attempts", "delivered", "failed", "dropped", "cleared", "lost",
/// "duplicated"}}]}`
pub(super) fn get(simulator: &Simulator) -> Answer {
    let world = simulator.read();
    let at = |at: Option<Moment>| at.map(|at| at.text(Stamps::Offset));
    let subscriptions: Vec<Json> = world
        .store
        .of_kind(Kind::Webhook, Moment(i64::MIN), Moment::LAST)
        .filter_map(|id| world.store.get(id))
        .map(|record| {
            let queue = world.webhooks.queue(record.id);
            json!({
                "id": record.id.text(world.seed),
                "url": record.text("url"),
                "status": record.text("status"),
                "waiting": queue.map_or(0, |queue| queue.len() - queue.under_way()),
                "under_way": queue.map_or(0, Queue::under_way),
                "next": at(queue.and_then(Queue::next)),
                "failing_since": at(queue.and_then(|queue| queue.failing_since)),
                "latest_error": queue.and_then(|queue| queue.latest_error.clone()),
                "counts": queue.map(|queue| queue.counts).unwrap_or_default(),
            })
        })
        .collect();
    Answer::json(
        200,
        &json!({
            "settling": world.webhooks.settling(), "faults": world.webhooks.faults, "subscriptions": subscriptions
        }),
    )
}

/// `{"duplicate": 0.1, "lose": 0.1, "reorder_ms": 5000, "delay_ms": 1000}`; faults that are not named are off.
pub(super) fn set_faults(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let faults: Faults =
        serde_json::from_value(Json::Object(body.map)).map_err(|error| Refusal::bad(error.to_string()))?;
    for (name, share) in [("duplicate", faults.duplicate), ("lose", faults.lose)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(Refusal::field(name, "must be a number from 0 to 1"));
        }
    }
    for (name, millis) in [("reorder_ms", faults.reorder_ms), ("delay_ms", faults.delay_ms)] {
        if millis < 0 {
            return Err(Refusal::field(name, "must be milliseconds, 0 or more"));
        }
    }
    simulator.world.write().webhooks.faults = faults;
    Ok(get(simulator))
}
