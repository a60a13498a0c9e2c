//! The class `WebhookSource`, and the listener that all webhooks of a worker share.

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use towpath_api::{Placement, Result};
use towpath_keys::{Check, Flat, KeyDefinition, Keys as _, Problem, Problems, read};
use towpath_webhook::{DoorLimits, Limits, Listener, OpenWebhookSource, WebhookConfig, WebhookMetrics};

use super::{
    Class, ClassConfig, Connector, Read, Resources, SinkOffsets, TopicCheck, class::Across,
    definition::without_tasks_and_tolerance, source::PublishingSource,
};
use crate::config::{ConnectorConfig, SourceConfig, WorkerConfig};

const NO_TASKS: &str = "has no effect for this class: one task listens, and it serves posts side by side";
const NO_TOLERANCE: &str =
    "has no effect for this class: a post that cannot be stored is refused with the reason and makes no dead letter";

/// A webhook source as configured.
#[derive(Debug, Clone)]
pub struct Webhook {
    source: SourceConfig,
    own: Box<WebhookConfig>,
}

impl Class for Webhook {
    const NAME: &'static str = "WebhookSource";

    fn keys() -> Vec<KeyDefinition> {
        WebhookConfig::definitions()
    }

    fn read(flat: &Flat) -> Result<Read<Self>, Vec<Problem>> {
        let ((_, (common, Across(source, own))), mut warnings) =
            read::<(ClassConfig, (ConnectorConfig, Across<SourceConfig, WebhookConfig>))>(flat)?;
        warnings.extend(without_tasks_and_tolerance(flat, &common, NO_TASKS, NO_TOLERANCE));
        Ok((common, Self { source, own: Box::new(own) }, warnings))
    }

    fn announce(&self, common: &ConnectorConfig, resources: &Resources) {
        resources.intake.listener.expect(&common.name);
    }

    async fn open(&self, common: &ConnectorConfig, resources: &Resources) -> Result<Box<dyn Connector>> {
        let Intake { listener, metrics } = resources.intake.clone();
        let opener = OpenWebhookSource::new(&common.name, (*self.own).clone(), listener.clone(), metrics);
        let source = PublishingSource::new(common, &self.source, opener, resources)?.as_intake();
        if let Err(error) = listener.announce([common.name.as_str()]).await {
            listener.forget(&common.name).await;
            return Err(error);
        }
        Ok(Box::new(OpenWebhook { name: common.name.clone(), source, listener }))
    }

    async fn stored_offsets(&self, _: &ConnectorConfig, _: &str) -> Result<Option<SinkOffsets>> {
        Ok(None)
    }

    async fn preflight(&self, _: &ConnectorConfig, _: &WorkerConfig) -> Result<Vec<TopicCheck>> {
        Ok(Vec::new())
    }
}

/// An open webhook. Its name stays known to the listener until it is closed: posts are answered 503 while its task does
/// not run.
struct OpenWebhook {
    name: String,
    source: PublishingSource<OpenWebhookSource>,
    listener: Listener,
}

impl Connector for OpenWebhook {
    fn tasks(&self) -> u32 {
        self.source.tasks()
    }

    fn placement(&self) -> Placement {
        self.source.placement()
    }

    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>> {
        self.source.task(task, stop)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.listener.forget(&self.name).await })
    }
}

/// The listener that all webhook sources of a worker share. Its sockets are open while there is one.
#[derive(Clone)]
pub(crate) struct Intake {
    listener: Listener,
    metrics: WebhookMetrics,
}

impl Intake {
    /// Binds nothing.
    ///
    /// # Errors
    /// The metrics are registered already.
    pub(super) fn new(config: &WorkerConfig, registry: &prometheus::Registry) -> prometheus::Result<Self> {
        let metrics = WebhookMetrics::register(registry)?;
        let limits = DoorLimits {
            connections: Limits {
                connections: config.webhook_connections_max,
                connections_per_address: config.webhook_connections_max_per_address,
                proxies: config.proxies().collect(),
            },
            bodies_max_bytes: config.webhook_bodies_max.as_usize(),
        };
        Ok(Self { listener: Listener::with_limits(config.webhook_listeners.clone(), limits, &metrics), metrics })
    }

    /// The listener, for a connector that answers posts of its own.
    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Removes the metrics of a closed webhook.
    pub(super) fn forget(&self, connector: &str) {
        self.metrics.remove_connector(connector);
    }

    /// Closes the sockets after the answers in flight.
    pub(super) async fn close(&self) {
        self.listener.close().await;
    }
}

impl Check for Across<SourceConfig, WebhookConfig> {
    fn check(&self, problems: &mut Problems) {
        let Self(source, own) = self;
        source.check_topics(own.object_names(), problems);
    }
}
