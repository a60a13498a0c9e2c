//! The handle by which a task reports its state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use towpath_api::{Error, TopicPartition};

use super::{LastError, PartitionStatus, StatusBoard, partition::Progress};
use crate::telemetry::State;

/// A report of a task.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) state: State,
    pub(super) error: Option<LastError>,
    pub(super) attempt: Option<u32>,
    pub(super) next_try: Option<SystemTime>,
}

impl Update {
    pub(super) fn of(state: State) -> Self {
        Self { state, error: None, attempt: None, next_try: None }
    }
}

/// Reports the state of one task. Cheap to clone. Dropping it leaves the last report on the board.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    board: StatusBoard,
    connector: Arc<str>,
    id: usize,
    handle: u64,
}

impl TaskStatus {
    pub(super) fn new(board: StatusBoard, connector: &str, id: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { board, connector: connector.into(), id, handle: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(super) fn handle(&self) -> u64 {
        self.handle
    }

    /// Reports that the task opens its connections.
    pub fn starting(&self) {
        self.set(Update::of(State::Starting));
    }

    /// Reports that the task has made progress, or that there is nothing to do.
    pub fn running(&self) {
        self.set(Update::of(State::Running));
    }

    /// Reports that the task keeps its assignment and processes nothing.
    pub fn paused(&self) {
        self.set(Update::of(State::Paused));
    }

    /// Reports that the task has released all its resources.
    pub fn stopped(&self) {
        self.set(Update::of(State::Stopped));
    }

    /// Reports that the task waits after `error`, and makes its `attempt`th attempt at `next_try`.
    pub fn retrying(&self, error: &Error, attempt: u32, next_try: SystemTime) {
        self.waiting(State::Retrying, LastError::new(error, SystemTime::now()), attempt, next_try);
    }

    /// Reports that the task is in `state` because it, or a part of it, waits after `error`. The `attempt`th attempt is
    /// at `next_try`.
    pub(crate) fn waiting(&self, state: State, error: LastError, attempt: u32, next_try: SystemTime) {
        self.set(Update { state, error: Some(error), attempt: Some(attempt), next_try: Some(next_try) });
    }

    /// Reports that `error` has ended the task.
    pub fn failed(&self, error: &Error) {
        let error = Some(LastError::new(error, SystemTime::now()));
        self.set(Update { error, ..Update::of(State::Failed) });
    }

    /// Reports that another worker has taken over the work, so that the task has released everything and has ended.
    pub fn fenced(&self, error: &Error) {
        let error = Some(LastError::new(error, SystemTime::now()));
        self.set(Update { error, ..Update::of(State::Stopped) });
    }

    /// Adds a partition to the task and returns the handle by which it reports. A partition with the same name is
    /// replaced; its handle has no effect from now on.
    pub fn partition(&self, partition: &TopicPartition) -> PartitionStatus {
        let progress = Arc::new(Progress::new());
        self.board.with_partitions(&self.connector, self.id, self.handle, |partitions| {
            partitions.insert(partition.clone(), Arc::clone(&progress));
        });
        PartitionStatus::new(self.clone(), partition.clone(), progress)
    }

    /// Removes a partition, unless a newer handle has replaced it.
    pub(super) fn remove_partition(&self, partition: &TopicPartition, progress: &Arc<Progress>) {
        self.board.with_partitions(&self.connector, self.id, self.handle, |partitions| {
            if partitions.get(partition).is_some_and(|present| Arc::ptr_eq(present, progress)) {
                partitions.remove(partition);
            }
        });
    }

    fn set(&self, update: Update) {
        self.board.set(&self.connector, self.id, self.handle, update);
    }
}
