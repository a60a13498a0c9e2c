//! Scenarios: list them, run one.

use crate::{
    Simulator,
    http::{Answer, Request},
    laboratory::scenarios,
    model::Refusal,
};

/// Names, parameters and meanings.
pub(super) fn get() -> Answer {
    Answer::json(200, &scenarios::list())
}

/// Runs a scenario. The body holds its parameters, the answer the affected ids.
pub(super) fn set(simulator: &Simulator, name: &str, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let mut world = simulator.world.write();
    world.catch_up();
    let told = scenarios::run(&mut world, name, &body)?;
    drop(world);
    simulator.wake.notify_waiters();
    Ok(Answer::json(200, &told))
}
