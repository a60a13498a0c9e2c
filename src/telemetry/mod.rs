//! What the process tells about itself: logs, metrics, statuses, readiness.
//!
//! Nothing here knows Kafka, HTTP or a connector. The worker writes, [`crate::rest`] reads. Never in here: keys,
//! payloads, row values, texts of errors as labels.
//!
//! Reading order: [`metrics`] is the registry; [`connector_metrics`] and [`sink_metrics`] are the handles that the
//! worker's loops hold; [`status`] is who does what; [`readiness`] whether traffic may come; [`logs`] the subscriber.

pub mod connector_metrics;
pub(crate) mod families;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod repeats;
pub mod sink_metrics;
mod state;
pub mod status;

pub use connector_metrics::{ConnectorMetrics, DropReason, Stage};
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use sink_metrics::{Held, PartitionMetrics, SinkMetrics, TransactionOutcome};
pub use state::State;
pub use status::{PartitionStatus, StatusBoard, TaskStatus};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of this build, where the build was told in `TOWPATH_REVISION`; otherwise `unknown`.
pub const REVISION: &str = match option_env!("TOWPATH_REVISION") {
    Some(revision) if !revision.is_empty() => revision,
    _ => "unknown",
};
