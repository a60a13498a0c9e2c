//! Rate limits: read them, change some, turn them off.

use crate::{
    Simulator,
    http::{Answer, Request},
    model::Refusal,
};

/// `{"off": false, "organization_factor": 3.0, "default": {"limit": 60, "window_secs": 1.0, "burst": 0}, "groups":
/// {"GET me": {…}}, "extra": {…}, "unauthorized": {…}}`
pub(super) fn get(simulator: &Simulator) -> Answer {
    Answer::json(200, &simulator.limits.settings())
}

/// Sets the limits in the body, in the form of [`get`]; `{"off": true}` turns all off.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    simulator.limits.set(&request.json()?.map).map_err(Refusal::bad)?;
    Ok(get(simulator))
}
