//! The state of one task. The parts of a task (its partitions, for example) fail separately: one part that waits shows
//! in the state, and stops no other part.

mod parts;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType, TopicPartition};

use self::parts::{Parts, Wait};
use crate::telemetry::{ConnectorMetrics, PartitionStatus, Stage, TaskStatus, status::LastError};

/// The shortest and the longest delay of a part that waits for a person.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Reports for one task to the status board, the metrics and the log.
pub(crate) struct TaskHealth {
    connector: String,
    status: TaskStatus,
    metrics: ConnectorMetrics,
    delay_max: Duration,
    parts: Mutex<Parts>,
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
            parts: Mutex::default(),
            last_error: Mutex::new(Instant::now()),
            well: AtomicBool::new(false),
        }
    }

    /// Puts a partition on the board, until the returned handle is dropped. It counts as a part of the task until
    /// [`forget`](Self::forget).
    pub(super) fn partition(&self, partition: &TopicPartition) -> PartitionStatus {
        self.parts().add_partition(partition.to_string());
        self.status.partition(partition)
    }

    /// Notes that an object of a source can be published. This alone does not mean that the source runs.
    pub(super) fn object_is_ready(&self, part: String) {
        self.part_works(&part);
        self.parts().add_partition(part);
    }

    /// Notes that `part` does not wait. This alone does not mean that the task runs. Returns true if the part waited.
    pub(super) fn part_works(&self, part: &str) -> bool {
        if self.is_well() {
            return false;
        }
        let mut parts = self.parts();
        let waited = parts.works(part);
        if waited {
            tracing::info!(connector = %self.connector, part, "{part} works again");
            self.publish(&parts);
        }
        waited
    }

    /// Returns true if no part waits. Cheap.
    pub(super) fn is_well(&self) -> bool {
        self.well.load(Ordering::Acquire)
    }

    /// Removes parts that have ended with the run of a source. The state stays until the next report.
    pub(super) fn end_parts(&self, ended: impl IntoIterator<Item = String>) {
        let mut parts = self.parts();
        for part in ended {
            parts.remove(&part);
        }
    }

    /// Reports that an object of a source could not be prepared, and is retried after `delay` of the attempt.
    pub(super) fn object_waits(&self, part: &str, error: &Error, delay: impl Fn(u32) -> Duration) {
        let attempt = {
            let mut parts = self.parts();
            parts.add_partition(part.to_owned());
            parts.attempts(part) + 1
        };
        self.report_retrying(part, Stage::Produce, error, attempt, delay(attempt));
    }

    /// Delays from a tenth of a second up to `errors.retry.delay.max.ms`, with jitter, without end.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(100), self.delay_max)
    }

    /// Delays from a second up to a minute, for a part that waits for a person.
    pub(super) fn patience(&self) -> Backoff {
        Backoff::new(PATIENCE.0, PATIENCE.1.min(self.delay_max))
    }

    /// Reports that `part` makes progress, or has nothing to do.
    pub(super) fn report_running(&self, part: &str) {
        if self.is_well() {
            return;
        }
        let mut parts = self.parts();
        parts.started = true;
        let waited = parts.works(part);
        if waited {
            tracing::info!(connector = %self.connector, part, "{part} works again");
        }
        if waited || parts.all_work() {
            self.publish(&parts);
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

    /// Removes `part`, which has ended.
    pub(super) fn forget(&self, part: &str) {
        let mut parts = self.parts();
        let all_worked = parts.all_work();
        if parts.remove(part) && !all_worked {
            self.publish(&parts);
        }
    }

    /// Reports an error of `part` and waits. Returns false if `stop` was cancelled first.
    pub(super) async fn wait(
        &self,
        part: &str,
        stage: Stage,
        error: &Error,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> bool {
        self.wait_after(Trouble::of(part, stage, error), backoff, stop).await
    }

    /// As [`wait`](Self::wait).
    pub(super) async fn wait_after(
        &self,
        trouble: Trouble<'_>,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> bool {
        let (delay, stage) = (backoff.next(), trouble.stage);
        self.report(trouble, backoff.attempt, delay);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(delay) => {
                self.metrics.retry(stage);
                true
            }
        }
    }

    /// Reports that `part` cannot continue until something else recovers or a person acts, and is retried after
    /// `delay`.
    pub(super) fn report_retrying(&self, part: &str, stage: Stage, error: &Error, attempt: u32, delay: Duration) {
        self.report(Trouble::of(part, stage, error), attempt, delay);
    }

    fn report(&self, trouble: Trouble<'_>, attempt: u32, delay: Duration) {
        let Trouble { part, stage, error, .. } = trouble;
        let mut parts = self.parts();
        self.well.store(false, Ordering::Release);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.metrics.error(stage, error.error_type);
        let now = SystemTime::now();
        let is_new = parts.waits(part, Wait { error: LastError::new(error, now), attempt, next_try: now + delay });
        self.publish(&parts);
        drop(parts);
        self.log(trouble, attempt, delay, is_new);
    }

    /// The first wait for a person is an error; its repetitions are logged ever more rarely.
    fn log(&self, trouble: Trouble<'_>, attempt: u32, delay: Duration, is_new: bool) {
        let Trouble { part, topic, stage, error } = trouble;
        let connector = self.connector.as_str();
        if error.needs_action() && is_new {
            tracing::error!(
                connector, part, topic, stage = stage.as_str(), code = error.code, error_type = %error.error_type,
                error = %error.chain(), help = error.help(),
                "{part} waits until a person acts, and is retried; other parts continue, and nothing is lost"
            );
        } else if !error.needs_action() || attempt.is_power_of_two() {
            tracing::warn!(
                connector, part, topic, stage = stage.as_str(), code = error.code, error_type = %error.error_type,
                attempt, error = %error.chain(), help = error.help(),
                "{part} waits {} ms and retries; nothing is lost", delay.as_millis()
            );
        }
    }

    /// Counts another attempt.
    pub(super) fn retried(&self, stage: Stage) {
        self.metrics.retry(stage);
    }

    /// Counts an error that is not retried and does not end the task.
    pub(super) fn error(&self, stage: Stage, error: &Error) {
        self.metrics.error(stage, error.error_type);
    }

    /// Counts records that were attempted, whatever the outcome.
    pub(super) fn processed(&self, records: usize) {
        self.metrics.processed(u64::try_from(records).unwrap_or(u64::MAX));
    }

    /// Reports the error that ended the task. Later reports of its parts, which may take a while to end, do not change
    /// the state.
    pub(crate) fn failed(&self, stage: Stage, error: &Error) {
        self.parts().ended = true;
        self.metrics.error(stage, error.error_type);
        self.status.failed(error);
        tracing::error!(
            connector = %self.connector, stage = stage.as_str(), code = error.code, error_type = %error.error_type,
            error = %error.chain(), help = error.help(),
            "the task has failed and stays failed until it is restarted; acknowledged records are safe in Kafka"
        );
    }

    /// Reports that another worker has taken over all work of the task. Like [`failed`](Self::failed), it is final.
    pub(super) fn fenced(&self, stage: Stage, error: &Error) {
        self.parts().ended = true;
        self.metrics.error(stage, error.error_type);
        self.status.fenced(error);
        tracing::warn!(
            connector = %self.connector, stage = stage.as_str(), code = error.code, error = %error.chain(),
            help = error.help(),
            "another worker has taken over; this task has let go and has ended"
        );
    }

    /// Fixes the state until the task has ended: its parts stop.
    pub(super) fn closing(&self) {
        self.parts().ended = true;
    }

    /// Reports that the task has ended as requested.
    pub(super) fn stopped(&self) {
        self.parts().ended = true;
        self.status.stopped();
    }

    /// Shows the state that follows from the parts. Under their lock, so reports keep their order.
    fn publish(&self, parts: &Parts) {
        if parts.ended {
            return;
        }
        match parts.state() {
            (_, None) if !parts.started => return self.status.starting(),
            (_, None) => self.status.running(),
            (state, Some(wait)) => self.status.waiting(state, wait.error.clone(), wait.attempt, wait.next_try),
        }
        self.well.store(parts.all_work(), Ordering::Release);
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error after which a part of the task waits.
#[derive(Clone, Copy)]
pub(super) struct Trouble<'a> {
    part: &'a str,
    /// The topic that the error concerns; `None` if it concerns all topics, so that it is logged once for all.
    topic: Option<&'a str>,
    stage: Stage,
    error: &'a Error,
}

impl<'a> Trouble<'a> {
    /// An error of `part`. An outage is the same for all partitions; a wrong table says nothing about other tables.
    pub(super) fn of(part: &'a str, stage: Stage, error: &'a Error) -> Self {
        let of_a_table = error.needs_action() || matches!(error.error_type, ErrorType::Schema | ErrorType::Constraint);
        let topic = part.split_once('[').filter(|_| of_a_table).map(|(topic, _)| topic);
        Self { part, topic, stage, error }
    }

    /// An error that `part` met first, and that all partitions of the task have.
    pub(super) fn of_all(part: &'a str, stage: Stage, error: &'a Error) -> Self {
        Self { part, topic: None, stage, error }
    }
}

/// The delays of one part. After progress the part starts with a fresh backoff.
pub(super) struct Backoff {
    delays: backon::ExponentialBackoff,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// Delays from `min` to `max`, with jitter, without end.
    fn new(min: Duration, max: Duration) -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(min.min(max))
            .with_max_delay(max)
            .with_jitter()
            .without_max_times()
            .build();
        Self { delays, max, attempt: 0 }
    }

    /// Returns true if the part has waited at least once.
    pub(super) fn has_waited(&self) -> bool {
        self.attempt > 0
    }

    fn next(&mut self) -> Duration {
        self.attempt += 1;
        self.delays.next().unwrap_or(self.max).min(self.max)
    }
}

#[cfg(test)]
mod tests;
