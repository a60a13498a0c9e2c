//! A source task: runs the source until the task is stopped, and opens a fresh source after each retryable error.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use towpath_api::{
    ChangeEvent, Error, ErrorType, Journal, Lifecycle, Object, OpenSource, Placed, Position, PublishedRecords,
    Publisher, Reaction, Result, Source, delay_of_preparing,
};

use super::{TaskHealth, codes, source_parts::SourceParts};
use crate::telemetry::{
    Readiness, Stage,
    readiness::{KAFKA, REGISTRY},
};

/// The only part of a source task, as [`TaskHealth`] names it.
const PART: &str = "source";
/// A source whose last publish failed counts as running again after this time, if broker and registry answer.
const SECOND_LOOK: Duration = Duration::from_secs(10);
/// The `Retry-After` that clients of an intake source get.
const CLIENT_RETRY: Duration = Duration::from_secs(1);

/// One task of a source connector.
pub(crate) struct SourceTask<O> {
    pub(crate) connector: String,
    /// The task's number, from 0.
    pub(crate) task: u32,
    pub(crate) opener: Arc<O>,
    pub(crate) health: Arc<TaskHealth>,
    /// For an intake source: the worker is not ready for traffic while the task does not run.
    pub(crate) intake: Option<Arc<IntakeCheck>>,
    pub(crate) stop: CancellationToken,
}

impl<O: OpenSource> SourceTask<O> {
    /// Runs until the task is stopped, or until an error that is not retryable. Each run has a fresh source and a fresh
    /// publisher or journal from `open_out`: a journal fences its predecessor.
    ///
    /// # Errors
    /// The error that ended the task, already reported.
    pub(crate) async fn run<Out, F>(self, open_out: impl Fn() -> F) -> Result<()>
    where
        O::Source: Source<Out>,
        Out: Send,
        F: Future<Output = Result<Out>> + Send,
    {
        let Self { connector, task, health, intake, .. } = &self;
        tracing::info!(connector = %connector, task, "source task {connector}-{task} starts");
        let mut down = intake.as_deref().map(IntakeCheck::not_ready_at_end);
        let outcome = self.run_until_stopped(open_out).await;
        if let Some(down) = &mut down {
            down.reason =
                outcome.as_ref().err().map_or_else(|| "stopped".to_owned(), |error| format!("failed: {error}"));
        }
        match &outcome {
            Ok(()) => health.stopped(),
            Err(error) => {
                if error.reaction == Reaction::Fenced {
                    health.fenced(Stage::Produce, error);
                } else {
                    health.failed(Stage::Poll, error);
                }
            }
        }
        tracing::info!(connector = %connector, task, "source task {connector}-{task} has stopped");
        outcome
    }

