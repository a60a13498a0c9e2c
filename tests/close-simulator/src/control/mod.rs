//! `/_control/`: what makes the simulator a laboratory. Off unless asked for, without credentials, and never part of Close.
//!
//! Each file has one subject and one function that answers its paths.

mod clock;
mod events;
mod switches;
mod webhooks;

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
        ("GET", "clock") => Ok(clock::get(simulator)),
        ("POST" | "PUT", "clock") => clock::set(simulator, request),
        ("POST", "events") => events::add(simulator, request),
        ("GET", "webhooks") => Ok(webhooks::get(simulator)),
        ("POST" | "PUT", "webhooks/faults") => webhooks::set_faults(simulator, request),
        ("GET", "switches") => Ok(switches::get(simulator)),
        ("POST" | "PUT", "switches") => switches::set(simulator, request),
        _ => Err(Refusal::Status(404, format!("no control at {} {path}", request.method))),
    };
    answered.unwrap_or_else(Answer::from)
}
