//! A task of a source: runs it until it is stopped, and makes a fresh one after an error that time may cure.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use towpath_api::{
    ChangeEvent, Error, ErrorType, Lifecycle, Object, OpenSource, Placed, Publisher, Reaction, Result, Source,
};

use super::health::TaskHealth;
use crate::telemetry::{Readiness, Stage};

/// The one part that a source task consists of, as [`TaskHealth`] knows it.
const PART: &str = "source";
/// How long after the last failed post the source counts as running again, if broker and registry answer.
const SECOND_LOOK: Duration = Duration::from_secs(10);
/// When a client that got 503 is told to come back.
const CLIENT_RETRY: Duration = Duration::from_secs(1);

/// Makes the worker unready until the source `name` has started. To be called for each before any other check can hold,
/// or the worker would be ready for a moment without it.
pub(super) fn announce(readiness: &Readiness, name: &str) {
    readiness.not_ready(check(name), "starting");
}

fn check(name: &str) -> String {
    format!("connector {name}")
}

/// Runs task 0 of `opener` until `stop`, or until an error that waiting does not cure.
pub(super) async fn run<O: OpenSource<Source: Source<Reporting<P>>>, P: Publisher>(
    name: String,
    opener: O,
    out: P,
    health: TaskHealth,
    readiness: Readiness,
    stop: CancellationToken,
) -> Result<()> {
    tracing::info!(connector = name, "source task {name}-0 starts");
    let check = check(&name);
    let health = Arc::new(health);
    let mut out = Reporting { out, health: Arc::clone(&health) };
    let mut backoff = health.backoff();
    let outcome = loop {
        let mut source = match opener.open(0).await {
            Ok(source) => source,
            Err(error) => break Err(error),
        };
        let life = Lifecycle::new(stop.clone());
        let running = source.run(&mut out, life.clone());
        let ended = tokio::select! {
            ended = running => ended,
            never = note_start(&life, &health, &readiness, &check) => match never {},
        };
        if life.is_started() {
            backoff = health.backoff();
        }
        match ended {
            Ok(()) if stop.is_cancelled() => break Ok(()),
            Ok(()) => break Err(ended_early(&name)),
            Err(error) if error.reaction == Reaction::Retry => {
                if !health.wait(PART, Stage::Poll, &error, &mut backoff, &stop).await {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    match &outcome {
        Ok(()) => health.stopped(),
        Err(error) => {
            readiness.not_ready(&check, format!("failed: {error}"));
            health.failed(Stage::Poll, error);
        }
    }
    tracing::info!(connector = name, "source task {name}-0 has stopped");
    outcome
}

/// Marks the task as running once the source says that it is, and then waits for ever.
async fn note_start(life: &Lifecycle, health: &TaskHealth, readiness: &Readiness, check: &str) -> Infallible {
    life.started().await;
    health.works(PART);
    readiness.ready(check);
    // One post that failed does not tell of an outage for ever when no other follows: what the intake needs is asked
    // for as well.
    let mut tick = tokio::time::interval(SECOND_LOOK);
    loop {
        tick.tick().await;
        let failing = readiness.report().failing().any(|(name, _)| name == "kafka" || name == "registry");
        if !failing && health.untroubled_for(SECOND_LOOK) {
            health.works(PART);
        }
    }
}

fn ended_early(name: &str) -> Error {
    Error::fatal("source.ended", ErrorType::Internal, format!("run source {name}: it ended without being told to"))
}

/// A publisher that lets the state of the task follow from what becomes of its events: a source whose events find no
/// broker is not running, whatever it thinks itself.
#[derive(Clone)]
pub(super) struct Reporting<P> {
    out: P,
    health: Arc<TaskHealth>,
}

impl<P> Reporting<P> {
    fn report<T>(&self, stage: Stage, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => self.health.works(PART),
            Err(error) if error.reaction == Reaction::Retry => {
                self.health.troubled(PART, stage, error, 1, CLIENT_RETRY)
            }
            Err(error) => self.health.error(stage, error),
        }
        result
    }
}

impl<P: Publisher> Publisher for Reporting<P> {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        // A failure ends the run, which reports it; a success alone does not make the source run.
        self.out.prepare(object).await
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        let count = events.len();
        let published = self.report(Stage::Produce, self.out.publish(events).await);
        self.health.processed(count);
        published
    }
}
