//! What a source is, and what it is given.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{ChangeEvent, Object, Result};

/// Knows one outside system and turns what changes there into events.
///
/// A server (a webhook) serves until `stop` and answers after `publish`; a poller loops around `publish`. There is no
/// queue between source and broker: backpressure is the await.
pub trait Source: Send {
    /// Runs until it is told to stop, then finishes what it has begun and returns `Ok`. Says when it has started: from
    /// then on it takes in what comes.
    ///
    /// Called once by the worker. After an `Err` the worker carries out its [`Reaction`](crate::Reaction): for a retry
    /// it makes a fresh instance and runs that.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await: nothing was acknowledged to the outside before `publish` returned.
    fn run<P: Publisher>(&mut self, out: &P, life: Lifecycle) -> impl Future<Output = Result<()>> + Send;
}

/// What the worker and a running source tell each other. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    started: CancellationToken,
}

impl Lifecycle {
    /// For a source that is to end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, started: CancellationToken::new() }
    }

    /// Cancelled when the source is to take nothing more in, finish, and return.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Says that the source is at work; saying it again changes nothing.
    pub fn has_started(&self) {
        self.started.cancel();
    }

    /// Whether the source has said that it is at work.
    pub fn is_started(&self) -> bool {
        self.started.is_cancelled()
    }

    /// Waits until the source has said that it is at work.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn started(&self) {
        self.started.cancelled().await;
    }
}

/// Where the broker put an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition within it.
    pub partition: i32,
    /// The event's own offset.
    pub offset: i64,
}

/// Carries events into topics. Cheap to clone, usable from many tasks at once.
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Makes sure that the topic of `object` exists and that its schemas are registered.
    ///
    /// Optional: `publish` does the same on first sight. A source calls it before it takes anything in, so that a
    /// schema which the registry refuses is known at start and not at the first event.
    ///
    /// # Errors
    /// Retry while the broker or the registry is away; fatal when the registry refuses the schema or the topic is
    /// compacted although the object's updates are partial.
    fn prepare(&self, object: &Arc<Object>) -> impl Future<Output = Result<()>> + Send;

    /// Returns once the broker has all events for good, with the place of each, in their order.
    ///
    /// Events of one key are kept in the order given, across calls that follow each other.
    ///
    /// # Errors
    /// After an error some of the events may be in their topics nevertheless; publishing them again is harmless, since
    /// they keep their keys, ids and versions. Retry while the broker is away; poison for an event that can never be
    /// stored (too large).
    ///
    /// # Cancel safety
    /// Dropping the future leaves it open which events the broker took.
    fn publish(&self, events: Vec<ChangeEvent>) -> impl Future<Output = Result<Vec<Placed>>> + Send;
}
