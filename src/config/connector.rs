//! The keys that every connector has.

use std::time::Duration;

use towpath_keys::{Check, Problems, Timeout, config_enum, config_keys};

config_enum! {
    /// The treatment of a record that can never be stored.
    pub enum ErrorsTolerance {
        /// The partition of the record waits, and tries the record again.
        None = "none",
        /// The record becomes a dead letter, and the task continues.
        All = "all",
    }
}

config_keys! {
    /// Keys of every connector.
    pub struct ConnectorConfig {
        /// The name of the connector: letters, digits, `.`, `_` and `-`. The consumer group of a sink is
        /// `connect-<name>`.
        #[key("name")]
        pub name: String,
        /// The maximum number of tasks that share the work.
        #[key("tasks.max", range = 1..)]
        pub tasks_max: u32 = 1,
        /// The treatment of a record that can never be stored.
        #[key("errors.tolerance")]
        pub errors_tolerance: ErrorsTolerance = ErrorsTolerance::All,
        /// The longest wait between two attempts while a broker, a registry or a database is unavailable.
        #[key("errors.retry.delay.max.ms", range = Duration::from_millis(1)..)]
        pub errors_retry_delay_max: Duration = Duration::from_mins(1),
        /// How long to retry a record that later records may make acceptable, such as a record that refers to a missing
        /// row. After this time, the record counts as one that can never be stored. A duration, a number of
        /// milliseconds, or `-1` for no limit. Outages are retried without a limit.
        #[key("errors.retry.timeout")]
        pub errors_retry_timeout: Timeout = Timeout::after(Duration::from_mins(1)),
    }
}

impl Check for ConnectorConfig {
    fn foreign() -> &'static [(&'static str, &'static str)] {
        super::connect::FOREIGN
    }

    fn check(&self, problems: &mut Problems) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.name.is_empty() || !self.name.chars().all(allowed) {
            problems.invalid("name", "must consist of letters, digits, `.`, `_` and `-`, and must not be empty");
        }
    }
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, Problem, read};

    use super::*;

    fn with(key: &str, value: &str) -> Result<ConnectorConfig, Vec<Problem>> {
        let others = [("name", "pg")].into_iter().filter(|(other, _)| *other != key);
        read(&Flat::from_strings(others.chain([(key, value)]))).map(|(config, _)| config)
    }

    #[test]
    fn a_name_is_enough() {
        let config = with("name", "my.pg_sink-2").unwrap();
        assert_eq!(config.tasks_max, 1);
        assert_eq!(config.errors_tolerance, ErrorsTolerance::All);
        assert_eq!(config.errors_retry_delay_max, Duration::from_mins(1));
        assert_eq!(config.errors_retry_timeout.duration(), Some(Duration::from_mins(1)));
    }

    #[test]
    fn a_retry_timeout_is_a_duration_or_unlimited() {
        let timeout = |value| with("errors.retry.timeout", value).map(|config| config.errors_retry_timeout.duration());
        assert_eq!(timeout("-1").unwrap(), None);
        assert_eq!(timeout("0").unwrap(), Some(Duration::ZERO));
        assert_eq!(timeout("1500").unwrap(), Some(Duration::from_millis(1500)));
        assert_eq!(timeout("2m").unwrap(), Some(Duration::from_mins(2)));
        for refused in ["-2", "soon", ""] {
            assert!(timeout(refused).unwrap_err()[0].message.contains("-1 for no limit"), "{refused}");
        }
    }

    #[test]
    fn an_empty_name_or_other_characters_are_refused() {
        for name in ["", " ", "a b", "a/b", "ä"] {
            assert_eq!(with("name", name).unwrap_err()[0].key, "name", "{name:?}");
        }
    }

    #[test]
    fn zero_tasks_are_refused() {
        assert!(with("tasks.max", "0").unwrap_err()[0].message.contains("expected at least 1"));
    }
}
