//! Snapshots on request: what an operator sees and asks of a source that reads all of an outside system.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    time::{Duration, SystemTime},
};

use serde_json::Value as Json;

/// A future of [`SnapshotControl`], which is used as a trait object.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, SnapshotRefused>> + Send + 'a>>;

/// A source that shows its snapshots and takes requests for further ones. What was accepted is durable: it is carried
/// out even if the process ends.
pub trait SnapshotControl: Send + Sync + 'static {
    /// The snapshot that is under way, or the last one; from memory, also while the source does not run.
    fn status(&self) -> SnapshotStatus;

    /// Asks for a snapshot, which begins after the one that is under way and those that were asked for before.
    ///
    /// # Errors
    /// An unknown object, a request that contradicts itself, or a source that does not run at the moment.
    fn start(&self, request: SnapshotRequest) -> Asking<'_, ()>;

    /// Lets a snapshot delete records although they are more than it may delete without asking. Returns the names of
    /// the objects.
    ///
    /// # Errors
    /// An unknown object, one that does not wait, or a source that does not run at the moment.
    fn approve(&self, approval: SnapshotApproval) -> Asking<'_, Vec<String>>;
}

/// The deletes that a person has approved. If more are gone when they are looked for again, they wait again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotApproval {
    /// The names of the objects; all that wait if empty.
    pub objects: Vec<String>,
    /// By object, the number that the person was shown. An object that is not here may delete as many as wait now.
    pub at_most: BTreeMap<String, u64>,
}

/// The part of an outside system that a snapshot reads. The conditions apply together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The names of the objects; all if empty.
    pub objects: Vec<String>,
    /// Only records that were created at this time or later.
    pub since: Option<SystemTime>,
    /// Only records that were created before this time.
    pub until: Option<SystemTime>,
    /// Only the records with these ids; all if empty.
    pub ids: Vec<String>,
}

/// The reason why a request is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotRefused {
    /// The source has no object of this name, or does not read it.
    UnknownObject {
        /// The name as it was given.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// The request contradicts itself, or asks for what the source cannot do; the reason in words.
    Invalid(String),
    /// The source does not run at the moment, or stopped before it answered.
    NotRunning,
    /// Nothing waits for approval; `Some` for one object that does not wait.
    NothingWaits(Option<String>),
}

impl fmt::Display for SnapshotRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownObject { name, nearest: Some(nearest) } => {
                write!(f, "the connector does not read an object `{name}`; did you mean `{nearest}`?")
            }
            Self::UnknownObject { name, nearest: None } => {
                write!(f, "the connector does not read an object `{name}`")
            }
            Self::Invalid(reason) => f.write_str(reason),
            Self::NotRunning => f.write_str("the source does not run at the moment; see its state, and ask again"),
            Self::NothingWaits(None) => f.write_str("nothing waits for approval"),
            Self::NothingWaits(Some(object)) => write!(f, "object `{object}` does not wait for approval"),
        }
    }
}

impl std::error::Error for SnapshotRefused {}

/// The state of a source's snapshots as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SnapshotState {
    /// No snapshot runs, and none has ended in this process.
    #[default]
    None,
    /// Objects are being read or compared.
    Running,
    /// No snapshot runs, and an object waits for the approval of deletes.
    AwaitsApproval,
    /// No snapshot runs; the last one is complete.
    Complete,
    /// No snapshot runs; some objects of the last one could not be read.
    Incomplete,
}

impl SnapshotState {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::AwaitsApproval => "awaits_approval",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The snapshots of a source as an operator sees them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SnapshotStatus {
    /// The state of the whole.
    pub state: SnapshotState,
    /// The snapshot that is under way.
    pub running: Option<SnapshotProgress>,
    /// Requests that have not begun.
    pub queued: usize,
    /// Objects that need attention since their last snapshot: each awaits approval, was skipped or is incomplete.
    pub held: Vec<ObjectProgress>,
    /// The time of the next comparison.
    pub next: Option<SystemTime>,
    /// The result of the last snapshot that ended, as the source reports it.
    pub completed: Option<Json>,
}

/// A snapshot that is under way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SnapshotProgress {
    /// The number of the snapshot, counted over restarts from 1.
    pub generation: u32,
    /// The kind, in the source's words: `first`, `comparison`, `requested`.
    pub kind: String,
    /// The reason, for people.
    pub reason: String,
    /// The time at which it began.
    pub began: Option<SystemTime>,
    /// Records that were read.
    pub rows: u64,
    /// Records read per second since the last start of the source.
    pub rows_per_second: f64,
    /// The share of the time that was spent waiting for the rate limit, from 0 to 1.
    pub waited_share: f64,
    /// The estimated time to the end; `None` before the first record.
    pub left: Option<Duration>,
    /// True if `left` is a lower bound, since the number of records of some objects is unknown.
    pub left_at_least: bool,
    /// The objects, in the order in which they are read.
    pub objects: Vec<ObjectProgress>,
}

/// The state of one object within a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ObjectState {
    /// It has not begun.
    #[default]
    Waiting,
    /// Its records are being read.
    Reading,
    /// It is complete.
    Done,
    /// It could not be read; the note has the reason.
    Skipped,
    /// Not all of it could be read; the note has the reason.
    Incomplete,
    /// It would delete more records than it may without asking.
    AwaitsApproval,
}

impl ObjectState {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Reading => "reading",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Incomplete => "incomplete",
            Self::AwaitsApproval => "awaits_approval",
        }
    }
}

/// The progress of one object within a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectProgress {
    /// The name of the object.
    pub name: String,
    /// The state.
    pub state: ObjectState,
    /// Records that were read.
    pub rows: u64,
    /// The number of records that the outside system announced, if it does.
    pub expected: Option<u64>,
    /// The reason of the state, for people.
    pub note: Option<String>,
    /// The number of deletes that await approval.
    pub deletes: Option<u64>,
}
