//! `/_control/`: the controls around the simulated API. They are off by default, need no credentials, and are not part
//! of Close.
//!
//! Each file has one subject and one function that answers its paths.

mod changes;
mod clock;
mod counters;
mod digest;
mod events;
mod faults;
mod history;
mod r#import;
mod index;
mod keys;
mod limits;
mod lines;
mod perform;
mod scenarios;
mod snapshot;
mod switches;
mod truth;
mod webhooks;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    Simulator,
    http::{Answer, Request},
    model::Refusal,
};

/// The root of all controls.
pub const ROOT: &str = "/_control/";

/// Lines of JSON for the paths with unbounded answers: the truth and the history. `None` for every other path, and for
/// requests that [`answer`] refuses.
pub fn lines(simulator: &Arc<Simulator>, request: &Request) -> Option<mpsc::Receiver<Bytes>> {
    let path = request.path.strip_prefix(ROOT)?.trim_matches('/');
    if request.method != "GET" || !simulator.options.control {
        return None;
    }
    match path {
        "truth" => truth::lines(simulator, request).ok(),
        "history" => history::lines(simulator, request).ok(),
        _ => None,
    }
}

pub fn answer(simulator: &Simulator, request: &Request) -> Answer {
    if !simulator.options.control {
        return Refusal::Status(404, "controls are off: start the simulator with --control".to_owned()).into();
    }
    let path = request.path.strip_prefix(ROOT).unwrap_or("").trim_matches('/');
    let answered = match (request.method.as_str(), path) {
        ("GET", "") => Ok(index::get()),
        ("GET", "changes") => Ok(changes::get(simulator)),
        ("POST", "changes") => changes::set(simulator, request),
        ("DELETE", "changes") => Ok(changes::stop(simulator)),
        ("GET", "scenarios") => Ok(scenarios::get()),
        ("POST", path) if path.starts_with("scenarios/") => {
            scenarios::set(simulator, path.trim_start_matches("scenarios/"), request)
        }
        ("GET", "clock") => Ok(clock::get(simulator)),
        ("POST" | "PUT", "clock") => clock::set(simulator, request),
        ("GET", "truth") => truth::asked(simulator, request).map(|_| Answer::empty(204)),
        ("GET", "history") => history::asked(request).map(|_| Answer::empty(204)),
        ("GET", "truth/digest") => digest::get(simulator, request),
        ("GET", "perform") => Ok(perform::get()),
        ("POST", "perform") => perform::set(simulator, request),
        ("GET", "counters") => Ok(counters::get(simulator)),
        ("DELETE", "counters") => Ok(counters::reset(simulator)),
        ("GET", "faults") => Ok(faults::get(simulator)),
        ("POST" | "PUT", "faults") => faults::set(simulator, request),
        ("DELETE", "faults") => Ok(faults::clear(simulator)),
        ("GET", "keys") => Ok(keys::get(simulator)),
        ("POST", "keys") => keys::add(simulator, request),
        ("DELETE", "keys") => keys::remove(simulator, request),
        ("GET", "limits") => Ok(limits::get(simulator)),
        ("POST" | "PUT", "limits") => limits::set(simulator, request),
        ("POST", "restore") => snapshot::restore(simulator, request),
        ("POST", "snapshot") => snapshot::write(simulator, request),
        ("POST", "events") => events::add(simulator, request),
        ("GET", "webhooks") => Ok(webhooks::get(simulator)),
        ("POST" | "PUT", "webhooks/faults") => webhooks::set_faults(simulator, request),
        ("GET", "switches") => Ok(switches::get(simulator)),
        ("POST" | "PUT", "switches") => switches::set(simulator, request),
        ("POST", "import") => r#import::start(simulator, request),
        ("POST", path) if path.starts_with("import/") && path.ends_with("/revert") => {
            r#import::revert(simulator, path.trim_start_matches("import/").trim_end_matches("/revert"))
        }
        _ => Err(Refusal::Status(404, format!("no control at {} {ROOT}{path}; GET {ROOT} lists them", request.method))),
    };
    answered.unwrap_or_else(Answer::from)
}
