//! The connectors that there are: one variant and one arm each, and the compiler finds what is missing.

use towpath_keys::{Check, Flat, FlatReader, KeyDefinition, Keys, Problem, Problems, read};
use towpath_postgres::PostgresSinkConfig;
use towpath_webhook::WebhookConfig;

use crate::config::{ConnectorClass, ConnectorConfig, SinkConfig, SourceConfig};

const NO_TASKS: &str = "has no effect for this class: one task listens, and it serves posts side by side";
const NO_TOLERANCE: &str =
    "has no effect for this class: a post that cannot be stored is refused with the reason and makes no dead letter";

/// A connector as configured: the keys that all have, and its own.
#[derive(Debug, Clone)]
pub struct ConnectorDefinition {
    /// The keys that all have.
    pub common: ConnectorConfig,
    /// Its own.
    pub own: OwnConfig,
}

/// The keys of one class.
#[derive(Debug, Clone)]
pub enum OwnConfig {
    /// `connector.class = "WebhookSource"`.
    Webhook(SourceConfig, Box<WebhookConfig>),
    /// `connector.class = "PostgresSink"`.
    Postgres(SinkConfig, Box<PostgresSinkConfig>),
}

impl ConnectorDefinition {
    /// Reads a connector's map; also returns warnings. Connects to nothing.
    ///
    /// # Errors
    /// Every problem of the map at once.
    pub fn read(flat: &Flat) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        match class(flat)? {
            ConnectorClass::WebhookSource => {
                let ((common, WebhookKeys(source, own)), mut warnings) = read::<(ConnectorConfig, WebhookKeys)>(flat)?;
                let tasks = ("tasks.max", common.tasks_max > 1, NO_TASKS);
                let tolerance = ("errors.tolerance", flat.get("errors.tolerance").is_some(), NO_TOLERANCE);
                let timeout = ("errors.retry.timeout", flat.get("errors.retry.timeout").is_some(), NO_TOLERANCE);
                for (key, given, why) in [tasks, tolerance, timeout] {
                    warnings.extend(given.then(|| without_effect(flat, key, why)));
                }
                Ok((Self { common, own: OwnConfig::Webhook(source, Box::new(own)) }, warnings))
            }
            ConnectorClass::PostgresSink => {
                let ((common, PostgresKeys(sink, own)), warnings) = read::<(ConnectorConfig, PostgresKeys)>(flat)?;
                refuse_own_letters(flat, &sink)?;
                Ok((Self { common, own: OwnConfig::Postgres(sink, Box::new(own)) }, warnings))
            }
        }
    }
}

/// All keys of a webhook source but those of every connector, with the checks across them.
struct WebhookKeys(SourceConfig, WebhookConfig);

impl Keys for WebhookKeys {
    fn definitions() -> Vec<KeyDefinition> {
        <(SourceConfig, WebhookConfig)>::definitions()
    }

    fn read(reader: &mut FlatReader<'_>) -> Option<Self> {
        let (source, own) = Keys::read(reader)?;
        let keys = Self(source, own);
        reader.check(&keys);
        Some(keys)
    }
}

impl Check for WebhookKeys {
    fn check(&self, problems: &mut Problems) {
        let Self(source, own) = self;
        source.check_topics(own.object_names(), problems);
    }
}

/// All keys of a Postgres sink but those of every connector, with the checks across them.
struct PostgresKeys(SinkConfig, PostgresSinkConfig);

impl Keys for PostgresKeys {
    fn definitions() -> Vec<KeyDefinition> {
        <(SinkConfig, PostgresSinkConfig)>::definitions()
    }

    fn read(reader: &mut FlatReader<'_>) -> Option<Self> {
        let (sink, own) = Keys::read(reader)?;
        let keys = Self(sink, own);
        reader.check(&keys);
        Some(keys)
    }
}

