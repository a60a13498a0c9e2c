//! Readiness: the named checks behind `/readyz`, kept up to date by the worker.
//!
//! A worker is ready if it can accept requests from outside. So there are checks for Kafka, for the schema registry and
//! for each intake source, which is a source that serves requests. Stores and polled systems are not checks: while one
//! is unavailable, taking the worker off a load balancer would not help, and clients could no longer send events.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The check of the broker, which every intake source needs.
pub const KAFKA: &str = "kafka";
/// The check of the schema registry, which every intake source needs.
pub const REGISTRY: &str = "registry";

/// The checks of one worker. Cheap to clone; all clones share the checks. Not ready while there is no check.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each check by name, with the reason why it fails.
    checks: BTreeMap<String, Result<(), String>>,
    was_ready: bool,
}

/// The checks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// True if there is a check and all checks pass.
    pub ready: bool,
    /// True if `ready` has ever been true; distinguishes a start from an outage.
    pub was_ready: bool,
    /// All checks, ordered by name, each with the reason why it fails.
    pub checks: Vec<(String, Result<(), String>)>,
}

impl Report {
    /// The names of the failing checks, with the reasons.
    pub fn failing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().filter_map(|(name, outcome)| Some((name.as_str(), outcome.as_ref().err()?.as_str())))
    }
}

impl Readiness {
    /// Creates a set without checks, which is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or updates the check `name`: it passes.
    pub fn ready(&self, name: impl Into<String>) {
        self.set(name.into(), Ok(()));
    }

    /// Adds or updates the check `name`: it fails. `reason` is shown to operators.
    pub fn not_ready(&self, name: impl Into<String>, reason: impl Into<String>) {
        self.set(name.into(), Err(reason.into()));
    }

    /// Removes the check `name`, if it exists, for example when its connector is deleted.
    pub fn remove(&self, name: &str) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.checks.remove(name);
    }

    pub fn report(&self) -> Report {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        Report {
            ready: inner.passes(),
            was_ready: inner.was_ready,
            checks: inner.checks.iter().map(|(name, outcome)| (name.clone(), outcome.clone())).collect(),
        }
    }

    fn set(&self, name: String, outcome: Result<(), String>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.checks.insert(name, outcome);
        inner.was_ready |= inner.passes();
    }
}

impl Inner {
    fn passes(&self) -> bool {
        !self.checks.is_empty() && self.checks.values().all(Result::is_ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_checks_is_not_ready() {
        assert!(!Readiness::new().report().ready);
    }

    #[test]
    fn one_failing_check_makes_the_worker_unready_and_is_named() {
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
        assert!(!report.ready && report.was_ready, "an outage is not a start");
    }

    #[test]
    fn a_removed_check_no_longer_fails() {
        let readiness = Readiness::new();
        readiness.ready("kafka");
        readiness.not_ready("connector old", "starting");
        readiness.remove("connector old");
        assert!(readiness.report().ready);
    }
}
