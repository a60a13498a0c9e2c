//! Counts of requests, of what each limit was asked for at most, and of faults.

use serde_json::json;

use crate::{Simulator, http::Answer};

/// `{"requests": […], "total": 12, "limits": […], "faults": […]}`; see [`crate::http::counters`],
/// [`crate::http::limits`] and [`crate::http::faults`] for the rows.
pub(super) fn get(simulator: &Simulator) -> Answer {
    let requests = simulator.counters.report();
    let total: u64 = requests.iter().filter_map(|row| row["requests"].as_u64()).sum();
    Answer::json(
        200,
        &json!({
            "requests": requests,
            "total": total,
            "limits": simulator.limits.peaks(),
            "faults": simulator.faults.report(),
        }),
    )
}

/// Starts again from nothing; the buckets of the limits are full again. Faults stay as they are.
pub(super) fn reset(simulator: &Simulator) -> Answer {
    simulator.counters.reset();
    simulator.limits.reset();
    get(simulator)
}
