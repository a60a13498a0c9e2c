//! The start of any source connector, whatever its outside system.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use towpath_api::{OpenSource, Placement, Result, Source};

use super::{Connector, Resources};
use crate::{
    config::{ConnectorConfig, SourceConfig},
    kafka::publisher::{BrokerLimits, JournalSettings, KafkaJournal, KafkaPublisher, TopicSettings},
    task::source::{IntakeCheck, Reporting, SourceTask},
    telemetry::Stage,
};

/// A source without a position, open on this worker: it publishes, and its clients learn the outcome.
pub struct PublishingSource<O> {
    common: ConnectorConfig,
    opener: Arc<O>,
    out: KafkaPublisher,
    intake: Option<Arc<IntakeCheck>>,
    resources: Resources,
}

impl<O: OpenSource> PublishingSource<O> {
    /// Opens the connector.
    ///
    /// # Errors
    /// Fatal if librdkafka refuses a setting.
    pub fn new(common: &ConnectorConfig, topics: &SourceConfig, opener: O, resources: &Resources) -> Result<Self> {
        let (kafka, registry) = (&resources.kafka, resources.registry.clone());
        let metrics = resources.source_metrics.clone();
        let out = KafkaPublisher::new(kafka, registry, settings(topics), &common.name, metrics)?;
        let (common, opener) = (common.clone(), Arc::new(opener));
        Ok(Self { common, opener, out, intake: None, resources: resources.clone() })
    }

    /// Makes the source an intake, which clients send their data to: the worker is not ready for traffic while it does
    /// not run. A source that polls is not an intake, or an outage of its outside system would take the worker off the
    /// load balancer.
    #[must_use]
    pub fn as_intake(self) -> Self {
        let check = IntakeCheck::new(&self.resources.readiness, &self.common.name);
        Self { intake: Some(Arc::new(check)), ..self }
    }
}

impl<O: OpenSource> Connector for PublishingSource<O>
where
    O::Source: Source<Reporting<KafkaPublisher>>,
{
    fn tasks(&self) -> u32 {
        self.opener.tasks(self.common.tasks_max)
    }

    fn placement(&self) -> Placement {
        self.opener.placement()
    }

    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
        let health = Arc::new(self.resources.health(&self.common, task, Stage::SOURCE));
        let out = Reporting::new(self.out.clone(), Arc::clone(&health));
        let source = SourceTask {
            connector: self.common.name.clone(),
            task,
            opener: Arc::clone(&self.opener),
            health,
            intake: self.intake.clone(),
            stop,
        };
        Box::pin(source.run(move || std::future::ready(Ok(out.clone()))))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A source with a position, open on this worker: each task has a journal, which stores events and position together.
pub struct JournalingSource<O> {
    common: ConnectorConfig,
    opener: Arc<O>,
    settings: Arc<JournalSettings>,
    resources: Resources,
}

impl<O: OpenSource> JournalingSource<O> {
    pub fn new(common: &ConnectorConfig, topics: &SourceConfig, opener: O, resources: &Resources) -> Self {
        let settings = JournalSettings {
            kafka: resources.kafka.clone(),
            registry: resources.registry.clone(),
            topics: settings(topics),
            offsets: resources.offsets.clone(),
            limits: BrokerLimits::default(),
            metrics: resources.source_metrics.clone(),
        };
        let (common, opener, settings) = (common.clone(), Arc::new(opener), Arc::new(settings));
        Self { common, opener, settings, resources: resources.clone() }
    }
}

impl<O: OpenSource> Connector for JournalingSource<O>
where
    O::Source: Source<Reporting<KafkaJournal>>,
{
    fn tasks(&self) -> u32 {
        self.opener.tasks(self.common.tasks_max)
    }

    fn placement(&self) -> Placement {
        self.opener.placement()
    }

    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
        let (settings, connector) = (Arc::clone(&self.settings), self.common.name.clone());
        let health = Arc::new(self.resources.health(&self.common, task, Stage::SOURCE));
        let source = SourceTask {
            connector: connector.clone(),
            task,
            opener: Arc::clone(&self.opener),
            health: Arc::clone(&health),
            intake: None,
            stop,
        };
        // A fresh journal for each run: it fences its predecessor before the position is read.
        Box::pin(source.run(move || {
            let (settings, connector, health) = (Arc::clone(&settings), connector.clone(), Arc::clone(&health));
            async move { Ok(Reporting::new(KafkaJournal::open(&settings, &connector, task).await?, health)) }
        }))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn settings(topics: &SourceConfig) -> TopicSettings {
    TopicSettings {
        prefix: topics.topic_prefix.clone(),
        partitions: topics.topic_partitions,
        replication: topics.topic_replication_factor,
    }
}
