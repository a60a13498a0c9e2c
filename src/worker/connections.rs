//! The connections of one sink task, lent to a partition for the time of one call.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use towpath_api::{OpenSink, Result};

/// Up to `connections.max` sinks. Cheap to clone.
pub(super) struct Connections<O: OpenSink> {
    opener: O,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<O::Sink>>>,
}

impl<O: OpenSink> Clone for Connections<O> {
    fn clone(&self) -> Self {
        Self { opener: self.opener.clone(), permits: Arc::clone(&self.permits), idle: Arc::clone(&self.idle) }
    }
}

impl<O: OpenSink> Connections<O> {
    pub(super) fn new(opener: O, max: u32) -> Self {
        Self { opener, permits: Arc::new(Semaphore::new(max as usize)), idle: Arc::default() }
    }

    /// Waits for a connection that is free, or opens one.
    ///
    /// # Errors
    /// Those of [`OpenSink::open`].
    pub(super) async fn lend(&self) -> Result<Lent<O>> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let sink = match idle {
            Some(sink) => sink,
            None => self.opener.open().await?,
        };
        Ok(Lent { sink, idle: Arc::clone(&self.idle), _permit: permit })
    }
}

/// A sink for the time of one call. Dropped, its connection is closed; [`Lent::give_back`] keeps it for the next caller.
pub(super) struct Lent<O: OpenSink> {
    pub(super) sink: O::Sink,
    idle: Arc<Mutex<Vec<O::Sink>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<O: OpenSink> Lent<O> {
    /// The connection is in order: the next caller may have it.
    pub(super) fn give_back(self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.sink);
    }
}
