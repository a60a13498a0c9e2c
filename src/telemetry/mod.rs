//! Logs, metrics, the status board and readiness.
//!
//! The worker writes, [`crate::rest`] reads. This module does not know Kafka, HTTP or a connector. It never holds keys,
//! payloads or row values, and error texts are never labels.
//!
//! Reading order: [`metrics`] is the registry, whose metrics are declared with [`towpath_api::families!`];
//! [`connector_metrics`] and [`sink_metrics`] are the handles that the worker's loops hold; [`status`] is the state of
//! each connector, task and partition; [`readiness`] holds the checks behind `/readyz`; [`logs`] is the subscriber.

pub(crate) mod buckets;
pub mod connector_metrics;
mod epoch;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod repeats;
pub mod sink_metrics;
mod state;
pub mod status;

pub use connector_metrics::{ConnectorMetrics, Stage};
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use sink_metrics::{Held, PartitionMetrics, SinkMetrics, TransactionOutcome, WaitingPartition};
pub use state::State;
pub use status::{PartitionStatus, StatusBoard, TaskStatus};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of this build, from the build's environment variable `TOWPATH_REVISION`; `unknown` without it.
pub const REVISION: &str = match option_env!("TOWPATH_REVISION") {
    Some(revision) if !revision.is_empty() => revision,
    _ => "unknown",
};
