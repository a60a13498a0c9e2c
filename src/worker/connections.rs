//! The connections of one sink task, lent to a partition for the time of one call.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use towpath_api::{OpenSink, Result, Sink as _};

use crate::telemetry::{Held, SinkMetrics};

/// Up to `connections.max` sinks. Cheap to clone.
pub(super) struct Connections<O: OpenSink> {
    opener: O,
    permits: Arc<Semaphore>,
    idle: Idle<O>,
    /// How often the store was lost: behind a connection that is opened afresh there may be an older copy of it.
    losses: watch::Sender<u64>,
    metrics: SinkMetrics,
}

/// Connections that nobody uses, each with its place in the metrics.
type Idle<O> = Arc<Mutex<Vec<(<O as OpenSink>::Sink, Held)>>>;

impl<O: OpenSink> Connections<O> {
    pub(super) fn new(opener: O, max: u32, metrics: SinkMetrics) -> Self {
        Self {
            opener,
            permits: Arc::new(Semaphore::new(max as usize)),
            idle: Arc::default(),
            losses: watch::Sender::new(0),
            metrics,
        }
    }

    /// Waits for a connection that is free, or opens one.
    ///
    /// # Errors
    /// Those of [`OpenSink::open`].
    pub(super) async fn lend(&self) -> Result<Lent<O>> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        self.close_lost();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let sink = match idle {
            Some((sink, _)) => sink,
            None => self.opener.open().await?,
        };
        let in_use = self.metrics.connection_in_use();
        Ok(Lent { sink, idle: Arc::clone(&self.idle), metrics: self.metrics.clone(), _in_use: in_use, _permit: permit })
    }
}

impl<O: OpenSink> Connections<O> {
    /// Tells each time that the store was lost.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// The store was away, or is another copy than it was: every partition has to look where it stands.
    pub(super) fn note_loss(&self) {
        self.losses.send_modify(|losses| *losses += 1);
    }

    /// Lets idle connections go whose other side is gone. Nobody else would notice while all partitions are quiet.
    pub(super) fn close_lost(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let before = idle.len();
        idle.retain(|(sink, _)| sink.is_open());
        if idle.len() < before {
            self.note_loss();
        }
    }
}

/// A sink for the time of one call. Dropped, its connection is closed; [`Lent::give_back`] keeps it for the next
/// caller.
pub(super) struct Lent<O: OpenSink> {
    pub(super) sink: O::Sink,
    idle: Idle<O>,
    metrics: SinkMetrics,
    _in_use: Held,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<O: OpenSink> Lent<O> {
    /// The connection is in order: the next caller may have it.
    pub(super) fn give_back(self) {
        let place = self.metrics.connection_idle();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((self.sink, place));
    }
}