impl Check for PostgresKeys {
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

/// A sink that reads its own dead letters would set each aside again for ever.
fn refuse_own_letters(flat: &Flat, sink: &SinkConfig) -> Result<(), Vec<Problem>> {
    let Some(topic) = sink.dead_letter_queue.topic() else { return Ok(()) };
    if !sink.topics.selection().is_ok_and(|selection| selection.includes(topic)) {
        return Ok(());
    }
    let key = "errors.deadletterqueue.topic.name";
    let entry = flat.entries().iter().find(|entry| entry.key == key);
    let origin = entry.and_then(|entry| entry.origin.clone()).or_else(|| flat.file_origin());
    let read = match &sink.topics.regex {
        None => format!("topics=[{}]", sink.topics.names.join(", ")),
        Some(regex) => format!("topics.regex={regex}"),
    };
    let message = format!(
        "The DLQ topic '{topic}' may not be included in the list of topics ('{read}') consumed by the connector"
    );
    Err(vec![Problem::new("config.invalid_value", key, message).at(origin)])
}

/// Warns of a key that was given and does nothing.
fn without_effect(flat: &Flat, key: &str, why: &str) -> Problem {
    let entry = flat.entries().iter().find(|entry| entry.key == key);
    let origin = entry.and_then(|entry| entry.origin.clone()).or_else(|| flat.file_origin());
    Problem::new("config.warning", key, format!("`{key}`: {why}")).at(origin)
}

/// Which class the map names. Without one only the keys that every connector has can be checked.
fn class(flat: &Flat) -> Result<ConnectorClass, Vec<Problem>> {
    let key = "connector.class";
    let entry = flat.entries().iter().filter(|entry| entry.key == key);
    let mut alone = Flat::from_strings([("name", "any")]);
    entry.for_each(|entry| alone.push(key, entry.value.clone(), entry.origin.clone()));
    match read::<ConnectorConfig>(&alone) {
        Ok((common, _)) => Ok(common.class),
        Err(mut problems) => {
            for problem in &mut problems {
                problem.origin = problem.origin.take().or_else(|| flat.file_origin());
            }
            Err(problems)
        }
    }
}

/// Title and keys of each class, for the documentation.
pub fn catalogue() -> Vec<(&'static str, Vec<KeyDefinition>)> {
    vec![("WebhookSource", WebhookConfig::definitions()), ("PostgresSink", PostgresSinkConfig::definitions())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_without_a_class_or_of_an_unknown_one_says_so_and_nothing_else() {
        let read =
            |pairs: &[(&str, &str)]| ConnectorDefinition::read(&Flat::from_strings(pairs.iter().copied())).unwrap_err();
        let found = read(&[("name", "pg"), ("topics", "a")]);
        assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, "connector.class", "config.missing_key"));
        let found = read(&[("name", "pg"), ("connector.class", "PostgreSink")]);
        assert_eq!((found.len(), found[0].suggestion.as_deref()), (1, Some("PostgresSink")));
    }

    #[test]
    fn a_class_brings_its_own_keys_and_no_others() {
        let keys = [
            ("name", "pg"),
            ("connector.class", "PostgresSink"),
            ("connection.url", "postgres://h/d"),
            ("topics", "a"),
        ];
        let (definition, warnings) = ConnectorDefinition::read(&Flat::from_strings(keys)).unwrap();
        assert!(matches!(definition.own, OwnConfig::Postgres(..)) && warnings.is_empty());
        let found =
            ConnectorDefinition::read(&Flat::from_strings(keys.into_iter().chain([("objects", "x")]))).unwrap_err();
        assert_eq!((found.len(), found[0].code), (1, "config.unknown_key"));
    }

