//! The progress of snapshots, for people, and the requests of people. It outlives a run of the source, but not the
//! process: what must survive is in the position.

mod status;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;
use tokio::sync::{Notify, oneshot, watch};
use towpath_api::{Error, ErrorType};
use tracing::info;

use crate::{
    catalogue::Kind,
    codes,
    moment::Moment,
    position::{FinishedRun, ObjectEnd, ObjectState, RunKind, SnapshotRequest, Tally},
};

/// The progress of snapshots, and the way to ask for one. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    asked: Notify,
    finished: watch::Sender<Option<Arc<FinishedRun>>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), asked: Notify::new(), finished: watch::Sender::new(None) }
    }
}

#[derive(Debug, Default)]
struct State {
    /// True while a source runs that answers what is asked.
    attended: bool,
    /// True after the first run of this process has begun.
    started: bool,
    asks: VecDeque<Ask>,
    run: Option<Running>,
    /// Objects that need attention, by name, as the position has them.
    held: BTreeMap<String, ObjectEnd>,
    pending: usize,
    next: Option<Moment>,
}

/// What a person asks of the loop; the loop answers once it is durable.
#[derive(Debug)]
pub(crate) enum Ask {
    Snapshot {
        request: SnapshotRequest,
        answer: oneshot::Sender<Result<(), Refused>>,
    },
    Approve {
        objects: Vec<String>,
        at_most: BTreeMap<String, u64>,
        answer: oneshot::Sender<Result<Vec<String>, Refused>>,
    },
}

/// Why a request is refused, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

/// The run that is under way.
#[derive(Debug)]
struct Running {
    generation: u32,
    kind: RunKind,
    reason: String,
    began: Moment,
    /// The start of this process's part of it, and what was read before.
    here: Instant,
    rows_before: u64,
    waited_share: f64,
    objects: BTreeMap<&'static str, ObjectReport>,
}

/// The progress of one object.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ObjectReport {
    pub(crate) state: ObjectState,
    /// For people, where the state has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The rows that Close says it has, where it says so.
    pub(crate) expected: Option<u64>,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// The interface of people: REST, CLI, notifications.
impl Report {
    /// Asks for a snapshot of some objects or rows. Returns once the request is stored in the position.
    ///
    /// # Errors
    /// If the source does not run, or the request names what it does not have.
    pub(crate) async fn request(&self, request: SnapshotRequest) -> Result<(), Refused> {
        self.ask(|answer| Ask::Snapshot { request, answer }).await
    }

    /// Approves the deletes of these objects, or of all that wait if empty: of each the number that waits, or that of
    /// `at_most` if it is smaller. They are compared again; if more is gone then, they wait again. Returns the objects
    /// once this is stored in the position.
    ///
    /// # Errors
    /// If the source does not run, or nothing waits for approval.
    pub(crate) async fn approve(
        &self,
        objects: Vec<String>,
        at_most: BTreeMap<String, u64>,
    ) -> Result<Vec<String>, Refused> {
        self.ask(|answer| Ask::Approve { objects, at_most, answer }).await
    }

    /// The last run that ended, and each that ends from now on.
    #[cfg(test)]
    pub(crate) fn finished(&self) -> watch::Receiver<Option<Arc<FinishedRun>>> {
        self.0.finished.subscribe()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Ask) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.lock();
            if !state.attended {
                return Err(Refused("the source does not run here at the moment".to_owned()));
            }
            state.asks.push_back(ask(answer));
        }
        self.0.asked.notify_one();
        let stopped = || Refused("the source stopped before the request was stored; ask again".to_owned());
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// The interface of the change loop.
impl Report {
    /// Makes the snapshot loop look at the position again, in which the caller has stored the `gap`.
    pub(crate) fn request_generation(&self, reason: &str) {
        info!(reason, "a new generation is to be read: {reason}");
        self.wake();
    }

    /// Makes the snapshot loop look at the position again.
    pub(crate) fn wake(&self) {
        self.0.asked.notify_one();
    }
}

/// The interface of the snapshot itself.
impl Report {
    pub(crate) fn asked(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.asked.notified()
    }

    /// Answers what is asked until the returned value is dropped.
    pub(crate) fn attend(&self) -> Attended {
        self.lock().attended = true;
        Attended(self.clone())
    }

    pub(crate) fn take_asks(&self) -> Vec<Ask> {
        self.lock().asks.drain(..).collect()
    }

    pub(crate) fn shows(&self, held: BTreeMap<String, ObjectEnd>, pending: usize, next: Option<Moment>) {
        let mut state = self.lock();
        (state.held, state.pending, state.next) = (held, pending, next);
    }

