//! The contract of sources: the traits that a source implements, and the handles that the worker passes to it.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value as Json};
use tokio_util::sync::CancellationToken;

use crate::{ChangeEvent, Error, Object, PublishedRecords, Result};

/// The workers of the group that run the tasks of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Each task runs on one worker of the group.
    OneWorker,
    /// Each task runs on every worker of the group, as a listener behind a load balancer needs.
    EveryWorker,
}

/// Opens the tasks of a source; the twin of [`OpenSink`](crate::OpenSink).
pub trait OpenSource: Send + Sync + 'static {
    /// The source that [`open`](Self::open) returns.
    type Source: Send;

    /// The workers of the group that run the tasks.
    fn placement(&self) -> Placement;

    /// The number of tasks, from 1 to `max`, which is the key `tasks.max`.
    fn tasks(&self, max: u32) -> u32;

    /// Opens task `task`, counted from 0. Called once at start and again before each retry, so a source keeps no state
    /// across an error. A source with a position reads the position from its [`Journal`] when it runs.
    ///
    /// # Errors
    /// Retry while the outside system is unavailable; fatal if waiting does not help.
    fn open(&self, task: u32) -> impl Future<Output = Result<Self::Source>> + Send;
}

/// Reads the changes of one outside system and publishes them as events.
///
/// `Out` is the publisher that the source needs: a source without a position implements this trait for every
/// [`Publisher`], a source with a position for every [`Journal`]. A server (a webhook) serves until `stop` and answers
/// after `publish`; a poller loops around `publish`. There is no queue between source and broker: the await of
/// `publish` is the backpressure.
pub trait Source<Out>: Send {
    /// Runs until [`Lifecycle::stop`] is cancelled, then finishes the work in progress and returns `Ok`. Calls
    /// [`Lifecycle::has_started`] after its start.
    ///
    /// Called once per instance. After an `Err` the worker carries out the [`Reaction`](crate::Reaction) of the error;
    /// for a retry, the worker opens a fresh instance and runs it with a fresh `out`.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await, so a source acknowledges nothing to the outside system before `publish`
    /// has returned.
    fn run(&mut self, out: &mut Out, life: Lifecycle) -> impl Future<Output = Result<()>> + Send;
}

/// The worker's view of the parts of a source that wait on their own, while the others work: an endpoint that refuses,
/// an object without a right.
pub trait Parts: Send + Sync + 'static {
    /// Notes that `part` cannot continue because of `error`, and makes its next attempt, the `attempt`th, after
    /// `delay`.
    fn waits(&self, part: &str, error: &Error, attempt: u32, delay: Duration);

    /// Notes that `part` works, or has ended.
    fn works(&self, part: &str);
}

/// The signals between the worker and a running source. All clones share the same signals.
#[derive(Clone, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    started: CancellationToken,
    parts: Option<Arc<dyn Parts>>,
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lifecycle").field("stop", &self.stop).field("started", &self.started).finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// Creates the signals of a source that ends after `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, started: CancellationToken::new(), parts: None }
    }

    /// Lets the source report parts of it that wait. Without this, its reports have no effect.
    pub fn with_parts(self, parts: Arc<dyn Parts>) -> Self {
        Self { parts: Some(parts), ..self }
    }

    /// Reports that `part` of the source waits after `error`, and makes its next attempt, the `attempt`th, after
    /// `delay`. Parts end with the run. The worker shows it in the task's state, counts it and logs it, and the other
    /// parts go on.
    pub fn part_waits(&self, part: &str, error: &Error, attempt: u32, delay: Duration) {
        if let Some(parts) = &self.parts {
            parts.waits(part, error, attempt, delay);
        }
    }

    /// Reports that `part` works, or has ended. Cheap if it did not wait.
    pub fn part_works(&self, part: &str) {
        if let Some(parts) = &self.parts {
            parts.works(part);
        }
    }

    /// After this token is cancelled, the source accepts no more input, finishes the work in progress and returns.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Reports that the source has started. Further calls have no effect.
    pub fn has_started(&self) {
        self.started.cancel();
    }

    /// Returns true if the source has reported its start.
    pub fn is_started(&self) -> bool {
        self.started.is_cancelled()
    }

    /// Waits until the source has reported its start.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn started(&self) {
        self.started.cancelled().await;
    }
}

/// The place of an event on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition within it.
    pub partition: i32,
    /// The offset of the event.
    pub offset: i64,
}

