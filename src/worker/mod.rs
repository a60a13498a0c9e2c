//! The worker: opens the configured connectors, starts their tasks, and drains them.
//!
//! A failed task stays failed and reports the reason; the others continue. This worker runs all tasks of its
//! connectors. The assignment of tasks to workers belongs to a separate room.

mod herder;
mod probe;

use tokio_util::sync::CancellationToken;
use towpath_api::Result;

pub use self::herder::{Herder, TaskId};
use crate::{
    config::WorkerConfig,
    jobs::Snapshots,
    kafka::client::ClusterProbe,
    plugin::{ConnectorDefinition, Resources},
    telemetry::{Metrics, Readiness, StatusBoard},
};

/// The state that a worker shows: created before the worker runs, so that the management listener can show its start.
#[derive(Debug, Clone)]
pub struct Shown {
    /// All metrics of the process.
    pub metrics: Metrics,
    /// The checks that decide whether the worker is ready for traffic.
    pub readiness: Readiness,
    /// The state of each task.
    pub board: StatusBoard,
    /// The connectors that can be asked for snapshots.
    pub snapshots: Snapshots,
}

impl Shown {
    /// Creates the state of a worker that does not run yet.
    pub fn new() -> Self {
        let metrics = Metrics::new();
        let board = StatusBoard::new(&metrics);
        Self { metrics, readiness: Readiness::new(), board, snapshots: Snapshots::new() }
    }
}

impl Default for Shown {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `connectors` until `stop` is cancelled, then drains: intake stops, batches in flight finish, offsets are
/// committed.
///
/// # Errors
/// Fatal if the worker cannot start: a listener's address is in use, or librdkafka refuses a setting. A connector's
/// later errors are reported by its state.
pub async fn run(
    config: WorkerConfig,
    connectors: Vec<ConnectorDefinition>,
    shown: Shown,
    stop: CancellationToken,
) -> Result<()> {
    let resources =
        Resources::new(&config, &shown.metrics, &shown.readiness, &shown.board)?.with_snapshots(&shown.snapshots);
    // The probe outlives the tasks: clients of `/readyz` get an answer during the drain.
    let closed = CancellationToken::new();
    let mut herder = Herder::new(resources.clone());
    let cluster = ClusterProbe::new(&resources.kafka)?;
    // Opened before the probe's first answer, so that the worker is not ready before its connectors.
    let started = herder.open(&connectors).await;
    if started.is_err() {
        stop.cancel();
    }
    let watching =
        probe::watch(cluster, resources.registry.clone(), shown.readiness.clone(), shown.board, closed.clone());
    let probing = tokio::spawn(watching);
    for definition in connectors.iter().filter(|_| started.is_ok()) {
        for task in herder.tasks_of(&definition.common.name) {
            herder.start(&task);
        }
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = herder.next_ended() => {}
        }
    }
    // From here on posts are refused, so a load balancer should route none here.
    shown.readiness.not_ready("worker", "stopping");
    tracing::info!("stopping: intake ends, batches in flight finish");
    herder.drain().await;
    resources.close().await;
    closed.cancel();
    // The probe has no result.
    let _ = probing.await;
    started
}
