//! The class `CloseSource`.

use towpath_api::Result;
use towpath_close::{CloseConfig, OpenCloseSource};
use towpath_keys::{Check, Flat, KeyDefinition, Keys as _, Problem, Problems, read};

use super::{
    Class, ClassConfig, Connector, JournalingSource, Read, Resources, SinkOffsets, TopicCheck, class::Across,
    definition::without_tasks_and_tolerance, doorbell,
};
use crate::config::{ConnectorConfig, SourceConfig, WorkerConfig};

const NO_TASKS: &str = "has no effect for this class: one task reads an organization, and the rate limits of Close, \
                        not the number of tasks, set its pace";
const NO_TOLERANCE: &str = "has no effect for this class: a record that can never be stored is left out, counted and \
                            logged, and makes no dead letter";

/// A Close source as configured.
#[derive(Debug, Clone)]
pub struct Close {
    source: SourceConfig,
    own: Box<CloseConfig>,
}

impl Class for Close {
    const NAME: &'static str = "CloseSource";

    fn keys() -> Vec<KeyDefinition> {
        CloseConfig::definitions()
    }

    fn read(flat: &Flat) -> Result<Read<Self>, Vec<Problem>> {
        let ((_, (common, Across(source, own))), mut warnings) =
            read::<(ClassConfig, (ConnectorConfig, Across<SourceConfig, CloseConfig>))>(flat)?;
        warnings.extend(without_tasks_and_tolerance(flat, &common, NO_TASKS, NO_TOLERANCE));
        Ok((common, Self { source, own: Box::new(own) }, warnings))
    }

    fn announce(&self, common: &ConnectorConfig, resources: &Resources) {
        if self.own.webhook_url.is_some() {
            doorbell::expect(&common.name, resources);
        }
    }

    async fn open(&self, common: &ConnectorConfig, resources: &Resources) -> Result<Box<dyn Connector>> {
        let opener = OpenCloseSource::new(&common.name, (*self.own).clone(), resources.close_metrics.clone());
        let source = Box::new(JournalingSource::new(common, &self.source, opener.clone(), resources));
        let connector = doorbell::hang(&common.name, opener.clone(), source, resources).await?;
        resources.snapshots.register(&common.name, opener.snapshots());
        Ok(connector)
    }

    async fn stored_offsets(&self, _: &ConnectorConfig, _: &str) -> Result<Option<SinkOffsets>> {
        Ok(None)
    }

    async fn preflight(&self, _: &ConnectorConfig, _: &WorkerConfig) -> Result<Vec<TopicCheck>> {
        Ok(Vec::new())
    }
}

impl Check for Across<SourceConfig, CloseConfig> {
    fn check(&self, problems: &mut Problems) {
        let Self(source, own) = self;
        source.check_topics(own.object_names(), problems);
    }
}
