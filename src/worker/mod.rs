//! The worker: binds, starts what is configured, watches over it, and drains it.
//!
//! A task that has failed stays failed and reports why; the others continue. This worker runs all tasks of the
//! connectors that it is given: the decision which worker runs which task has its place in a room of its own, between
//! this one and [`crate::plugin`].

mod herder;
mod probe;

use tokio_util::sync::CancellationToken;
use towpath_api::Result;

pub use self::herder::{Herder, TaskId};
use crate::{
    config::WorkerConfig,
    kafka::client::ClusterProbe,
    plugin::{ConnectorDefinition, Resources},
    telemetry::{Metrics, Readiness, StatusBoard},
};

/// What a worker shows to the outside: created before it runs, so that the management listener can show its start.
#[derive(Debug, Clone)]
pub struct Shown {
    /// All metrics of the process.
    pub metrics: Metrics,
    /// Whether traffic may come.
    pub readiness: Readiness,
    /// The state of each task.
    pub board: StatusBoard,
}

impl Shown {
    /// Nothing runs yet.
    pub fn new() -> Self {
        let metrics = Metrics::new();
        let board = StatusBoard::new(&metrics);
        Self { metrics, readiness: Readiness::new(), board }
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
/// Fatal if the worker cannot start: a listener's address is taken, or librdkafka refuses a setting. A connector's
/// later errors are reported by its state.
pub async fn run(
    config: WorkerConfig,
    connectors: Vec<ConnectorDefinition>,
    shown: Shown,
    stop: CancellationToken,
) -> Result<()> {
    let resources = Resources::new(&config, &shown.metrics, &shown.readiness, &shown.board)?;
    // The probe outlives the tasks: clients that ask while they drain get an answer.
    let closed = CancellationToken::new();
    let mut herder = Herder::new(resources.clone());
    let cluster = ClusterProbe::new(&resources.kafka)?;
    // Opened before the probe's first answer, so that the worker is not ready without them.
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
    // From here on posts are refused, so none should be routed here.
    shown.readiness.not_ready("worker", "stopping");
    tracing::info!("stopping: no more intake, batches in flight finish");
    herder.drain().await;
    resources.close().await;
    closed.cancel();
    // The probe has no result.
    let _ = probing.await;
    started
}
