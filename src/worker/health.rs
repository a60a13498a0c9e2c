//! The state of a task whose partitions each have their own troubles: one that waits makes the task wait.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType};

use crate::telemetry::{ConnectorMetrics, Stage, TaskStatus};

/// What a task reports, to the status board, the metrics and the log.
pub(super) struct TaskHealth {
    connector: String,
    status: TaskStatus,
    metrics: ConnectorMetrics,
    delay_max: Duration,
    /// The parts (partitions, or "topics") that wait after an error.
    waiting: Mutex<BTreeSet<String>>,
    /// When something last went wrong.
    last_trouble: Mutex<Instant>,
    /// Nothing waits and the board says so: asked for each batch, so it is answered without a lock.
    well: AtomicBool,
}

impl TaskHealth {
    /// A task that is starting.
    pub(super) fn new(connector: &str, status: TaskStatus, metrics: ConnectorMetrics, delay_max: Duration) -> Self {
        status.starting();
        Self {
            connector: connector.to_owned(),
            status,
            metrics,
            delay_max,
            waiting: Mutex::default(),
            last_trouble: Mutex::new(Instant::now()),
            well: AtomicBool::new(false),
        }
    }

    /// A wait that grows from a tenth of a second to `errors.retry.delay.max.ms`, with jitter, for ever.
    pub(super) fn backoff(&self) -> Backoff {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100).min(self.delay_max))
            .with_max_delay(self.delay_max)
            .with_jitter()
            .without_max_times()
            .build();
        Backoff { delays, attempt: 0 }
    }

    /// `part` works, or has nothing to do.
    pub(super) fn works(&self, part: &str) {
        if self.well.load(Ordering::Acquire) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.remove(part) {
            tracing::info!(connector = %self.connector, part, "{part} works again");
        }
        if waiting.is_empty() {
            self.status.running();
            self.well.store(true, Ordering::Release);
        }
    }

    /// Whether nothing has gone wrong for so long.
    pub(super) fn untroubled_for(&self, time: Duration) -> bool {
        self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= time
    }

    /// `part` is no more.
    pub(super) fn forget(&self, part: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Reports an error of `part` that time may cure, and waits. Returns false when `stop` came first.
    pub(super) async fn wait(
        &self,
        part: &str,
        stage: Stage,
        error: &Error,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> bool {
        let delay = backoff.next();
        self.troubled(part, stage, error, backoff.attempt, delay);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(delay) => {
                self.metrics.retry(stage);
                true
            }
        }
    }

    /// Reports that `part` cannot go on before something else recovers, and is tried again after `delay`.
    pub(super) fn troubled(&self, part: &str, stage: Stage, error: &Error, attempt: u32, delay: Duration) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.well.store(false, Ordering::Release);
        waiting.insert(part.to_owned());
        *self.last_trouble.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.metrics.error(stage, error.error_type);
        self.status.retrying(error, attempt, SystemTime::now() + delay);
        // An outage is the same for all partitions and is told once; what is wrong with one table says nothing of
        // another.
        let of_a_table = matches!(error.error_type, ErrorType::Schema | ErrorType::Constraint);
        let topic = part.split_once('[').filter(|_| of_a_table).map(|(topic, _)| topic);
        tracing::warn!(
            connector = %self.connector, part, topic, stage = stage.as_str(), code = error.code, error_type = %error.error_type, attempt,
            error = %error.chain(), "{part} waits {} ms and tries again; nothing is lost", delay.as_millis()
        );
    }

    /// Counts an error that neither waiting cures nor ends the task.
    pub(super) fn error(&self, stage: Stage, error: &Error) {
        self.metrics.error(stage, error.error_type);
    }

    /// Counts records that were tried, whatever became of them.
    pub(super) fn processed(&self, records: usize) {
        self.metrics.processed(u64::try_from(records).unwrap_or(u64::MAX));
    }

    /// Reports the error that ended the task.
    pub(super) fn failed(&self, stage: Stage, error: &Error) {
        self.metrics.error(stage, error.error_type);
        self.status.failed(error);
        tracing::error!(
            connector = %self.connector, stage = stage.as_str(), code = error.code, error_type = %error.error_type,
            error = %error.chain(), "the task has failed and stays so until it is restarted; what was acknowledged is safe in Kafka"
        );
    }

    /// Reports that the task has let go of everything.
    pub(super) fn stopped(&self) {
        self.status.stopped();
    }
}

/// The waits of one part, until it makes progress and starts with a fresh one.
pub(super) struct Backoff {
    delays: backon::ExponentialBackoff,
    attempt: u32,
}

impl Backoff {
    /// Whether it was waited for at all.
    pub(super) fn has_waited(&self) -> bool {
        self.attempt > 0
    }

    fn next(&mut self) -> Duration {
        self.attempt += 1;
        self.delays.next().unwrap_or(Duration::from_secs(15))
    }
}
