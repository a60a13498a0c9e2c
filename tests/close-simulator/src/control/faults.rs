//! Faults: which requests meet which faults.

use serde_json::{Value as Json, json};

use crate::{
    Simulator,
    http::{Answer, Request},
    model::Refusal,
};

/// `{"faults": [{"endpoint": "GET lead", "kind": "slow", "delay_ms": 200, "share": 0.1, "seen": 40, "injected": 5,
/// …}]}`
pub(super) fn get(simulator: &Simulator) -> Answer {
    Answer::json(200, &json!({ "faults": simulator.faults.report() }))
}

/// Replaces all faults with a list, or with the list under `faults` of an object.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let json: Json =
        serde_json::from_slice(&request.body).map_err(|error| Refusal::bad(format!("no JSON: {error}")))?;
    let list = json.get("faults").unwrap_or(&json).as_array();
    let list =
        list.ok_or_else(|| Refusal::bad("the body must be a list of faults, or an object with a list under `faults`"))?;
    simulator.faults.set(list).map_err(Refusal::bad)?;
    Ok(get(simulator))
}

/// Removes all faults.
pub(super) fn clear(simulator: &Simulator) -> Answer {
    simulator.faults.set(&[]).expect("no fault is wrong");
    get(simulator)
}
