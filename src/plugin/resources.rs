//! The parts of a worker that its connectors share.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use towpath_api::{Error, ErrorType, Result};
use towpath_close::CloseMetrics;

use super::webhook::Intake;
use crate::{
    avro::registry::Registry,
    config::{ConnectorConfig, WorkerConfig},
    jobs::Snapshots,
    kafka::{
        client::KafkaSettings,
        publisher::{OffsetStorage, SourceMetrics},
    },
    task::{TaskHealth, codes::START},
    telemetry::{Metrics, Readiness, Stage, StatusBoard},
};

/// Built once per worker. Cheap to clone.
#[derive(Clone)]
pub struct Resources {
    pub(crate) kafka: KafkaSettings,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) source_metrics: SourceMetrics,
    pub(crate) board: StatusBoard,
    pub(crate) readiness: Readiness,
    /// Identifies this process uniquely, for stores and for people who look into them.
    pub(crate) owner: String,
    /// The topic of the positions of sources.
    pub(crate) offsets: OffsetStorage,
    /// The listener of all webhook sources.
    pub(crate) intake: Intake,
    pub(super) close_metrics: CloseMetrics,
    /// The connectors that can be asked for snapshots.
    pub(super) snapshots: Snapshots,
    /// The topics for dead letters of all connectors.
    queues: Arc<Mutex<BTreeSet<String>>>,
}

impl Resources {
    /// Connects to nothing.
    ///
    /// # Errors
    /// Fatal if the registry's address cannot be used.
    pub fn new(config: &WorkerConfig, metrics: &Metrics, readiness: &Readiness, board: &StatusBoard) -> Result<Self> {
        let kafka = KafkaSettings::new(&config.bootstrap_servers, &config.group_id, config.kafka.iter());
        let failed = |error| Error::fatal(START, ErrorType::Internal, "register metrics").because(error);
        let source_metrics = SourceMetrics::register(metrics.registry()).map_err(failed)?;
        let registry = Registry::new(&config.schema_registry_url, metrics.registry())?;
        let intake = Intake::new(config, metrics.registry()).map_err(failed)?;
        let close_metrics = CloseMetrics::register(metrics.registry()).map_err(failed)?;
        let offsets = OffsetStorage {
            topic: config.offset_storage_topic.clone(),
            partitions: config.offset_storage_partitions,
            replication: config.offset_storage_replication,
        };
        let start = uuid::Uuid::new_v4().simple().to_string();
        let owner = format!("{}@{}:{}:{}", config.group_id, hostname(), std::process::id(), &start[..8]);
        Ok(Self {
            kafka,
            registry,
            metrics: metrics.clone(),
            source_metrics,
            board: board.clone().with_worker(owner.as_str()),
            readiness: readiness.clone(),
            owner,
            offsets,
            intake,
            close_metrics,
            snapshots: Snapshots::new(),
            queues: Arc::default(),
        })
    }

    /// Registers connectors that can be asked for snapshots with `snapshots`, which others see.
    pub(crate) fn with_snapshots(self, snapshots: &Snapshots) -> Self {
        Self { snapshots: snapshots.clone(), ..self }
    }

    /// Removes a closed connector: its status on the board and its series in all families. If the connector is opened
    /// again, its series begin at 0.
    ///
    /// To be called after the connector has been closed: a task that is still running would create series again.
    pub(crate) fn forget(&self, connector: &str) {
        self.board.remove(connector);
        self.source_metrics.remove_connector(connector);
        self.intake.forget(connector);
        self.close_metrics.remove_connector(connector);
        self.snapshots.remove(connector);
    }

    /// Notes the topic for dead letters of a connector. Two sinks whose patterns match each other's would otherwise
    /// dead-letter the same records in turn without end.
    pub(super) fn note_own_topic(&self, queue: Option<&str>) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).extend(queue.map(str::to_owned));
    }

    /// The topics that this worker writes for itself, which no pattern selects.
    pub(super) fn own_topics(&self) -> BTreeSet<String> {
        let mut topics = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        topics.insert(self.offsets.topic.clone());
        topics
    }

    /// Closes what the connectors shared, after all of them have ended.
    pub(crate) async fn close(&self) {
        self.intake.close().await;
    }

    /// The health of a task that starts, on the board as starting.
    pub(super) fn health(&self, common: &ConnectorConfig, task: u32, stages: &[Stage]) -> TaskHealth {
        let status = self.board.task(&common.name, task as usize);
        let metrics = self.metrics.connector(&common.name, stages);
        TaskHealth::new(&common.name, status, metrics, common.errors_retry_delay_max)
    }
}

/// The name of this machine, for display only.
fn hostname() -> String {
    let named = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    named.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}
