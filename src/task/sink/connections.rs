//! The connections of one sink task. A partition borrows one for each call.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use towpath_api::{Error, ErrorType, OpenSink, Result, Sink as _};

use crate::{
    task::codes,
    telemetry::{Held, SinkMetrics},
};

/// Time without an answer after which a store counts as silent. The store's own limits are shorter: a statement has
/// 30 s.
pub(super) const SILENCE: Duration = Duration::from_secs(40);

/// The error of a silent store.
pub(super) fn no_answer(doing: &str) -> Error {
    Error::retry(codes::NO_ANSWER, ErrorType::Timeout, format!("{doing}: the store does not answer"))
}

/// At most `connections.max` sinks. Cheap to clone.
pub(crate) struct Connections<O: OpenSink> {
    opener: O,
    permits: Arc<Semaphore>,
    idle: Idle<O>,
    /// Counts losses of the store: a fresh connection may reach an older copy of the store.
    losses: watch::Sender<u64>,
    /// True if the newest attempt to open a connection failed.
    refused: AtomicBool,
    metrics: SinkMetrics,
}

/// Unused connections, each with its place in the metrics.
type Idle<O> = Arc<Mutex<Vec<(<O as OpenSink>::Sink, Held)>>>;

impl<O: OpenSink> Connections<O> {
    pub(crate) fn new(opener: O, max: u32, metrics: SinkMetrics) -> Self {
        Self {
            opener,
            permits: Arc::new(Semaphore::new(max as usize)),
            idle: Arc::default(),
            losses: watch::Sender::new(0),
            refused: AtomicBool::new(false),
            metrics,
        }
    }

    /// Waits for a free connection, or opens one.
    ///
    /// # Errors
    /// Those of [`OpenSink::open`].
    pub(super) async fn lend(&self) -> Result<Lent<O>> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        self.close_lost();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let sink = if let Some((sink, _)) = idle {
            sink
        } else {
            let opened = self.opener.open().await;
            self.refused.store(opened.is_err(), Relaxed);
            opened?
        };
        let in_use = self.metrics.connection_in_use();
        Ok(Lent { sink, idle: Arc::clone(&self.idle), metrics: self.metrics.clone(), _in_use: in_use, _permit: permit })
    }

    /// Returns true if no connection can be opened at present, which concerns all partitions.
    pub(super) fn are_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// Changes at each loss of the store.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Notes that the store was unavailable or is another copy: every partition has to check its offset.
    pub(super) fn note_loss(&self) {
        self.losses.send_modify(|losses| *losses += 1);
    }

    /// Drops idle connections whose other side is gone. Quiet partitions would not notice.
    pub(super) fn close_lost(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let before = idle.len();
        idle.retain(|(sink, _)| sink.is_open());
        if idle.len() < before {
            self.note_loss();
        }
    }
}

/// A sink for one call. Dropping it closes its connection; [`Lent::give_back`] keeps the connection for the next
/// caller.
pub(super) struct Lent<O: OpenSink> {
    pub(super) sink: O::Sink,
    idle: Idle<O>,
    metrics: SinkMetrics,
    _in_use: Held,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<O: OpenSink> Lent<O> {
    /// Returns a healthy connection for the next caller.
    pub(super) fn give_back(self) {
        let place = self.metrics.connection_idle();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((self.sink, place));
    }
}
