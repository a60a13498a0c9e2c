//! Whether traffic may come: a set of named checks that the parts of the worker keep up to date.
//!
//! What the webhook intake needs is a check (connectors started, Kafka, registry). A store or a source that is away is
//! none: taking the worker off the load balancer would not help them, and would lose posts.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The checks of one worker. Cheap to clone; not ready until the first check is there and all of them hold.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    checks: BTreeMap<String, Result<(), String>>,
    was_ready: bool,
}

/// The checks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether every check holds, and there is one.
    pub ready: bool,
    /// Whether that was ever so: tells a start from an outage.
    pub was_ready: bool,
    /// Each check by name, in the order of names, with why it does not hold.
    pub checks: Vec<(String, Result<(), String>)>,
}

impl Report {
    /// The checks that do not hold, with the reason.
    pub fn failing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().filter_map(|(name, held)| held.as_ref().err().map(|why| (name.as_str(), why.as_str())))
    }
}

impl Readiness {
    /// Makes an empty set, which is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// The check `name` holds.
    pub fn ready(&self, name: impl Into<String>) {
        self.set(name.into(), Ok(()));
    }

    /// The check `name` does not hold; `why` is shown to the operator.
    pub fn not_ready(&self, name: impl Into<String>, why: impl Into<String>) {
        self.set(name.into(), Err(why.into()));
    }

    /// Forgets a check, for example of a connector that is no more.
    pub fn remove(&self, name: &str) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.checks.remove(name);
    }

    /// All checks as they are now.
    pub fn report(&self) -> Report {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        Report {
            ready: inner.holds(),
            was_ready: inner.was_ready,
            checks: inner.checks.iter().map(|(name, held)| (name.clone(), held.clone())).collect(),
        }
    }

    fn set(&self, name: String, held: Result<(), String>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.checks.insert(name, held);
        inner.was_ready |= inner.holds();
    }
}

impl Inner {
    fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.values().all(Result::is_ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_the_first_check() {
        assert!(!Readiness::new().report().ready);
    }

    #[test]
    fn one_failing_check_makes_all_unready_and_is_named() {
        let readiness = Readiness::new();
        readiness.not_ready("kafka", "no broker answers");
        readiness.ready("connector webhook");
        let report = readiness.report();
        assert!(!report.ready && !report.was_ready);
        assert_eq!(report.failing().collect::<Vec<_>>(), [("kafka", "no broker answers")]);

        readiness.ready("kafka");
        assert!(readiness.report().ready);

        readiness.not_ready("registry", "connection refused");
        let report = readiness.report();
        assert!(!report.ready && report.was_ready, "an outage is no start");
    }

    #[test]
    fn a_removed_check_no_longer_counts() {
        let readiness = Readiness::new();
        readiness.ready("kafka");
        readiness.not_ready("connector old", "starting");
        readiness.remove("connector old");
        assert!(readiness.report().ready);
    }
}
