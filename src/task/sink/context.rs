//! The parts that all partitions of a sink task share.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use towpath_api::OpenSink;

use super::{budget::Budget, connections::Connections, pace::Pace};
use crate::{
    avro::{codec::Reading, registry::Registry},
    kafka::consumer::TopicConsumer,
    task::TaskHealth,
    telemetry::{ConnectorMetrics, SinkMetrics},
};

/// Built once for each task by its plugin.
pub(crate) struct SinkContext<O: OpenSink> {
    /// The connector's name, by which the store identifies it.
    pub(crate) connector: String,
    /// This task's number, from 0, and the number of tasks.
    pub(crate) task: u32,
    pub(crate) tasks: u32,
    pub(crate) consumer: TopicConsumer,
    pub(crate) registry: Registry,
    pub(crate) reading: Reading,
    pub(crate) connections: Connections<O>,
    pub(crate) linger: Duration,
    /// The number of dead letters in a row at which a partition waits; 0 for no limit.
    pub(crate) streak_limit: u32,
    /// Notified when records were dead-lettered; shared by all tasks of the connector.
    pub(crate) dead_lettered: Arc<Notify>,
    /// Shared by all tasks of the connector.
    pub(crate) pace: Pace,
    pub(crate) budget: Budget,
    pub(crate) health: TaskHealth,
    pub(crate) connector_metrics: ConnectorMetrics,
    pub(crate) sink_metrics: SinkMetrics,
    pub(crate) stop: CancellationToken,
}
