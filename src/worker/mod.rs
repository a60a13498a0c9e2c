//! The worker: starts what is configured, watches over it, and ends it in order.
//!
//! A task that has failed stays so and says why; the others go on. Which worker runs which task is not decided here
//! yet: there is one.

mod adaptive;
mod anchor;
mod budget;
mod collect;
mod connections;
mod connectors;
mod dead_letters;
mod deletes;
mod health;
mod pace;
mod probe;
mod sink_partition;
mod sink_task;
mod source_task;
mod store;

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType, OpenSink, Result};
use towpath_postgres::{OpenPostgresSink, PostgresSinkConfig, SinkSettings};
use towpath_webhook::{Listener, OpenWebhookSource, WebhookConfig, WebhookMetrics};

pub use connectors::{ConnectorDefinition, OwnConfig, catalogue};

use self::{
    collect::Limits,
    health::TaskHealth,
    pace::Pace,
    sink_task::{SinkTask, SinkTaskParts},
};
use crate::{
    avro::registry::Registry,
    config::{ConnectorConfig, DeadLetterQueueConfig, ErrorsTolerance, SinkConfig, SourceConfig, WorkerConfig},
    kafka::{
        client::{ClusterProbe, KafkaSettings},
        dead_letter_queue::{Context, DeadLetterQueue},
        publisher::{KafkaPublisher, SourceMetrics, TopicSettings},
    },
    rest,
    telemetry::{Metrics, Readiness, Stage, StatusBoard},
};

/// What all connectors of a worker share.
struct Worker {
    kafka: KafkaSettings,
    registry: Registry,
    metrics: Metrics,
    source_metrics: SourceMetrics,
    board: StatusBoard,
    readiness: Readiness,
    /// Names this process as no other, for the store and for people who look into it.
    owner: String,
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
}

/// Runs `connectors` until `stop` is cancelled, then drains: intake stops, batches in flight finish, offsets are
/// committed.
///
/// # Errors
/// Fatal when nothing could be started at all: a listener's address is taken, or librdkafka refuses a setting. What
/// happens to a connector later is told by its state.
pub async fn run(config: WorkerConfig, connectors: Vec<ConnectorDefinition>, stop: CancellationToken) -> Result<()> {
    let metrics = Metrics::new();
    let start = uuid::Uuid::new_v4().simple().to_string();
    let owner = format!("{}@{}:{}:{}", config.group_id, hostname(), std::process::id(), &start[..8]);
    let (board, readiness) = (StatusBoard::new(&metrics).with_worker(owner.as_str()), Readiness::new());
    let api = rest::Api::new(metrics.clone(), readiness.clone(), board.clone());
    let server = rest::Server::bind(&config.listeners, api).await?;
    let intake = Intake::bind(&config, &connectors, &metrics, &readiness).await?;
    let kafka = KafkaSettings::new(&config.bootstrap_servers, &config.group_id, config.kafka.iter());
    let source_metrics =
        SourceMetrics::register(metrics.registry()).map_err(|error| internal("register metrics", error))?;
    let registry = Registry::new(&config.schema_registry_url, metrics.registry())?;
    // The listeners outlive the tasks: whoever asks while they drain gets an answer.
    let closed = CancellationToken::new();
    let mut services = JoinSet::new();
    services.spawn(server.serve(closed.clone()));
    let watching =
        probe::watch(ClusterProbe::new(&kafka)?, registry.clone(), readiness.clone(), board.clone(), closed.clone());
    services.spawn(watching.map(Ok));

    let mut worker = Worker {
        kafka,
        registry,
        metrics,
        source_metrics,
        board,
        readiness,
        owner,
        stop: stop.clone(),
        tasks: JoinSet::new(),
    };
    let mut started = Ok(());
    for ConnectorDefinition { common, own } in connectors {
        started = match (own, &intake) {
            (OwnConfig::Webhook(topics, own), Some(intake)) => worker.start_webhook(common, &topics, *own, intake),
            (OwnConfig::Webhook(..), None) => Err(internal("start a webhook source", "its listener is not bound")),
            (OwnConfig::Postgres(sink, own), _) => worker.start_postgres(&common, &sink, *own),
        };
        if started.is_err() {
            stop.cancel();
            break;
        }
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A task that has failed says so itself and stays so. One that panicked cannot: the process ends and is
            // started afresh.
            Some(ended) = worker.tasks.join_next() => if let Err(panic) = ended {
                started = Err(internal("run a task, which ended by a bug; please report it", panic));
                stop.cancel();
            },
        }
    }
    // Posts are refused from here on, so none should be sent here.
    worker.readiness.not_ready("worker", "stopping");
    tracing::info!("stopping: no more intake, what is in flight finishes");
    while let Some(ended) = worker.tasks.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(code = "internal.panic", error = %panic, "a task ended by a bug; please report it");
        }
    }
    if let Some(intake) = &intake {
        intake.listener.close().await;
    }
    closed.cancel();
    while services.join_next().await.is_some() {}
    started
}

