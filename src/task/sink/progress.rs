//! The progress of a partition in the store: written by the partition, read by its task for lag and group offsets.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use crate::telemetry::{PartitionMetrics, PartitionStatus};

/// No offset yet.
const NONE: i64 = -1;

/// The progress of one partition.
pub(super) struct Progress {
    /// The next offset to apply; [`NONE`] until the partition is claimed.
    next_offset: AtomicI64,
    /// The offset last committed to the consumer group.
    committed: AtomicI64,
    metrics: Mutex<Option<Arc<PartitionMetrics>>>,
    status: PartitionStatus,
}

impl Progress {
    pub(super) fn new(status: PartitionStatus) -> Self {
        Self { next_offset: AtomicI64::new(NONE), committed: AtomicI64::new(NONE), metrics: Mutex::default(), status }
    }

    /// Sets the metrics at the first claim, which names the table.
    pub(super) fn claimed(&self, metrics: PartitionMetrics) {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(metrics));
    }

    /// The metrics; `None` until the partition is claimed.
    pub(super) fn metrics(&self) -> Option<Arc<PartitionMetrics>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes the partition's series: another worker measures it now.
    pub(super) fn drop_metrics(&self) {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).take();
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

    /// The next offset if it is not committed to the consumer group yet; from then on it counts as committed.
    pub(super) fn take_uncommitted(&self) -> Option<i64> {
        let next = self.next_offset()?;
        (self.committed.swap(next, Relaxed) != next).then_some(next)
    }
}
