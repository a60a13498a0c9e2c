//! What a source is, and what it is given.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tokio_util::sync::CancellationToken;

use crate::{ChangeEvent, Object, Result};

/// Where the tasks of a source run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Each task runs on one worker of the group.
    OneWorker,
    /// Each task runs on every worker of the group, as a listener behind a load balancer needs.
    EveryWorker,
}

/// Opens the tasks of a source; the twin of [`OpenSink`](crate::OpenSink).
pub trait OpenSource: Send + Sync + 'static {
    /// What it opens.
    type Source: Send;

    /// Where the tasks run.
    fn placement(&self) -> Placement;

    /// The number of tasks, from 1 to `max`, which is the key `tasks.max`.
    fn tasks(&self, max: u32) -> u32;

    /// Opens task `task`, counted from 0. Called once at start and again after each retry, so a source keeps no state
    /// across an error: one with a position reads it from its [`Journal`] when it runs.
    ///
    /// # Errors
    /// Retry while the outside system is away; fatal when waiting does not help.
    fn open(&self, task: u32) -> impl Future<Output = Result<Self::Source>> + Send;
}

/// Knows one outside system and turns its changes into events.
///
/// `Out` is the way out that the source needs: a source without a position implements this for every [`Publisher`], a
/// source with one for every [`Journal`]. A server (a webhook) serves until `stop` and answers after `publish`; a
/// poller loops around `publish`. There is no queue between source and broker: backpressure is the await.
pub trait Source<Out>: Send {
    /// Runs until it is told to stop, then finishes what it has begun and returns `Ok`. Reports when it has started.
    ///
    /// Called once by the worker. After an `Err` the worker carries out its [`Reaction`](crate::Reaction): for a retry
    /// it opens a fresh instance, with a fresh `out`, and runs that.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await: nothing was acknowledged to the outside before `publish` returned.
    fn run(&mut self, out: &mut Out, life: Lifecycle) -> impl Future<Output = Result<()>> + Send;
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

/// How far a source task has read its outside system: a JSON object that only the source interprets. It is shown to
/// operators, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub Map<String, Json>);

/// Carries events into topics together with the position of the task that read them: both become durable, in one Kafka
/// transaction, or neither does. One task owns it and makes one call at a time.
pub trait Journal: Send {
    /// Makes sure that the topic of `object` exists and that its schemas are registered, as [`Publisher::prepare`]
    /// does.
    ///
    /// # Errors
    /// Those of [`Publisher::prepare`].
    fn prepare(&mut self, object: &Arc<Object>) -> impl Future<Output = Result<()>> + Send;

    /// The position that was last made durable, by this instance or an earlier one; `None` before the first.
    ///
    /// # Errors
    /// Retry while the broker is away. Fenced when another instance of this task has taken over.
    fn position(&mut self) -> impl Future<Output = Result<Option<Position>>> + Send;

    /// Returns once the broker has all events and `position` for good, with the place of each event, in their order.
    /// `events` may be empty: then the position alone moves.
    ///
    /// # Errors
    /// After an error neither the events nor the position count, except where the outcome of the commit is unknown:
    /// the error is then a retry, the journal refuses further calls, and the next instance reads the true position.
    /// Retry while the broker is away. Poison for an event that can never be stored; nothing of the call was sent, and
    /// the journal may be used further. Fenced when another instance of this task has taken over: let go.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome open. Open a fresh journal then.
    fn publish(
        &mut self,
        events: Vec<ChangeEvent>,
        position: Position,
    ) -> impl Future<Output = Result<Vec<Placed>>> + Send;
}
