//! The keys that every sink has, independent of its store: topics, formats and write rates.

use towpath_api::{DeadLetterStreak, Error, ErrorType, Result};
use towpath_keys::{ByteSize, Check, FlatReader, KeyDefinition, Keys, Problems, codes, config_keys};

use super::{DeadLetterQueueConfig, DeliveryConfig, ReadingConfig, Selection};

config_keys! {
    /// The topics that a sink reads.
    pub struct TopicsConfig {
        /// The names of the topics to read. Exactly one of `topics` and `topics.regex` is required.
        #[key("topics")]
        pub names: Vec<String> = vec![],
        /// A regular expression that the whole name of a topic must match. New topics are read as they appear. Internal
        /// topics are never matched: those whose names begin with `__`, `_schemas`, `_confluent` or `_redpanda`, and
        /// `offset.storage.topic` and the topics for dead letters of this worker. Name them in `topics` to read them.
        ///
        /// The syntax is that of Rust's crate `regex`, which has neither look-around (`(?!…)`) nor back-references.
        #[key("topics.regex")]
        pub regex: Option<String>,
        /// A regular expression for the whole name of a topic: those that `topics.regex` matches and that are not read.
        #[key("topics.regex.exclude")]
        pub regex_exclude: Option<String>,
    }
}

impl Check for TopicsConfig {
    fn check(&self, problems: &mut Problems) {
        if self.names.is_empty() == self.regex.is_none() {
            problems.invalid("topics", "exactly one of `topics` and `topics.regex` is required");
        }
        for (key, pattern) in [("topics.regex", &self.regex), ("topics.regex.exclude", &self.regex_exclude)] {
            if let Some(pattern) = pattern.as_deref().filter(|pattern| Selection::pattern(pattern).is_err()) {
                problems.invalid(key, refusal(pattern));
            }
        }
        if self.regex_exclude.is_some() && self.regex.is_none() {
            problems.invalid("topics.regex.exclude", "has no effect without `topics.regex`");
        }
    }
}

/// Why a pattern cannot be used. Kafka Connect's patterns are Java's.
fn refusal(pattern: &str) -> String {
    let what = "is not a regular expression of Rust's crate `regex`";
    let java = ["(?!", "(?=", "(?<!", "(?<=", "(?>"].into_iter().find(|look| pattern.contains(look));
    match java {
        Some(look) => format!(
            "{what}, which has no `{look}`: match more topics with `topics.regex`, and leave some of them out with \
             `topics.regex.exclude`"
        ),
        None => what.to_owned(),
    }
}

impl TopicsConfig {
    /// The topics that the sink reads.
    ///
    /// # Errors
    /// `topics.regex` is not a regular expression, which reading the config has refused before.
    pub fn selection(&self) -> Result<Selection> {
        match &self.regex {
            None => Ok(Selection::Names(self.names.clone())),
            Some(pattern) => Selection::pattern_without(pattern, self.regex_exclude.as_deref()).map_err(|error| {
                Error::fatal(codes::INVALID_VALUE, ErrorType::Config, "read `topics.regex`").because(error)
            }),
        }
    }

    /// Returns true if the sink may read more than one topic.
    pub fn several(&self) -> bool {
        self.names.len() > 1 || self.regex.is_some()
    }
}

config_keys! {
    /// The limits of a sink's batches and connections.
    pub struct BatchConfig {
        /// The maximum number of connections per task, and so of partitions that a task writes at the same time.
        #[key("connections.max", range = 1..=64)]
        pub connections_max: u32 = 4,
        /// The maximum number of records in a transaction. A transaction takes the records that arrived during the
        /// previous transaction.
        #[key("batch.max.rows", alias = "batch.size", range = 1..=100_000)]
        pub max_rows: u32 = 5_000,
        /// The maximum size of the keys and values in a transaction. A larger record gets a transaction of its own.
        /// A transaction also ends once its records take twice this size in memory. Each partition that is written has
        /// two such transactions in memory.
        #[key("batch.max.bytes")]
        pub max_bytes: ByteSize = ByteSize::kib(1536),
    }
}

impl Check for BatchConfig {}

