//! Switches: read them, change some.

use crate::{
    Simulator,
    http::{Answer, Request},
    model::Refusal,
};

pub(super) fn get(simulator: &Simulator) -> Answer {
    Answer::json(200, &serde_json::to_value(&simulator.world.read().switches).expect("switches are JSON"))
}

/// Sets the switches in the body.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let mut world = simulator.world.write();
    world.switches = world.switches.with(&body.map).map_err(Refusal::bad)?;
    drop(world);
    Ok(get(simulator))
}