    async fn run_until_stopped<Out, F>(&self, open_out: impl Fn() -> F) -> Result<()>
    where
        O::Source: Source<Out>,
        Out: Send,
        F: Future<Output = Result<Out>> + Send,
    {
        let (health, stop) = (&self.health, &self.stop);
        let mut backoff = health.backoff();
        loop {
            let parts = SourceParts::new(health);
            let life = Lifecycle::new(stop.clone()).with_parts(Arc::<SourceParts>::clone(&parts));
            let begun = Instant::now();
            // Opening may take as long as a broker is away, so a stop ends it. A running source ends by itself.
            let opening = async { Ok((open_out().await?, self.opener.open(self.task).await?)) };
            let opened = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                opened = opening => opened,
            };
            let ended = match opened {
                Ok((mut out, mut source)) => tokio::select! {
                    ended = source.run(&mut out, life.clone()) => ended,
                    never = self.note_start(&life) => match never {},
                },
                Err(error) => Err(error),
            };
            parts.end();
            // A source that starts and fails at once is delayed more and more.
            if life.is_started() && begun.elapsed() > health.delay_max() {
                backoff = health.backoff();
            }
            match ended {
                Ok(()) if stop.is_cancelled() => return Ok(()),
                Ok(()) => return Err(ended_early(&self.connector)),
                Err(error) if error.reaction == Reaction::Retry => {
                    if !health.wait(PART, Stage::Poll, &error, &mut backoff, stop).await {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reports the task as running once the source has started, and then never returns.
    async fn note_start(&self, life: &Lifecycle) -> Infallible {
        life.started().await;
        self.health.report_running(PART);
        let Self { connector, task, .. } = self;
        tracing::info!(connector = %connector, task, "source task {connector}-{task} runs");
        let Some(intake) = &self.intake else { return std::future::pending().await };
        intake.started();
        // After a failed post there may be no further traffic that clears the state, so the checks of broker and
        // registry count too.
        let mut tick = tokio::time::interval(SECOND_LOOK);
        loop {
            tick.tick().await;
            if intake.environment_is_well() && self.health.untroubled_for(SECOND_LOOK) {
                self.health.report_running(PART);
            }
        }
    }
}

fn ended_early(connector: &str) -> Error {
    let doing = format!("run source {connector}: it ended without a request to stop");
    Error::fatal(codes::SOURCE_ENDED, ErrorType::Internal, doing)
}

/// The readiness check of one intake source. The connector holds it until it is closed, so a failed task keeps the
/// worker unready. Dropping the check removes it.
#[derive(Debug)]
pub(crate) struct IntakeCheck {
    readiness: Readiness,
    check: String,
}

impl IntakeCheck {
    /// Makes the worker unready until the source has started. Create it before the other checks pass, or the worker
    /// is ready for a moment without this source.
    pub(crate) fn new(readiness: &Readiness, connector: &str) -> Self {
        let check = format!("connector {connector}");
        readiness.not_ready(&check, "starting");
        Self { readiness: readiness.clone(), check }
    }

    fn started(&self) {
        self.readiness.ready(&self.check);
    }

    /// Makes the worker unready when the returned guard is dropped: the task has ended, perhaps by a panic.
    fn not_ready_at_end(&self) -> NotReadyAtEnd<'_> {
        NotReadyAtEnd { check: self, reason: "its task has ended by a bug".to_owned() }
    }

    fn environment_is_well(&self) -> bool {
        !self.readiness.report().failing().any(|(name, _)| name == KAFKA || name == REGISTRY)
    }
}

struct NotReadyAtEnd<'a> {
    check: &'a IntakeCheck,
    reason: String,
}

impl Drop for NotReadyAtEnd<'_> {
    fn drop(&mut self) {
        self.check.readiness.not_ready(&self.check.check, std::mem::take(&mut self.reason));
    }
}

impl Drop for IntakeCheck {
    fn drop(&mut self) {
        self.readiness.remove(&self.check);
    }
}

/// A way out whose results set the task's state and its counters: an intake source that cannot publish is not running,
/// although it answers its clients.
#[derive(Clone)]
pub(crate) struct Reporting<P> {
    out: P,
    health: Arc<TaskHealth>,
}

impl<P> Reporting<P> {
    pub(crate) fn new(out: P, health: Arc<TaskHealth>) -> Self {
        Self { out, health }
    }

    fn report<T>(&self, stage: Stage, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => self.health.report_running(PART),
            Err(error) if error.reaction == Reaction::Retry => {
                self.health.report_retrying(PART, stage, error, 1, CLIENT_RETRY);
            }
            Err(error) => self.health.error(stage, error),
        }
        result
    }
}

impl<J: Journal> Journal for Reporting<J> {
    async fn prepare(&mut self, object: &Arc<Object>) -> Result<()> {
        self.out.prepare(object).await
    }

    async fn position(&mut self) -> Result<Option<Position>> {
        self.out.position().await
    }

    fn records(&self) -> Arc<dyn PublishedRecords> {
        self.out.records()
    }

    async fn check(&mut self, event: &ChangeEvent) -> Result<()> {
        self.out.check(event).await
    }

    async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
        let count = events.len();
        let published = self.out.publish(events, position).await;
        self.health.processed(count);
        // A poller returns its error, which is reported then; here it is counted at its stage.
        if let Err(error) = &published {
            self.health.error(Stage::Produce, error);
        }
        published
    }
}

impl<P: Publisher> Publisher for Reporting<P> {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        let part = format!("object {}", object.name());
        let prepared = self.out.prepare(object).await;
        match &prepared {
            Ok(()) => self.health.object_is_ready(part),
            Err(error) => self.health.object_waits(&part, error, delay_of_preparing),
        }
        prepared
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        let count = events.len();
        let published = self.report(Stage::Produce, self.out.publish(events).await);
        self.health.processed(count);
        published
    }
}