config_keys! {
    /// The limit of dead letters in a row.
    pub struct StreakConfig {
        /// The number of dead letters in a row at which a partition stops dead-lettering. It then waits, and tries the
        /// same records again until they can be stored or this limit is raised: such a row has a common cause, and the
        /// topic would otherwise be emptied into the dead letters. With 0, there is no limit. A restart counts from 0.
        #[key("errors.consecutive.limit")]
        pub limit: u32 = DeadLetterStreak::LIMIT,
    }
}

impl Check for StreakConfig {}

/// Keys of every sink.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub topics: TopicsConfig,
    /// The format of the records.
    pub reading: ReadingConfig,
    pub batch: BatchConfig,
    pub delivery: DeliveryConfig,
    pub streak: StreakConfig,
    /// The topic that dead letters are also published to.
    pub dead_letter_queue: DeadLetterQueueConfig,
}

type Parts = (TopicsConfig, (ReadingConfig, (BatchConfig, (DeliveryConfig, (StreakConfig, DeadLetterQueueConfig)))));

impl SinkConfig {
    /// The topics that the sink reads, without its own topic for dead letters.
    ///
    /// # Errors
    /// As for [`TopicsConfig::selection`].
    pub fn selection(&self) -> Result<Selection> {
        Ok(self.topics.selection()?.except(self.dead_letter_queue.topic().map(str::to_owned)))
    }
}

impl Keys for SinkConfig {
    fn definitions() -> Vec<KeyDefinition> {
        Parts::definitions()
    }

    fn read(reader: &mut FlatReader<'_>) -> Option<Self> {
        let (topics, (reading, (batch, (delivery, (streak, dead_letter_queue))))) = Parts::read(reader)?;
        Some(Self { topics, reading, batch, delivery, streak, dead_letter_queue })
    }
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, Problem, read};

    use super::*;

    fn sink(pairs: &[(&str, &str)]) -> Result<SinkConfig, Vec<Problem>> {
        read(&Flat::from_strings(pairs.iter().copied())).map(|(config, _)| config)
    }

    #[test]
    fn topics_are_enough() {
        let config = sink(&[("topics", "a,b")]).unwrap();
        assert!(config.topics.several() && config.topics.selection().unwrap().includes("b"));
        assert_eq!((config.batch.connections_max, config.batch.max_rows), (4, 5_000));
        assert_eq!(config.batch.max_bytes.as_usize(), 1536 << 10);
        assert!(!sink(&[("topics", "a")]).unwrap().topics.several());
        assert_eq!(sink(&[("topics", "a"), ("batch.size", "7")]).unwrap().batch.max_rows, 7);
    }

    #[test]
    fn a_regex_is_for_the_whole_name_of_a_topic() {
        let config = sink(&[("topics.regex", "a|b")]).unwrap();
        assert!(config.topics.several());
        let selection = config.topics.selection().unwrap();
        assert!(selection.includes("b") && !selection.includes("ab"));
    }

    #[test]
    fn exactly_one_of_topics_and_regex_is_given() {
        for pairs in [&[][..], &[("topics", "a"), ("topics.regex", "b")]] {
            let found = sink(pairs).unwrap_err();
            assert_eq!((found.len(), found[0].key.as_str()), (1, "topics"), "{found:?}");
        }
        // `(?x)` makes the rest of the line a comment, and with it the end of the group around the pattern.
        for pattern in ["a(", "(?x)a # b"] {
            let found = sink(&[("topics.regex", pattern)]).unwrap_err();
            assert_eq!((found.len(), found[0].key.as_str()), (1, "topics.regex"), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_java_is_refused_with_the_key_that_does_the_same() {
        let found = sink(&[("topics.regex", r"srv\.(?!audit).*")]).unwrap_err();
        for part in ["`regex`", "`(?!`", "`topics.regex.exclude`"] {
            assert!(found[0].message.contains(part), "{}", found[0].message);
        }
        let config = sink(&[("topics.regex", r"srv\..*"), ("topics.regex.exclude", r"srv\.audit.*|.*\.tmp")]).unwrap();
        let selection = config.topics.selection().unwrap();
        assert!(selection.includes("srv.deals") && selection.includes("srv.x.audit"));
        assert!(!selection.includes("srv.audit_log") && !selection.includes("srv.a.tmp"));
        for pairs in
            [[("topics", "a"), ("topics.regex.exclude", "b")], [("topics.regex", "a"), ("topics.regex.exclude", "(")]]
        {
            assert_eq!(sink(&pairs).unwrap_err()[0].key, "topics.regex.exclude");
        }
    }
}
