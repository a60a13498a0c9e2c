//! Times as Prometheus has them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, the unit of Prometheus; 0 for an earlier time.
pub(super) fn seconds_since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
