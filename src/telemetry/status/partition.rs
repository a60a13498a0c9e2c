//! The handle by which a partition of a task reports its progress.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::SystemTime,
};

use towpath_api::{Error, TopicPartition};

use super::{LastError, PartitionReport, TaskStatus};

/// Stands for an offset or a lag that is not known yet; neither is ever negative.
const UNKNOWN: i64 = -1;

/// The progress of a partition, shared by its handle and the board.
#[derive(Debug)]
pub(super) struct Progress {
    next_offset: AtomicI64,
    lag: AtomicI64,
    /// True if `waiting_for` is set: `working` is called for each batch and takes no lock.
    waits: AtomicBool,
    waiting_for: Mutex<Option<LastError>>,
    waiting_records: Mutex<Option<(usize, SystemTime)>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            next_offset: AtomicI64::new(UNKNOWN),
            lag: AtomicI64::new(UNKNOWN),
            waits: AtomicBool::new(false),
            waiting_for: Mutex::default(),
            waiting_records: Mutex::default(),
        }
    }

    pub(super) fn report(&self, partition: &TopicPartition) -> PartitionReport {
        let known = |value: &AtomicI64| Some(value.load(Ordering::Relaxed)).filter(|value| *value != UNKNOWN);
        PartitionReport {
            topic: Arc::clone(&partition.topic),
            partition: partition.partition,
            next_offset: known(&self.next_offset),
            lag: known(&self.lag),
            waiting_for: self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            waiting_records: *self.waiting_records.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn set_waiting(&self, error: Option<LastError>) {
        let mut waiting_for = self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner);
        self.waits.store(error.is_some(), Ordering::Release);
        *waiting_for = error;
    }
}

/// Reports the progress of one partition. Dropping it removes the partition from the board.
///
/// All methods are cheap enough to be called once per batch: only [`waiting`](Self::waiting) allocates.
#[derive(Debug)]
pub struct PartitionStatus {
    task: TaskStatus,
    partition: TopicPartition,
    progress: Arc<Progress>,
}

impl PartitionStatus {
    pub(super) fn new(task: TaskStatus, partition: TopicPartition, progress: Arc<Progress>) -> Self {
        Self { task, partition, progress }
    }

    /// Sets the offset of the first record that is not stored yet.
    pub fn next_offset(&self, offset: i64) {
        self.progress.next_offset.store(offset.max(0), Ordering::Relaxed);
    }

    /// Sets the number of records between the next offset and the end of the partition; a negative number counts as 0.
    pub fn lag(&self, records: i64) {
        self.progress.lag.store(records.max(0), Ordering::Relaxed);
    }

    /// Reports that the end of the partition is not known now.
    pub fn lag_unknown(&self) {
        self.progress.lag.store(UNKNOWN, Ordering::Relaxed);
    }

    /// Reports the records that wait in the store, and since when the first of them does; `None` if none waits.
    pub fn waiting_records(&self, waiting: Option<(usize, SystemTime)>) {
        *self.progress.waiting_records.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// Reports that the partition waits after `error`.
    pub fn waiting(&self, error: &Error) {
        self.progress.set_waiting(Some(LastError::new(error, SystemTime::now())));
    }

    /// Returns true if the partition was last reported as waiting.
    pub fn waits(&self) -> bool {
        self.progress.waits.load(Ordering::Acquire)
    }

    /// Reports that the partition works, or has nothing to do. Returns true if it was waiting.
    pub fn working(&self) -> bool {
        let waited = self.waits();
        if waited {
            self.progress.set_waiting(None);
        }
        waited
    }
}

impl Drop for PartitionStatus {
    fn drop(&mut self) {
        self.task.remove_partition(&self.partition, &self.progress);
    }
}