/// The listener that all webhook sources share.
struct Intake {
    listener: Listener,
    metrics: WebhookMetrics,
}

impl Intake {
    /// Binds the webhook listeners, if a connector needs them.
    async fn bind(
        config: &WorkerConfig,
        connectors: &[ConnectorDefinition],
        metrics: &Metrics,
        readiness: &Readiness,
    ) -> Result<Option<Self>> {
        if !connectors.iter().any(|connector| matches!(connector.own, OwnConfig::Webhook(..))) {
            return Ok(None);
        }
        let webhooks = connectors.iter().filter(|connector| matches!(connector.own, OwnConfig::Webhook(..)));
        let names: Vec<&str> = webhooks.map(|connector| connector.common.name.as_str()).collect();
        let listener = Listener::new(config.webhook_listeners.clone());
        // Announce webhooks before accepting connections: during start-up clients get 503 (retry), not 404 (final).
        listener.announce(names.iter().copied()).await?;
        names.into_iter().for_each(|name| source_task::announce(readiness, name));
        let metrics =
            WebhookMetrics::register(metrics.registry()).map_err(|error| internal("register metrics", error))?;
        Ok(Some(Self { listener, metrics }))
    }
}

impl Worker {
    fn start_webhook(
        &mut self,
        common: ConnectorConfig,
        source: &SourceConfig,
        own: WebhookConfig,
        intake: &Intake,
    ) -> Result<()> {
        let topics = TopicSettings {
            prefix: source.topic_prefix.clone(),
            partitions: source.topic_partitions,
            replication: source.topic_replication_factor,
        };
        let opener = OpenWebhookSource::new(&common.name, own, intake.listener.clone(), intake.metrics.clone());
        let out =
            KafkaPublisher::new(&self.kafka, self.registry.clone(), topics, &common.name, self.source_metrics.clone())?;
        let health = self.health(&common, 0, Stage::SOURCE);
        self.tasks.spawn(source_task::run(common.name, opener, out, health, self.readiness.clone(), self.stop.clone()));
        Ok(())
    }

    fn start_postgres(&mut self, common: &ConnectorConfig, sink: &SinkConfig, own: PostgresSinkConfig) -> Result<()> {
        let settings = SinkSettings {
            name: common.name.clone(),
            owner: self.owner.clone(),
            tolerate_poison: common.errors_tolerance == ErrorsTolerance::All,
            retry_timeout: common.errors_retry_timeout.duration(),
        };
        let opener = OpenPostgresSink::new(settings, own);
        self.start_sink(common, sink, &opener)
    }

    fn start_sink<O: OpenSink>(&mut self, common: &ConnectorConfig, sink: &SinkConfig, opener: &O) -> Result<()> {
        let selection = sink.topics.selection()?;
        let limits = Limits { rows: sink.batch.max_rows as usize, bytes: sink.batch.max_bytes.as_usize() };
        let sink_metrics = self.metrics.sink(&common.name);
        let pace = Pace::new(&sink.delivery, limits, sink_metrics.clone());
        let set_aside = Arc::new(Notify::new());
        for task in 0..common.tasks_max {
            // One task sends the dead letters of all.
            let queue =
                (task == 0).then(|| self.dead_letter_queue(common, &sink.dead_letter_queue)).transpose()?.flatten();
            let parts = SinkTaskParts {
                connector: common.name.clone(),
                task,
                tasks: common.tasks_max,
                selection: selection.clone(),
                opener: opener.clone(),
                connections_max: sink.batch.connections_max,
                limits,
                linger: sink.delivery.linger,
                queue,
                set_aside: Arc::clone(&set_aside),
                pace: pace.clone(),
                kafka: self.kafka.client(&format!("{}-{task}", common.name)),
                registry: self.registry.clone(),
                reading: sink.reading.reading(),
                health: self.health(common, task, Stage::SINK),
                connector_metrics: self.metrics.connector(&common.name, Stage::SINK),
                sink_metrics: sink_metrics.clone(),
            };
            self.tasks.spawn(SinkTask::new(parts, &self.stop)?.run());
        }
        Ok(())
    }

    fn dead_letter_queue(
        &self,
        common: &ConnectorConfig,
        config: &DeadLetterQueueConfig,
    ) -> Result<Option<DeadLetterQueue>> {
        let context = Context { connector: common.name.clone(), tasks: common.tasks_max };
        let context = config.context_headers.then_some(context);
        let queue = |topic| DeadLetterQueue::new(&self.kafka, &common.name, topic, config.replication, context);
        config.topic().map(queue).transpose()
    }

    fn health(&self, common: &ConnectorConfig, task: u32, stages: &[Stage]) -> TaskHealth {
        let status = self.board.task(&common.name, task as usize);
        TaskHealth::new(
            &common.name,
            status,
            self.metrics.connector(&common.name, stages),
            common.errors_retry_delay_max,
        )
    }
}

fn internal(doing: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::fatal("internal.start", ErrorType::Internal, doing).because(why)
}

/// The name of this machine; it is only shown.
fn hostname() -> String {
    let named = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    named.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}
