//! The start of any sink connector, whatever its store.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use towpath_api::{OpenSink, Placement, Result};
use towpath_keys::{Flat, Problem, codes};

use super::{Connector, Resources};
use crate::{
    config::{ConnectorConfig, Selection, SinkConfig},
    kafka::{
        consumer::TopicConsumer,
        dead_letter_queue::{Context, DeadLetterQueue},
    },
    task::sink::{Budget, Connections, Limits, Pace, SinkContext, SinkTask},
    telemetry::{SinkMetrics, Stage},
};

/// A sink connector that is open on this worker.
pub struct SinkConnector<O: OpenSink> {
    common: ConnectorConfig,
    config: SinkConfig,
    selection: Selection,
    opener: O,
    limits: Limits,
    pace: Pace,
    dead_lettered: Arc<Notify>,
    metrics: SinkMetrics,
    resources: Resources,
}

impl<O: OpenSink> SinkConnector<O> {
    /// Opens the connector; `opener` connects to its store.
    ///
    /// # Errors
    /// Fatal if the topics cannot be selected.
    pub fn new(common: &ConnectorConfig, config: &SinkConfig, opener: O, resources: &Resources) -> Result<Self> {
        let limits = Limits { rows: config.batch.max_rows as usize, bytes: config.batch.max_bytes.as_usize() };
        let metrics = resources.metrics.sink(&common.name);
        Ok(Self {
            common: common.clone(),
            selection: config.selection()?.except(resources.own_topics()),
            config: config.clone(),
            opener,
            limits,
            pace: Pace::new(&config.delivery, limits, metrics.clone()),
            dead_lettered: Arc::default(),
            metrics,
            resources: resources.clone(),
        })
    }

    /// The topic for dead letters, in the one task that copies them.
    fn queue(&self, task: u32) -> Result<Option<DeadLetterQueue>> {
        let (common, config) = (&self.common, &self.config.dead_letter_queue);
        let context = Context { connector: common.name.clone(), tasks: common.tasks_max };
        let context = config.context_headers.then_some(context);
        let open =
            |topic| DeadLetterQueue::new(&self.resources.kafka, &common.name, topic, config.replication, context);
        config.topic().filter(|_| task == 0).map(open).transpose()
    }

    fn context(&self, task: u32, stop: CancellationToken) -> Result<SinkContext<O>> {
        let Self { common, config, resources, .. } = self;
        let kafka = resources.kafka.client(&format!("{}-{task}", common.name));
        Ok(SinkContext {
            connector: common.name.clone(),
            task,
            tasks: common.tasks_max,
            consumer: TopicConsumer::new(kafka, &common.name)?,
            registry: resources.registry.clone(),
            reading: config.reading.reading(),
            connections: Connections::new(self.opener.clone(), config.batch.connections_max, self.metrics.clone()),
            linger: config.delivery.linger,
            streak_limit: config.streak.limit,
            dead_lettered: Arc::clone(&self.dead_lettered),
            pace: self.pace.clone(),
            // A batch and the next one for each connection.
            budget: Budget::new(2 * config.batch.connections_max as usize * self.limits.memory()),
            health: resources.health(common, task, Stage::SINK),
            connector_metrics: resources.metrics.connector(&common.name, Stage::SINK),
            sink_metrics: self.metrics.clone(),
            stop,
        })
    }
}

impl<O: OpenSink> Connector for SinkConnector<O> {
    fn tasks(&self) -> u32 {
        self.common.tasks_max
    }

    fn placement(&self) -> Placement {
        Placement::OneWorker
    }

    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
        let parts = self.context(task, stop).and_then(|context| Ok((context, self.queue(task)?)));
        match parts {
            Ok((context, queue)) => Box::pin(SinkTask::new(self.selection.clone(), Arc::new(context), queue).run()),
            Err(error) => {
                self.resources.health(&self.common, task, Stage::SINK).failed(Stage::Consume, &error);
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Refuses a sink that names its own topic of dead letters: it would dead-letter each record again without end. A
/// pattern does not select that topic.
pub(super) fn refuse_own_dead_letters(flat: &Flat, config: &SinkConfig) -> Result<(), Vec<Problem>> {
    let Some(topic) = config.dead_letter_queue.topic() else { return Ok(()) };
    if !config.topics.names.iter().any(|name| name == topic) {
        return Ok(());
    }
    let key = "errors.deadletterqueue.topic.name";
    let entry = flat.entries().iter().find(|entry| entry.key == key);
    let origin = entry.and_then(|entry| entry.origin.clone()).or_else(|| flat.file_origin());
    let read = format!("topics=[{}]", config.topics.names.join(", "));
    let message = format!(
        "The DLQ topic '{topic}' may not be included in the list of topics ('{read}') consumed by the connector"
    );
    Err(vec![Problem::new(codes::INVALID_VALUE, key, message).at(origin)])
}
