//! The state of one task. The parts of a task (its partitions, for example) fail separately: one part that waits makes
//! the task wait.

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
use towpath_api::{Error, ErrorType, TopicPartition};

use crate::telemetry::{ConnectorMetrics, PartitionStatus, Stage, TaskStatus};

/// Reports for one task to the status board, the metrics and the log.
pub(crate) struct TaskHealth {
    connector: String,
    status: TaskStatus,
    metrics: ConnectorMetrics,
    delay_max: Duration,
    /// The parts that wait after an error: partitions, or names such as `topics`.
    waiting: Mutex<BTreeSet<String>>,
    last_error: Mutex<Instant>,
    /// True while no part waits and the board shows that. Read once per batch, without a lock.
    well: AtomicBool,
}

impl TaskHealth {
    /// Puts the task on the board as starting.
    pub(crate) fn new(connector: &str, status: TaskStatus, metrics: ConnectorMetrics, delay_max: Duration) -> Self {
        status.starting();
        Self {
            connector: connector.to_owned(),
            status,
            metrics,
            delay_max,
            waiting: Mutex::default(),
            last_error: Mutex::new(Instant::now()),
            well: AtomicBool::new(false),
        }
    }

    /// Puts a partition on the board, until the returned handle is dropped.
    pub(super) fn partition(&self, partition: &TopicPartition) -> PartitionStatus {
        self.status.partition(partition)
    }

    /// Delays from a tenth of a second up to `errors.retry.delay.max.ms`, with jitter, without end.
    pub(super) fn backoff(&self) -> Backoff {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100).min(self.delay_max))
            .with_max_delay(self.delay_max)
            .with_jitter()
            .without_max_times()
            .build();
        Backoff { delays, attempt: 0 }
    }

    /// Reports that `part` makes progress, or has nothing to do.
    pub(super) fn report_running(&self, part: &str) {
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

    /// The longest delay between two attempts.
    pub(super) fn delay_max(&self) -> Duration {
        self.delay_max
    }

    /// Returns true if no error was reported within the last `time`.
    pub(super) fn untroubled_for(&self, time: Duration) -> bool {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= time
    }

    /// Removes `part`, which has ended, from the waiting parts.
    pub(super) fn forget(&self, part: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Reports a retryable error of `part` and waits. Returns false if `stop` was cancelled first.
    pub(super) async fn wait(
        &self,
        part: &str,
        stage: Stage,
        error: &Error,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> bool {
        let delay = backoff.next();
        self.report_retrying(part, stage, error, backoff.attempt, delay);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(delay) => {
                self.metrics.retry(stage);
                true
            }
        }
    }

    /// Reports that `part` cannot continue until something else recovers, and is retried after `delay`.
    pub(super) fn report_retrying(&self, part: &str, stage: Stage, error: &Error, attempt: u32, delay: Duration) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.well.store(false, Ordering::Release);
        waiting.insert(part.to_owned());
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.metrics.error(stage, error.error_type);
        self.status.retrying(error, attempt, SystemTime::now() + delay);
        // An outage is the same for all partitions and is logged once; a wrong table says nothing about other tables.
        let of_a_table = matches!(error.error_type, ErrorType::Schema | ErrorType::Constraint);
        let topic = part.split_once('[').filter(|_| of_a_table).map(|(topic, _)| topic);
        tracing::warn!(
            connector = %self.connector, part, topic, stage = stage.as_str(), code = error.code,
            error_type = %error.error_type, attempt, error = %error.chain(), help = error.help(),
            "{part} waits {} ms and retries; nothing is lost", delay.as_millis()
        );
    }

    /// Counts an error that is not retried and does not end the task.
    pub(super) fn error(&self, stage: Stage, error: &Error) {
        self.metrics.error(stage, error.error_type);
    }

    /// Counts records that were attempted, whatever the outcome.
    pub(super) fn processed(&self, records: usize) {
        self.metrics.processed(u64::try_from(records).unwrap_or(u64::MAX));
    }

    /// Reports the error that ended the task.
    pub(crate) fn failed(&self, stage: Stage, error: &Error) {
        self.metrics.error(stage, error.error_type);
        self.status.failed(error);
        tracing::error!(
            connector = %self.connector, stage = stage.as_str(), code = error.code, error_type = %error.error_type,
            error = %error.chain(), help = error.help(),
            "the task has failed and stays failed until it is restarted; acknowledged records are safe in Kafka"
        );
    }

    /// Reports that another worker has taken over all work of the task, which has ended.
    pub(super) fn fenced(&self, stage: Stage, error: &Error) {
        self.metrics.error(stage, error.error_type);
        self.status.fenced(error);
        tracing::warn!(
            connector = %self.connector, stage = stage.as_str(), code = error.code, error = %error.chain(),
            help = error.help(),
            "another worker has taken over; this task has let go and has ended"
        );
    }

    /// Reports that the task has ended as requested.
    pub(super) fn stopped(&self) {
        self.status.stopped();
    }
}

/// The delays of one part. After progress the part starts with a fresh backoff.
pub(super) struct Backoff {
    delays: backon::ExponentialBackoff,
    attempt: u32,
}

impl Backoff {
    /// Returns true if the part has waited at least once.
    pub(super) fn has_waited(&self) -> bool {
        self.attempt > 0
    }

    fn next(&mut self) -> Duration {
        self.attempt += 1;
        self.delays.next().unwrap_or(Duration::from_secs(15))
    }
}
