//! Metrics of requests to the schema registry.

use prometheus::{DEFAULT_BUCKETS, HistogramVec, IntCounterVec};
use towpath_api::families;

families! {
    /// Counts and durations of requests, by operation.
    pub(super) struct RequestMetrics {
        /// Requests to the schema registry; code `error` when none came back.
        requests: IntCounterVec = "towpath_schema_registry_requests_total" [operation, code],
        /// Duration of a request to the schema registry.
        duration: HistogramVec = "towpath_schema_registry_request_duration_seconds" [operation] in DEFAULT_BUCKETS,
    }
}