/// The delay after which a source prepares an object again that could not be prepared `attempt` times: from a second up
/// to a minute.
pub fn delay_of_preparing(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(6)).min(Duration::from_mins(1))
}

/// Publishes events to topics. Cheap to clone; many tasks may use it concurrently.
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Creates the topic of `object` and registers its schemas, if needed.
    ///
    /// Optional: `publish` does the same for the first event of an object. A source calls `prepare` before it accepts
    /// input, so that a schema that the registry refuses is reported at start and not at the first event. The worker
    /// shows an object that could not be prepared until a later call succeeds; a source that serves other objects
    /// meanwhile calls again after [`delay_of_preparing`].
    ///
    /// # Errors
    /// Retry while the broker or the registry is unavailable; fatal if the registry refuses the schema, or if the topic
    /// is compacted although the object's updates are partial.
    fn prepare(&self, object: &Arc<Object>) -> impl Future<Output = Result<()>> + Send;

    /// Publishes events. Returns after all events are durable, with the place of each event, in the order of `events`.
    ///
    /// Events with the same key keep their order, within a call and across consecutive calls.
    ///
    /// # Errors
    /// After an error, some of the events may be in their topics. Publishing them again is harmless, since they keep
    /// their keys, ids and versions. Retry while the broker is unavailable; poison for an event that can never be
    /// stored (too large).
    ///
    /// # Cancel safety
    /// If the future is dropped, any of the events may be in their topics.
    fn publish(&self, events: Vec<ChangeEvent>) -> impl Future<Output = Result<Vec<Placed>>> + Send;
}

/// The position up to which a source task has read its outside system: a JSON object that only the source interprets.
/// Operators see the position, so it contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub Map<String, Json>);

/// Publishes events to topics together with the position of the task that read them, in one Kafka transaction: either
/// both become durable or neither does. One task owns the journal and makes one call at a time.
///
/// If a process is frozen for longer than the transaction timeout, the broker ends its transaction and fences the
/// journal, also if no other instance has taken over. The call then fails with a retry, and a fresh journal may
/// continue. If the journal cannot measure the freeze (the clock of a suspended machine stops), the call fails as
/// fenced. In either case, nothing of the call was published.
pub trait Journal: Send {
    /// Creates the topic of `object` and registers its schemas, if needed, as [`Publisher::prepare`] does.
    ///
    /// # Errors
    /// The same as those of [`Publisher::prepare`].
    fn prepare(&mut self, object: &Arc<Object>) -> impl Future<Output = Result<()>> + Send;

    /// The newest durable position, published by this instance or an earlier instance; `None` before the first.
    ///
    /// # Errors
    /// Retry while the broker is unavailable. Fenced if another instance of this task has taken over.
    fn position(&mut self) -> impl Future<Output = Result<Option<Position>>> + Send;

    /// Reads back the records that the task's objects have in their topics. Stays usable for as long as the caller
    /// keeps it.
    fn records(&self) -> Arc<dyn PublishedRecords>;

    /// Checks that [`publish`](Self::publish) would accept an event, as far as that is known without the broker: that
    /// it fits its schema, and is not too large. Sends nothing, but creates the topic and registers the schemas, if
    /// needed.
    ///
    /// # Errors
    /// Poison, as `publish` would report it. Otherwise those of [`Publisher::prepare`].
    fn check(&mut self, event: &ChangeEvent) -> impl Future<Output = Result<()>> + Send;

    /// Publishes events and sets the position. Returns after all events and `position` are durable, with the place of
    /// each event, in the order of `events`. If `events` is empty, only the position is set.
    ///
    /// # Errors
    /// After an error, neither the events nor the position are published, unless the outcome of the commit is unknown:
    /// then the error is a retry, the journal refuses further calls, and the next instance reads the actual position.
    /// Retry while the broker is unavailable. Poison for an event that can never be stored: nothing of the call was
    /// sent, and the journal remains usable. Fenced if another instance of this task has taken over, or after a freeze
    /// of the process that could not be measured (see the trait): let go.
    ///
    /// # Cancel safety
    /// If the future is dropped, the outcome is unknown, and a fresh journal must be opened.
    fn publish(
        &mut self,
        events: &[ChangeEvent],
        position: Position,
    ) -> impl Future<Output = Result<Vec<Placed>>> + Send;
}
