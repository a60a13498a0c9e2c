//! The parts of a task that wait, and the state of the task that follows from them. Sends no report.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use crate::telemetry::{State, status::LastError};

/// The wait of one part after an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) error: LastError,
    pub(super) attempt: u32,
    pub(super) next_try: SystemTime,
}

/// The parts of a task. Partitions, and objects of a source, are known from their start to their end, other parts only
/// while they wait.
#[derive(Debug, Default)]
pub(super) struct Parts {
    partitions: BTreeSet<String>,
    /// The waiting parts, each with the number of its report: the highest number is the newest.
    waits: BTreeMap<String, (u64, Wait)>,
    reports: u64,
    /// True once the task has made progress.
    pub(super) started: bool,
    /// True once the task has ended or is about to end; its state no longer follows from its parts.
    pub(super) ended: bool,
}

impl Parts {
    /// Adds a partition that works.
    pub(super) fn add_partition(&mut self, name: String) {
        self.partitions.insert(name);
    }

    /// Removes a part that has ended. Returns true if it was known.
    pub(super) fn remove(&mut self, part: &str) -> bool {
        let known = self.partitions.remove(part);
        self.waits.remove(part).is_some() || known
    }

    /// Notes that a part works. Returns true if it was waiting.
    pub(super) fn works(&mut self, part: &str) -> bool {
        self.waits.remove(part).is_some()
    }

    /// Notes that a part waits. Returns true if it did not wait for the same cause before.
    pub(super) fn waits(&mut self, part: &str, wait: Wait) -> bool {
        self.reports += 1;
        let code = wait.error.code;
        let before = self.waits.insert(part.to_owned(), (self.reports, wait));
        before.is_none_or(|(_, before)| before.error.code != code)
    }

    /// The attempt after which `part` waits; 0 if it works.
    pub(super) fn attempts(&self, part: &str) -> u32 {
        self.waits.get(part).map_or(0, |(_, wait)| wait.attempt)
    }

    /// Returns true if no part waits.
    pub(super) fn all_work(&self) -> bool {
        self.waits.is_empty()
    }

    /// The state of the task, with the newest wait of that kind:
    ///
    /// | parts | state |
    /// |---|---|
    /// | none waits | `Running` |
    /// | at least one waits for the environment | `Retrying` |
    /// | all partitions wait for a person | `Failed` |
    /// | other | `Degraded` |
    pub(super) fn state(&self) -> (State, Option<&Wait>) {
        let newest = |needs_action: bool| {
            let of_kind = self.waits.values().filter(|(_, wait)| wait.error.needs_action == needs_action);
            of_kind.max_by_key(|(report, _)| report).map(|(_, wait)| wait)
        };
        if let Some(wait) = newest(false) {
            return (State::Retrying, Some(wait));
        }
        let Some(wait) = newest(true) else { return (State::Running, None) };
        let all = !self.partitions.is_empty() && self.partitions.iter().all(|name| self.waits.contains_key(name));
        (if all { State::Failed } else { State::Degraded }, Some(wait))
    }
}

#[cfg(test)]
mod tests {
    use towpath_api::{Error, ErrorType};

    use super::*;

    fn wait(error: &Error) -> Wait {
        Wait { error: LastError::new(error, SystemTime::UNIX_EPOCH), attempt: 1, next_try: SystemTime::UNIX_EPOCH }
    }

    fn outage() -> Wait {
        wait(&Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect"))
    }

    fn taken() -> Wait {
        wait(&Error::fatal("postgres.table_taken", ErrorType::Config, "claim"))
    }

    fn parts(partitions: &[&str]) -> Parts {
        let mut parts = Parts::default();
        partitions.iter().for_each(|name| parts.add_partition((*name).to_owned()));
        parts
    }

    #[test]
    fn one_waiting_partition_degrades_the_task_and_all_of_them_fail_it() {
        let mut parts = parts(&["a[0]", "b[0]"]);
        assert_eq!(parts.state(), (State::Running, None));
        assert!(parts.waits("a[0]", taken()));
        assert_eq!(parts.state(), (State::Degraded, Some(&taken())));
        assert!(parts.waits("b[0]", taken()) && !parts.waits("b[0]", taken()));
        assert_eq!(parts.state().0, State::Failed);
        assert!(parts.works("a[0]") && !parts.works("a[0]"));
        assert_eq!(parts.state().0, State::Degraded, "the partition that still waits stays visible");
        assert!(parts.works("b[0]"));
        assert_eq!(parts.state(), (State::Running, None));
    }

    #[test]
    fn an_outage_makes_the_task_retry_whatever_else_waits() {
        let mut parts = parts(&["a[0]", "b[0]"]);
        parts.waits("b[0]", outage());
        parts.waits("a[0]", taken());
        assert_eq!(parts.state(), (State::Retrying, Some(&outage())));
        parts.works("b[0]");
        assert_eq!(parts.state(), (State::Degraded, Some(&taken())));
    }

    #[test]
    fn a_part_that_is_no_partition_degrades_the_task_only() {
        let mut parts = parts(&["a[0]"]);
        parts.waits("dead letters", taken());
        assert_eq!(parts.state().0, State::Degraded);
        assert_eq!(Parts { partitions: BTreeSet::new(), ..parts }.state().0, State::Degraded);
    }

    #[test]
    fn a_partition_that_has_ended_no_longer_counts() {
        let mut parts = parts(&["a[0]", "b[0]"]);
        parts.waits("a[0]", taken());
        assert!(parts.remove("b[0]") && !parts.remove("b[0]"));
        assert_eq!(parts.state().0, State::Failed);
        parts.remove("a[0]");
        assert_eq!(parts.state().0, State::Running);
    }
}