    pub(crate) fn begins(&self, generation: u32, kind: RunKind, reason: &str, began: Moment) {
        self.lock().run = Some(Running {
            generation,
            kind,
            reason: reason.to_owned(),
            began,
            here: Instant::now(),
            rows_before: 0,
            waited_share: 0.0,
            objects: BTreeMap::new(),
        });
    }

    /// Changes the report of one object.
    pub(crate) fn object(&self, name: &'static str, change: impl FnOnce(&mut ObjectReport)) {
        if let Some(run) = &mut self.lock().run {
            change(run.objects.entry(name).or_default());
        }
    }

    /// Notes that what is reported so far was read before this start of the task.
    pub(crate) fn resumed(&self) {
        if let Some(run) = &mut self.lock().run {
            run.rows_before = run.rows();
        }
    }

    /// Objects of the run that are not over.
    pub(crate) fn remaining(&self) -> usize {
        let state = self.lock();
        state.run.as_ref().map_or(0, |run| run.objects.values().filter(|object| !object.state.is_over()).count())
    }

    /// Shows the share of the readers' time in which they waited for the rate limit.
    pub(crate) fn waited(&self, share: f64) {
        if let Some(run) = &mut self.lock().run {
            run.waited_share = share;
        }
    }

    pub(crate) fn ends(&self, run: FinishedRun) {
        self.lock().run = None;
        self.0.finished.send_replace(Some(Arc::new(run)));
    }

    /// Shows the last run of an earlier process.
    pub(crate) fn ended_before(&self, run: Option<FinishedRun>) {
        self.0.finished.send_if_modified(|finished| {
            let news = finished.is_none() && run.is_some();
            if news {
                *finished = run.map(Arc::new);
            }
            news
        });
    }

    /// True until the first call of [`Self::started`] in this process.
    pub(crate) fn starting(&self) -> bool {
        !self.lock().started
    }

    pub(crate) fn started(&self) {
        self.lock().started = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while a snapshot loop answers.
pub(crate) struct Attended(Report);

impl Drop for Attended {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.attended = false;
        state.asks.clear();
        state.run = None;
    }
}

impl Running {
    fn rows(&self) -> u64 {
        self.objects.values().map(|object| object.tally.rows).sum()
    }
}

impl ObjectReport {
    pub(crate) fn ends(&mut self, end: &ObjectEnd) {
        (self.state, self.reason) = end.shown();
    }

    fn left(&self) -> u64 {
        if self.state.is_over() { 0 } else { self.expected.unwrap_or(0).saturating_sub(self.tally.rows) }
    }
}

impl ObjectEnd {
    /// The state, and its reason for people.
    pub(crate) fn shown(&self) -> (ObjectState, Option<String>) {
        match self {
            Self::Done => (ObjectState::Done, None),
            Self::Skipped { reason } => (ObjectState::Skipped, Some(reason.clone())),
            Self::Incomplete { reason } => (ObjectState::Incomplete, Some(reason.clone())),
            Self::AwaitsApproval { unlisted, allowed, of } => (
                ObjectState::AwaitsApproval,
                Some(format!("Close no longer lists {unlisted} of {of} records; {allowed} may be deleted unasked")),
            ),
            Self::Differs { difference } => (ObjectState::Done, Some(difference.clone())),
        }
    }

    /// The error of an object that needs attention.
    pub(crate) fn error(&self, kind: &Kind) -> Error {
        let name = kind.name;
        match self {
            Self::AwaitsApproval { unlisted, allowed, of } => {
                let doing = format!(
                    "delete {unlisted} of {of} records of {name} that Close no longer lists: only {allowed} may be \
                     deleted without approval, so none was"
                );
                Error::fatal(codes::DELETES_WAIT, ErrorType::Conflict, doing).with_help(
                    "if the records were deleted in Close, run `towpath snapshot approve`; if not, check the rights of \
                     the key's user",
                )
            }
            Self::Differs { difference } => {
                let doing = format!("find in {name} what Close has: {difference}");
                Error::fatal(codes::DIFFERS, ErrorType::Conflict, doing).with_help(
                    "nothing was deleted for it; the object is compared again at once, and then with each comparison; \
                     if it stays, Close may hold records that it does not list",
                )
            }
            Self::Skipped { reason } | Self::Incomplete { reason } => {
                let doing = format!("read all of {name}: {reason}");
                let right = kind.right.map_or("the right".to_owned(), |right| format!("the right `{right}`"));
                Error::fatal(codes::OBJECT_UNREADABLE, ErrorType::Auth, doing).with_help(format!(
                    "the other objects go on, and changes of this one still come by the event log; give the key's user \
                     {right}, or exclude the object with `objects.exclude`; it is tried again at the next comparison"
                ))
            }
            Self::Done => Error::retry(codes::OBJECT_UNREADABLE, ErrorType::Internal, format!("read {name}")),
        }
    }
}
