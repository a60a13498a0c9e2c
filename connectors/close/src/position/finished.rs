//! A run that has ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    check::Check,
    run::{RunKind, Tally},
    schema_changes::SchemaChanges,
};
use crate::moment::Moment;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FinishedRun {
    /// Counts the runs of a connector.
    pub(crate) generation: u32,
    pub(crate) kind: RunKind,
    pub(crate) reason: String,
    /// True if it read all objects that are selected.
    pub(crate) whole: bool,
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    /// The share of the readers' time in which they waited for the rate limit, 0 to 1, since the last start of the
    /// task.
    pub(crate) waited_share: f64,
    pub(crate) objects: BTreeMap<String, FinishedObject>,
    /// Changes of the objects' fields since the run before.
    #[serde(default)]
    pub(crate) schema_changes: SchemaChanges,
}

/// One object of a run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FinishedObject {
    pub(crate) state: ObjectState,
    /// For people, where the state has one.
    pub(crate) reason: Option<String>,
    pub(crate) tally: Tally,
    /// What is here against what is at Close; `None` for an object that was not read whole.
    pub(crate) check: Option<Check>,
}

impl FinishedRun {
    /// Rows read of all objects.
    pub(crate) fn rows(&self) -> u64 {
        self.objects.values().map(|object| object.tally.rows).sum()
    }

    /// True if each object was read whole and its ids are those at Close.
    pub(crate) fn complete(&self) -> bool {
        self.objects.values().all(FinishedObject::complete)
    }
}

impl FinishedObject {
    /// True if it was read whole and its ids are those at Close.
    pub(crate) fn complete(&self) -> bool {
        self.state == ObjectState::Done && self.check.as_ref().is_none_or(Check::agrees)
    }
}

/// The state of one object in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ObjectState {
    /// Its turn comes later.
    #[default]
    Waiting,
    Reading,
    Done,
    /// It could not be read.
    Skipped,
    /// Not all of it could be read.
    Incomplete,
    AwaitsApproval,
}

impl ObjectState {
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Reading)
    }
}
