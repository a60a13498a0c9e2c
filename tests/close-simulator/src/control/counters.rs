//! Counts of requests, the peak of each limit, and counts of faults.

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

/// Resets all counts and refills the buckets of the limits. Faults stay as they are.
pub(super) fn reset(simulator: &Simulator) -> Answer {
    simulator.counters.reset();
    simulator.limits.reset();
    get(simulator)
}
