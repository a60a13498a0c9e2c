//! `/_control/`: what makes the simulator a laboratory. Off unless asked for, without credentials, and never part of Close.
//!
//! Each file has one subject and one function that answers its paths.

mod changes;
mod clock;
mod scenarios;
mod switches;

use crate::Simulator;
use crate::http::{Answer, Request};
use crate::model::Refusal;

/// Where it begins.
pub const ROOT: &str = "/_control/";

/// Answers a control request.
pub fn answer(simulator: &Simulator, request: &Request) -> Answer {
    if !simulator.options.control {
        return Refusal::Status(404, "control is off: start the simulator with --control".to_owned()).into();
    }
    let path = request.path.strip_prefix(ROOT).unwrap_or("").trim_matches('/');
    let answered = match (request.method.as_str(), path) {
        ("GET", "changes") => Ok(changes::get(simulator)),
        ("POST", "changes") => changes::set(simulator, request),
        ("DELETE", "changes") => Ok(changes::stop(simulator)),
        ("GET", "scenarios") => Ok(scenarios::get()),
        ("POST", path) if path.starts_with("scenarios/") => {
            scenarios::set(simulator, path.trim_start_matches("scenarios/"), request)
        }
        ("GET", "clock") => Ok(clock::get(simulator)),
        ("POST" | "PUT", "clock") => clock::set(simulator, request),
        ("GET", "switches") => Ok(switches::get(simulator)),
        ("POST" | "PUT", "switches") => switches::set(simulator, request),
        _ => Err(Refusal::Status(404, format!("no control at {} {path}", request.method))),
    };
    answered.unwrap_or_else(Answer::from)
}