    #[test]
    fn a_sink_does_not_read_its_own_dead_letters() {
        let keys = [("name", "pg"), ("connector.class", "PostgresSink"), ("connection.url", "postgres://h/d")];
        let refused = |more: [(&str, &str); 2]| {
            ConnectorDefinition::read(&Flat::from_strings(keys.into_iter().chain(more))).err()
        };
        let queue = "errors.deadletterqueue.topic.name";
        for topics in [("topics", "b,a"), ("topics.regex", "a|b")] {
            let found = refused([topics, (queue, "a")]).unwrap();
            assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, queue, "config.invalid_value"));
            assert!(
                found[0].message.starts_with("The DLQ topic 'a' may not be included in the list of topics ('topics"),
                "{}",
                found[0].message
            );
            assert!(refused([topics, (queue, "c")]).is_none() && refused([topics, (queue, "")]).is_none());
        }
    }

    #[test]
    fn two_topics_do_not_share_a_table() {
        let keys = [("name", "pg"), ("connector.class", "PostgresSink"), ("connection.url", "postgres://h/d")];
        let read = |more: [(&str, &str); 2]| {
            ConnectorDefinition::read(&Flat::from_strings(keys.into_iter().chain(more))).err().unwrap_or_default()
        };
        for format in ["table.name.format", "collection.name.format"] {
            for topics in [("topics", "a,b"), ("topics.regex", "a")] {
                let found = read([topics, (format, "deals")]);
                assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, format, "config.invalid_value"));
                assert!(found[0].message.contains("two topics cannot share a table"), "{}", found[0].message);
                assert!(read([topics, (format, "t_${topic}")]).is_empty());
            }
            assert!(read([("topics", "a"), (format, "deals")]).is_empty());
        }
    }

    /// Reads a webhook source: keys that are enough, with `given` in their place or added.
    fn webhook(given: &[(&str, &str)]) -> Result<(ConnectorDefinition, Vec<Problem>), Vec<Problem>> {
        let folder = tempfile::tempdir().unwrap();
        let schema = r#"{"type":"record","name":"deals","fields":[{"name":"id","type":"string"}]}"#;
        std::fs::write(folder.path().join("deals.avsc"), schema).unwrap();
        let needed = [
            ("name", "hook"),
            ("connector.class", "WebhookSource"),
            ("topic.prefix", "acme"),
            ("objects", "deals"),
            ("objects.deals.schema", "deals.avsc"),
            ("clients.acme.secret", "s"),
        ];
        let others = needed.iter().filter(|(key, _)| !given.iter().any(|(other, _)| key == other));
        let flat = Flat::from_strings(others.chain(given).copied()).with_base_dir(folder.path());
        ConnectorDefinition::read(&flat)
    }

    #[test]
    fn a_prefix_and_an_object_make_a_name_that_a_topic_can_have() {
        assert!(webhook(&[("topic.prefix", &"x".repeat(243))]).is_ok());
        for (prefix, objects, messages) in [
            ("a b".to_owned(), "deals", &["as Kafka's topics are"][..]),
            ("x".repeat(244), "deals", &["over 249 bytes, as it does with `deals`"]),
            (
                "x".repeat(244),
                "deals,Pasted",
                &["name 2 must be lower-case", "over 249 bytes, as it does with `deals`"],
            ),
            ("x".repeat(244), "deals,deals", &["must not name `deals` twice", "over 249 bytes"]),
        ] {
            let found = webhook(&[("topic.prefix", &prefix), ("objects", objects)]).unwrap_err();
            assert_eq!(found.len(), messages.len(), "{found:?}");
            for (problem, message) in found.iter().zip(messages) {
                assert!(problem.message.contains(message), "{}", problem.message);
            }
        }
    }

    #[test]
    fn keys_that_do_nothing_for_a_webhook_are_warned_of() {
        let warned = |given: &[(&str, &str)]| {
            let (_, warnings) = webhook(given).unwrap();
            assert!(warnings.iter().all(|warning| warning.code == "config.warning"));
            warnings.into_iter().map(|warning| warning.key).collect::<Vec<_>>()
        };
        assert_eq!(warned(&[]), Vec::<String>::new());
        assert_eq!(warned(&[("tasks.max", "1")]), Vec::<String>::new());
        assert_eq!(warned(&[("tasks.max", "2")]), ["tasks.max"]);
        assert_eq!(warned(&[("errors.tolerance", "all")]), ["errors.tolerance"]);
        assert_eq!(warned(&[("errors.tolerance", "none"), ("tasks.max", "3")]), ["tasks.max", "errors.tolerance"]);
    }
}
