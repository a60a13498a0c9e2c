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
        Ok((common, Self { own: Box::new(named(&sink, own)), sink: Box::new(sink) }, warnings))
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

/// The keys with the default of `table.name.regex`.
fn named(sink: &SinkConfig, mut own: PostgresSinkConfig) -> PostgresSinkConfig {
    own.table_name_regex = own.table_name_regex.or_else(|| sink.topics.regex.clone());
    own
}

impl Check for Across<SinkConfig, PostgresSinkConfig> {
    fn check(&self, problems: &mut Problems) {
        let Self(sink, own) = self;
        check_names(sink, own, problems);
        check_filters(sink, own, problems);
        if sink.topics.several() && !own.parts_topics() {
            // Offsets of different topics say nothing about each other's order.
            problems.invalid(
                "table.name.format",
                "must contain `${topic}` where several topics are read: two topics cannot share a table",
            );
        }
    }
}

/// Checks that each topic can have a table, as far as topics are known.
fn check_names(sink: &SinkConfig, own: &PostgresSinkConfig, problems: &mut Problems) {
    let named = named(sink, own.clone());
    if own.table_name_regex.is_some() && !own.names_groups() {
        problems.warn("table.name.regex", "has no effect: `table.name.format` names none of its groups");
    }
    if !named.names_groups() {
        // A group without an expression, or one that `topics.regex` lacks.
        if own.names_groups() {
            let message = "names a group that neither `table.name.regex` nor `topics.regex` has";
            problems.invalid("table.name.format", message);
        }
        return;
    }
    if named.table_name_regex.is_none() {
        problems.invalid("table.name.format", "names a group, and there is no `table.name.regex`");
        return;
    }
    for topic in &sink.topics.names {
        if let Err(why) = named.check_table_name(topic) {
            problems.invalid("table.name.regex", format!("cannot name the table of a topic: {why}"));
        }
    }
}

/// Refuses filters of topics that are not read: a field that was meant to be left out would be stored.
fn check_filters(sink: &SinkConfig, own: &PostgresSinkConfig, problems: &mut Problems) {
    let Ok(selection) = sink.topics.selection() else { return };
    for (key, topic, entry) in own.filtered_topics().filter(|(_, topic, _)| !selection.includes(topic)) {
        problems.invalid(
            key,
            format!(
                "has `{entry}`, and topic `{topic}` is not read; a field whose own name has a colon is named with its \
                 topic, as `topic:{entry}`"
            ),
        );
    }
}
