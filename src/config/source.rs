//! The keys that every source has: the topics that it writes.

use towpath_keys::{Check, Problems, config_keys};

/// Kafka's limit for the name of a topic, in bytes.
const MAX_TOPIC: usize = 249;

config_keys! {
    /// Keys of every source.
    pub struct SourceConfig {
        /// The start of topic names: object `deal` goes to topic `<topic.prefix>.deal`.
        #[key("topic.prefix")]
        pub topic_prefix: String,
        /// The number of partitions of a topic that the connector creates.
        #[key("topic.partitions", range = 1..=10_000)]
        pub topic_partitions: i32 = 6,
        /// The replication factor of a topic that the connector creates. Without it, the broker's default is used.
        #[key("topic.replication.factor", range = 1..=100)]
        pub topic_replication_factor: Option<i32>,
    }
}

impl Check for SourceConfig {
    fn check(&self, problems: &mut Problems) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if self.topic_prefix.is_empty() || !self.topic_prefix.bytes().all(allowed) {
            problems.invalid(
                "topic.prefix",
                "must consist of letters, digits, `.`, `_` and `-`, as Kafka requires of topic names",
            );
        }
    }
}

impl SourceConfig {
    /// Reports each object whose topic name would be longer than Kafka allows.
    pub fn check_topics<'a>(&self, objects: impl IntoIterator<Item = &'a str>, problems: &mut Problems) {
        for object in objects {
            if self.topic_prefix.len() + 1 + object.len() > MAX_TOPIC {
                problems.invalid(
                    "topic.prefix",
                    format!("must not lead to a topic name of over {MAX_TOPIC} bytes, as with object `{object}`"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, read};

    use super::*;

    fn read_source(pairs: &[(&str, &str)]) -> Result<SourceConfig, String> {
        read(&Flat::from_strings(pairs.iter().copied()))
            .map(|(config, _)| config)
            .map_err(|problems| problems[0].message.clone())
    }

    #[test]
    fn a_prefix_is_enough() {
        let config = read_source(&[("topic.prefix", "acme.eu-1_x")]).unwrap();
        assert_eq!((config.topic_partitions, config.topic_replication_factor), (6, None));
        let config = read_source(&[("topic.prefix", "acme"), ("topic.replication.factor", "3")]).unwrap();
        assert_eq!(config.topic_replication_factor, Some(3));
    }

    #[test]
    fn a_prefix_has_only_characters_that_kafka_allows() {
        for prefix in ["a b", "a/b", "ä", ""] {
            assert!(read_source(&[("topic.prefix", prefix)]).unwrap_err().contains("Kafka"), "{prefix:?}");
        }
        assert!(read_source(&[]).unwrap_err().contains("is missing"));
    }

    #[test]
    fn a_topic_name_has_at_most_249_bytes() {
        let config = read_source(&[("topic.prefix", &"x".repeat(244))]).unwrap();
        let mut problems = Problems::default();
        config.check_topics(["deal"], &mut problems);
        assert!(problems.found().is_empty());
        config.check_topics(["deal", "deals"], &mut problems);
        assert_eq!(problems.found().len(), 1);
        assert!(problems.found()[0].message.contains("over 249 bytes, as with object `deals`"));
    }
}
