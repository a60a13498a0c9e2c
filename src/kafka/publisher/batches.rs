//! The size of a journal's batches, learned from the broker's refusals.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A journal does not queue more bytes of a topic at once. Unlimited until the broker refuses a batch whose records may
/// each be small enough: the limit of the topic is not known, as to a client that may not read it, or was lowered.
///
/// Shared by all journals of a connector, so a journal that is opened after a refusal uses smaller batches.
#[derive(Debug, Clone)]
pub struct BatchBytes(Arc<AtomicUsize>);

impl Default for BatchBytes {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl BatchBytes {
    pub(super) fn limit(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// The broker has refused a batch of about `bytes`. In the end each record has a batch of its own, whose refusal is
    /// that of the record.
    pub(super) fn shrink(&self, bytes: usize) {
        self.0.fetch_min(bytes / 4, Ordering::Relaxed);
    }
}
