//! The class `PostgresSink`.

use towpath_api::{OpenSink as _, Result};
use towpath_keys::{Check, Flat, KeyDefinition, Keys as _, Problem, Problems, read};
use towpath_postgres::{OpenPostgresSink, PostgresSinkConfig, SinkSettings, StandingView, preflight, standing_views};

use super::{
    Class, ClassConfig, Connector, Read, Resources, SinkOffsets, TableCheck, TopicCheck, ViewCheck,
    class::Across,
    preflight::topics,
    sink::{SinkConnector, refuse_own_dead_letters},
    views::standard_views,
};
use crate::config::{ConnectorConfig, ErrorsTolerance, SinkConfig, WorkerConfig};

/// A Postgres sink as configured.
#[derive(Debug, Clone)]
pub struct Postgres {
    sink: Box<SinkConfig>,
    own: Box<PostgresSinkConfig>,
}

impl Postgres {
    fn opener(&self, common: &ConnectorConfig, owner: &str) -> OpenPostgresSink {
        let settings = SinkSettings {
            name: common.name.clone(),
            owner: owner.to_owned(),
            tolerate_poison: common.errors_tolerance == ErrorsTolerance::All,
            retry_timeout: common.errors_retry_timeout.duration(),
        };
        OpenPostgresSink::with_views(settings, (*self.own).clone(), standard_views())
    }
}

impl Class for Postgres {
    const NAME: &'static str = "PostgresSink";

    fn keys() -> Vec<KeyDefinition> {
        PostgresSinkConfig::definitions()
    }

    fn read(flat: &Flat) -> Result<Read<Self>, Vec<Problem>> {
        let ((_, (common, Across(sink, own))), warnings) =
            read::<(ClassConfig, (ConnectorConfig, Across<SinkConfig, PostgresSinkConfig>))>(flat)?;
        refuse_own_dead_letters(flat, &sink)?;
        Ok((common, Self { sink: Box::new(sink), own: Box::new(own) }, warnings))
    }

    fn announce(&self, _: &ConnectorConfig, resources: &Resources) {
        resources.note_own_topic(self.sink.dead_letter_queue.topic());
    }

    async fn open(&self, common: &ConnectorConfig, resources: &Resources) -> Result<Box<dyn Connector>> {
        let opener = self.opener(common, &resources.owner);
        Ok(Box::new(SinkConnector::new(common, &self.sink, opener, resources)?))
    }

    async fn stored_offsets(&self, common: &ConnectorConfig, owner: &str) -> Result<Option<SinkOffsets>> {
        let store = self.opener(common, owner).open().await?;
        Ok(Some(SinkOffsets { selection: self.sink.selection()?, store: Box::new(store) }))
    }

    async fn standing_views(&self, common: &ConnectorConfig) -> Result<Option<Vec<ViewCheck>>> {
        let found = standing_views(&self.own, &common.name, standard_views()).await?;
        let check = |StandingView { view, name, why_not, without }| ViewCheck { view, name, why_not, without };
        Ok(Some(found.into_iter().map(check).collect()))
    }

    async fn preflight(&self, common: &ConnectorConfig, worker: &WorkerConfig) -> Result<Vec<TopicCheck>> {
        topics(common, &self.sink, worker, async |topic, key, value| {
            let tables = preflight(&self.own, &topic, key, value).await?;
            let check = |found: towpath_postgres::Preflight| TableCheck {
                table: found.table,
                makes: found.makes,
                lacks: found.lacks,
                mends: found.mends,
            };
            Ok(tables.into_iter().map(check).collect())
        })
        .await
    }
}

impl Check for Across<SinkConfig, PostgresSinkConfig> {
    fn check(&self, problems: &mut Problems) {
        let Self(sink, own) = self;
        if sink.topics.several() && !own.parts_topics() {
            // Offsets of different topics say nothing about each other's order.
            problems.invalid(
                "table.name.format",
                "must contain `${topic}` where several topics are read: two topics cannot share a table",
            );
        }
    }
}
