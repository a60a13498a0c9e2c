//! What the position holds of snapshots: the run that is under way, and by object what is still to be read. Ranges,
//! never ids of rows, so that it stays small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Ids;
use crate::{moment::Moment, walk::Walk};

/// A request of a person: read these objects, or some of their rows, and publish what is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotRequest {
    /// By name; all selected objects if empty.
    #[serde(default)]
    pub(crate) objects: Vec<String>,
    /// Only rows created at this time or later, of objects whose list can be filtered by it.
    #[serde(default)]
    pub(crate) since: Option<Moment>,
    /// Only rows created before this time, of objects whose list can be filtered by it.
    #[serde(default)]
    pub(crate) until: Option<Moment>,
    /// Only these rows; `objects` names one object then.
    #[serde(default)]
    pub(crate) ids: Vec<String>,
    /// By object, the number of deletes that a person was shown and has approved; set by
    /// [`Report::approve`](crate::report::Report::approve) only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) approved: BTreeMap<String, u64>,
}

/// Why a run was begun, which decides what it publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunKind {
    /// The first of an organization: publishes every row.
    #[default]
    First,
    /// Reads everything again, publishes what differs, and deletes what is gone.
    Comparison,
    /// A comparison of the objects whose deletes a person has approved.
    Approved,
    /// A request of a person: publishes every row that it reads.
    Requested,
}

impl RunKind {
    /// The word in the status and in `sync_run`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Comparison => "comparison",
            Self::Approved => "approved",
            Self::Requested => "requested",
        }
    }

    /// True if rows are compared with the topic.
    pub(crate) fn compares(self) -> bool {
        matches!(self, Self::Comparison | Self::Approved)
    }
}

/// The run that is under way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotPosition {
    pub(crate) kind: RunKind,
    /// The reason, for people.
    pub(crate) reason: String,
    /// Close's time when it began.
    pub(crate) began: Moment,
    #[serde(default)]
    pub(crate) request: SnapshotRequest,
    /// By object; an object that is not there has not begun.
    #[serde(default)]
    pub(crate) objects: BTreeMap<String, ObjectPosition>,
}

/// What is read of one object, and what is still to be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectPosition {
    /// What is still to be read, by number.
    #[serde(default)]
    pub(crate) walks: BTreeMap<u32, Walk>,
    #[serde(default)]
    pub(crate) tally: Tally,
    /// Why not all of it can be read, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<String>,
    /// The ids that a comparison has listed, against those of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Ids>,
    /// Set when the object is over.
    #[serde(default)]
    pub(crate) end: Option<ObjectEnd>,
}

/// The counts of one object. They only add up, so that steps of several readers commute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tally {
    /// Rows that Close listed, each once.
    #[serde(default)]
    pub(crate) rows: u64,
    /// The sum modulo 2^64 of [`id_sum`](crate::id_sum::id_sum) of their ids.
    #[serde(default)]
    pub(crate) sum: u64,
    /// Rows that were published; all of them in a first run, those that differ in a comparison.
    #[serde(default)]
    pub(crate) published: u64,
    /// Deletes that were published.
    #[serde(default)]
    pub(crate) deleted: u64,
    /// Pages that were read.
    #[serde(default)]
    pub(crate) pages: u64,
    /// Rows that gave no record.
    #[serde(default)]
    pub(crate) unusable: u64,
}

impl Tally {
    /// Adds the counts of a step.
    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
        self.published += other.published;
        self.deleted += other.deleted;
        self.pages += other.pages;
        self.unusable += other.unusable;
    }
}

/// How an object ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ObjectEnd {
    /// All of it was read.
    Done,
    /// It could not be read; the others went on.
    Skipped { reason: String },
    /// It was read, but not all of it, so nothing of it was deleted.
    Incomplete { reason: String },
    /// It was read, and Close no longer lists more rows than may be deleted without approval. They were not all looked
    /// for by their ids.
    AwaitsApproval { unlisted: u64, allowed: u64, of: u64 },
    /// It was read, and the check found a difference.
    Differs { difference: String },
}

/// An object that needs attention since its last comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    pub(crate) end: ObjectEnd,
    /// Close's time at which the comparison began.
    pub(crate) since: Moment,
    /// True if a comparison has found the same as the run before it: the next one is as usual.
    #[serde(default)]
    pub(crate) again: bool,
}

/// A change of the run that is under way.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// An object begins with these walks, from the start.
    Begin { walks: BTreeMap<u32, Walk> },
    /// A page of a walk was read; the walk goes on so, or is over.
    Page { walk: u32, rest: Option<Walk> },
    /// A walk was cut in two.
    Split { walk: u32, rest: Walk, other: (u32, Walk) },
    /// Close gives no more of a range than it gave.
    Capped { walk: u32, rest: Option<Walk>, other: Option<(u32, Walk)>, incomplete: Option<String> },
    /// More was found out about an object whose walks are over.
    Tally,
    /// The ids of an object were compared.
    Checked(Ids),
    /// An object is over.
    End(ObjectEnd),
}

impl SnapshotPosition {
    /// Takes in a step of `object`, which read and published so much.
    pub(crate) fn apply(&mut self, object: &str, step: Step, tally: Tally) {
        let object = self.objects.entry(object.to_owned()).or_default();
        object.tally.add(tally);
        match step {
            Step::Begin { walks } => *object = ObjectPosition { walks, ..ObjectPosition::default() },
            Step::Page { walk, rest } => object.sets(walk, rest),
            Step::Split { walk, rest, other: (number, other) } => {
                object.sets(walk, Some(rest));
                object.sets(number, Some(other));
            }
            Step::Capped { walk, rest, other, incomplete } => {
                object.sets(walk, rest);
                if let Some((number, other)) = other {
                    object.sets(number, Some(other));
                }
                object.incomplete = object.incomplete.take().or(incomplete);
            }
            Step::Tally => {}
            Step::Checked(ids) => object.ids = Some(ids),
            Step::End(end) => {
                object.walks.clear();
                object.end = Some(end);
            }
        }
    }
}

impl ObjectPosition {
    fn sets(&mut self, number: u32, rest: Option<Walk>) {
        match rest {
            Some(rest) => self.walks.insert(number, rest),
            None => self.walks.remove(&number),
        };
    }
}
