//! Scenarios: which there are, and one of them now.

use crate::{
    Simulator,
    http::{Answer, Request},
    laboratory::scenarios,
    model::Refusal,
};

/// Names, parameters and what each means.
pub(super) fn get() -> Answer {
    Answer::json(200, &scenarios::list())
}

/// Runs one; the body holds its parameters, and the answer the ids that it was about.
pub(super) fn set(simulator: &Simulator, name: &str, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let mut world = simulator.world.write();
    world.catch_up();
    let told = scenarios::run(&mut world, name, &body)?;
    drop(world);
    simulator.wake.notify_waiters();
    Ok(Answer::json(200, &told))
}
