//! The progress of a partition in the store: written by the partition, read by its task for lag and group offsets.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use towpath_api::Error;

use crate::telemetry::{PartitionMetrics, PartitionStatus, WaitingPartition};

/// No offset yet.
const NONE: i64 = -1;

/// The progress of one partition.
pub(super) struct Progress {
    /// The next offset to apply; [`NONE`] until the partition is claimed.
    next_offset: AtomicI64,
    /// The offset that the consumer group is known to have.
    committed: AtomicI64,
    metrics: Mutex<Option<Arc<PartitionMetrics>>>,
    status: PartitionStatus,
    waits: WaitingPartition,
}

impl Progress {
    pub(super) fn new(status: PartitionStatus, waits: WaitingPartition) -> Self {
        let (next_offset, committed) = (AtomicI64::new(NONE), AtomicI64::new(NONE));
        Self { next_offset, committed, metrics: Mutex::default(), status, waits }
    }

    /// Shows that the partition waits after `error`.
    pub(super) fn waiting(&self, error: &Error) {
        self.status.waiting(error);
        self.waits.waiting(error.needs_action());
    }

    /// Shows the records that wait in the store, and since when the first of them does.
    pub(super) fn waiting_records(&self, waiting: Option<(usize, SystemTime)>) {
        self.status.waiting_records(waiting);
        self.waits.records(waiting.map_or(0, |(records, _)| records));
    }

    /// Shows that the partition works, or has nothing to do.
    pub(super) fn working(&self) {
        if self.status.working() {
            self.waits.working();
        }
    }

    /// Shows that another worker has the partition, which measures it now.
    pub(super) fn let_go(&self, error: &Error) {
        self.status.waiting(error);
        self.waits.working();
        self.waiting_records(None);
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Sets the metrics at the first claim, which names the table.
    pub(super) fn claimed(&self, metrics: PartitionMetrics) {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(metrics));
    }

    /// The metrics; `None` until the partition is claimed.
    pub(super) fn metrics(&self) -> Option<Arc<PartitionMetrics>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The partition's line on the status board.
    pub(super) fn status(&self) -> &PartitionStatus {
        &self.status
    }

    pub(super) fn advance_to(&self, next_offset: i64) {
        self.next_offset.store(next_offset, Relaxed);
        self.status.next_offset(next_offset);
    }

    /// The next offset to apply; `None` until the partition is claimed.
    pub(super) fn next_offset(&self) -> Option<i64> {
        Some(self.next_offset.load(Relaxed)).filter(|offset| *offset != NONE)
    }

    /// The next offset, if the consumer group does not have it yet.
    pub(super) fn uncommitted(&self) -> Option<i64> {
        self.next_offset().filter(|next| self.committed.load(Relaxed) != *next)
    }

    /// Notes that the consumer group has `offset`.
    pub(super) fn committed(&self, offset: i64) {
        self.committed.store(offset, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use towpath_api::TopicPartition;

    use super::*;
    use crate::telemetry::{Metrics, StatusBoard};

    #[test]
    fn an_offset_is_offered_until_the_group_is_known_to_have_it() {
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let metrics = Metrics::new();
        let status = StatusBoard::new(&metrics).task("pg", 0).partition(&partition);
        let progress = Progress::new(status, metrics.sink("pg").waiting(&partition.topic));
        assert_eq!(progress.uncommitted(), None, "nothing is claimed yet");
        progress.advance_to(5);
        assert_eq!((progress.uncommitted(), progress.uncommitted()), (Some(5), Some(5)), "the first commit has failed");
        progress.advance_to(7);
        progress.committed(5);
        assert_eq!(progress.uncommitted(), Some(7));
        progress.committed(7);
        assert_eq!(progress.uncommitted(), None);
    }
}
