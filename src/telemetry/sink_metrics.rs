//! The metrics of sinks. Labels are looked up once per connector and once per partition, never in the hot loop.
//!
//! Dropping [`PartitionMetrics`] removes the series of its partition, unless a newer handle of the same partition
//! exists. Counters per topic and table stay: a counter that vanishes and returns looks like a restart.

mod waiting;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
use towpath_api::{Applied, TopicPartition, families};

pub use self::waiting::WaitingPartition;
use self::waiting::WaitingTopics;
use super::{
    buckets::{BATCH_RECORDS, LATENCY_SECONDS, TRANSACTION_SECONDS},
    epoch::seconds_since_epoch,
};

/// The end of a transaction of the sink; the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// The store has committed the transaction.
    Committed,
    /// The store has rolled the transaction back.
    RolledBack,
    /// The store has rolled the transaction back because of a concurrent transaction; the batch is retried.
    SerializationRetry,
    /// The connection was lost before the answer to the commit; the next claim shows whether it was committed.
    Unknown,
}

impl TransactionOutcome {
    pub const ALL: [Self; 4] = [Self::Committed, Self::RolledBack, Self::SerializationRetry, Self::Unknown];

    /// The name of the outcome as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::SerializationRetry => "serialization_retry",
            Self::Unknown => "unknown",
        }
    }
}

families! {
    /// The families of [`SinkMetrics`].
    pub(super) struct SinkFamilies {
        /// Records that the sink has read from the topic.
        records_read: IntCounterVec = "towpath_sink_records_read_total" [connector, topic],
        /// Committed rows, by operation.
        records_applied: IntCounterVec = "towpath_sink_records_applied_total" [connector, table, op],
        /// Records that rightly changed no row: the row holds the same or a newer version (stale), the record is a
        /// tombstone (tombstone), a later record of the batch replaces it (folded), or the configuration excludes it
        /// (filtered). And records that are stored, while the store never told how each of them ended (unknown).
        records_skipped: IntCounterVec = "towpath_sink_records_skipped_total" [connector, table, reason],
        /// Kafka timestamp of the newest committed record; 0 before the first record.
        last_record: GaugeVec = "towpath_sink_last_record_timestamp_seconds" [connector, topic],
        /// Last time at which the table held all records of the topic's assigned partitions; 0 before the first time.
        caught_up: GaugeVec = "towpath_sink_caught_up_timestamp_seconds" [connector, topic],
        /// Duration of a transaction, from begin to the answer to the commit.
        apply_duration: HistogramVec = "towpath_sink_apply_duration_seconds" [connector] in TRANSACTION_SECONDS,
        /// Records in a batch.
        batch_records: HistogramVec = "towpath_sink_batch_records" [connector] in BATCH_RECORDS,
        /// Transactions, by outcome.
        transactions: IntCounterVec = "towpath_sink_transactions_total" [connector, outcome],
        /// Records between the next offset and the end of the partition; absent while the partition's leader does not
        /// answer.
        lag: IntGaugeVec = "towpath_kafka_consumer_lag_records" [connector, topic, partition],
        /// Records that were read and are not stored yet.
        active: IntGaugeVec = "towpath_sink_records_active" [connector],
        /// Connections to the store, in use or idle.
        connections: IntGaugeVec = "towpath_sink_connections" [connector, state],
        /// Time that batches have waited for the limits of `write.*`, summed over all partitions.
        rate_limit_wait: CounterVec = "towpath_sink_rate_limit_wait_seconds_total" [connector],
        /// Current maximum of records in a transaction, from the limits of `batch.*` and `write.*`.
        batch_limit: IntGaugeVec = "towpath_sink_batch_limit_records" [connector],
        /// Partitions that wait after an error, for the environment or for a person.
        waiting: IntGaugeVec = "towpath_sink_waiting_partitions" [connector, topic, reason],
        /// Records that the store keeps because they wait for a row they refer to.
        waiting_records: IntGaugeVec = "towpath_sink_waiting_records" [connector, topic],
        /// Partitions of the connector that this worker reads.
        assigned: IntGaugeVec = "towpath_kafka_assigned_partitions" [connector],
        /// Time from the change at the source to the commit in the store.
        end_to_end: HistogramVec = "towpath_end_to_end_latency_seconds" [connector, object] in LATENCY_SECONDS,
    }
}

/// The metrics of one sink connector. Cheap to clone. Create it once per connector: its clones share the list of
/// assigned partitions.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connector: String,
    families: SinkFamilies,
    assigned: IntGauge,
    active: IntGauge,
    in_use: IntGauge,
    idle: IntGauge,
    rate_limit_wait: Counter,
    batch_limit: IntGauge,
    apply_duration: Histogram,
    batch_records: Histogram,
    transactions: [IntCounter; TransactionOutcome::ALL.len()],
    waiting: WaitingTopics,
    /// The assigned partitions by topic.
    topics: Mutex<HashMap<Arc<str>, HashMap<i32, Level>>>,
}

/// An amount added to a gauge, subtracted when this value is dropped.
#[derive(Debug)]
pub struct Held {
    gauge: IntGauge,
    amount: i64,
}

impl Held {
    pub(crate) fn new(gauge: &IntGauge, amount: usize) -> Self {
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        gauge.add(amount);
        Self { gauge: gauge.clone(), amount }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.sub(self.amount);
    }
}

/// The progress of an assigned partition.
#[derive(Debug)]
struct Level {
    /// The newest handle of the partition; older handles must not remove the series.
    handle: u64,
    /// The last time at which all records of the partition were stored, in seconds since 1970.
    caught_up_seconds: f64,
}

impl SinkMetrics {
    /// Creates the series of the connector at 0.
    pub(super) fn new(families: &SinkFamilies, connector: &str) -> Self {
        let shared = Shared {
            connector: connector.to_owned(),
            families: families.clone(),
            assigned: families.assigned.with_label_values(&[connector]),
            active: families.active.with_label_values(&[connector]),
            in_use: families.connections.with_label_values(&[connector, "in_use"]),
            idle: families.connections.with_label_values(&[connector, "idle"]),
            rate_limit_wait: families.rate_limit_wait.with_label_values(&[connector]),
            batch_limit: families.batch_limit.with_label_values(&[connector]),
            apply_duration: families.apply_duration.with_label_values(&[connector]),
            batch_records: families.batch_records.with_label_values(&[connector]),
            transactions: TransactionOutcome::ALL
                .map(|outcome| families.transactions.with_label_values(&[connector, outcome.as_str()])),
            waiting: WaitingTopics::default(),
            topics: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Creates the series of an assigned partition; they exist until the handle is dropped.
    ///
    /// `table` is the name of the topic's table, `object` is the name of the topic's object.
    pub fn partition(&self, partition: &TopicPartition, table: &str, object: &str) -> PartitionMetrics {
        let connector = self.shared.connector.as_str();
        let topic = partition.topic.as_ref();
        let families = &self.shared.families;
        let applied = |op| families.records_applied.with_label_values(&[connector, table, op]);
        let skipped = |reason| families.records_skipped.with_label_values(&[connector, table, reason]);
        // Under the lock, as in `drop`: otherwise an old handle could remove the series of this handle.
        let mut topics = self.shared.topics();
        let handle = PartitionMetrics {
            read: families.records_read.with_label_values(&[connector, topic]),
            inserted: applied("insert"),
            updated: applied("update"),
            deleted: applied("delete"),
            stale: skipped("stale"),
            tombstone: skipped("tombstone"),
            filtered: skipped("filtered"),
            folded: skipped("folded"),
            unknown: skipped("unknown"),
            last_record: families.last_record.with_label_values(&[connector, topic]),
            caught_up: families.caught_up.with_label_values(&[connector, topic]),
            end_to_end: families.end_to_end.with_label_values(&[connector, object]),
            id: next_handle(),
            partition: partition.clone(),
            sink: self.clone(),
        };
        let level = Level { handle: handle.id, caught_up_seconds: 0.0 };
        topics.entry(partition.topic.clone()).or_default().insert(partition.partition, level);
        self.shared.count_assigned(&topics);
        handle
    }

    /// Counts records as read and not stored yet, until the returned value is dropped.
    pub fn active(&self, records: usize) -> Held {
        Held::new(&self.shared.active, records)
    }

    /// Counts a connection as in use, until the returned value is dropped.
    pub fn connection_in_use(&self) -> Held {
        Held::new(&self.shared.in_use, 1)
    }

    /// Counts a connection as idle, until the returned value is dropped.
    pub fn connection_idle(&self) -> Held {
        Held::new(&self.shared.idle, 1)
    }

    /// Counts the time that a batch has waited for the limits of its connector.
    pub fn rate_limit_waited(&self, waited: Duration) {
        self.shared.rate_limit_wait.inc_by(waited.as_secs_f64());
    }

    /// Sets the current maximum of records in a transaction.
    pub fn batch_limit(&self, records: usize) {
        self.shared.batch_limit.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts a transaction that has ended, with its duration.
    pub fn transaction(&self, outcome: TransactionOutcome, took: Duration) {
        self.shared.transactions[outcome as usize].inc();
        self.shared.apply_duration.observe(took.as_secs_f64());
    }
}

impl Shared {
    fn topics(&self) -> MutexGuard<'_, HashMap<Arc<str>, HashMap<i32, Level>>> {
        // No code panics while it holds the lock, and a gauge is not worth a second panic.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_assigned(&self, topics: &HashMap<Arc<str>, HashMap<i32, Level>>) {
        let assigned: usize = topics.values().map(HashMap::len).sum();
        self.assigned.set(i64::try_from(assigned).unwrap_or(i64::MAX));
    }
}

/// A number that is unique within the process.
fn next_handle() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The metrics of one assigned partition. All methods are to be called at most once per batch.
#[derive(Debug)]
pub struct PartitionMetrics {
    read: IntCounter,
    inserted: IntCounter,
    updated: IntCounter,
    deleted: IntCounter,
    stale: IntCounter,
    tombstone: IntCounter,
    filtered: IntCounter,
    folded: IntCounter,
    unknown: IntCounter,
    last_record: Gauge,
    caught_up: Gauge,
    end_to_end: Histogram,
    id: u64,
    partition: TopicPartition,
    sink: SinkMetrics,
}

impl PartitionMetrics {
    /// Counts the records of a batch that has been read.
    pub fn read(&self, records: usize) {
        self.read.inc_by(records as u64);
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 records")]
        self.sink.shared.batch_records.observe(records as f64);
    }

    /// Counts the records of a batch that a claim has found stored, although the store never answered: their outcome
    /// is lost.
    pub fn stored_without_answer(&self, records: usize) {
        self.read(records);
        self.unknown.inc_by(records as u64);
    }

    /// Counts the outcome of a committed batch. `newest_ms` is the timestamp of its newest record.
    ///
    /// Dead letters are counted by [`ConnectorMetrics::dead_lettered`](super::ConnectorMetrics::dead_lettered), by
    /// error type.
    pub fn committed(&self, applied: &Applied, newest_ms: i64) {
        self.inserted.inc_by(applied.inserted);
        self.updated.inc_by(applied.updated);
        self.deleted.inc_by(applied.deleted);
        self.stale.inc_by(applied.stale);
        self.tombstone.inc_by(applied.tombstones);
        self.filtered.inc_by(applied.filtered);
        self.folded.inc_by(applied.folded);
        // The partitions of a topic share the gauge and may race; the next batch corrects it.
        let newest = millis_to_seconds(newest_ms);
        if newest > self.last_record.get() {
            self.last_record.set(newest);
        }
    }

    /// Observes the latency of the changes of a committed batch, from their times at the source to `now`.
    ///
    /// A time after `now`, from a source whose clock is ahead, counts as latency 0.
    pub fn end_to_end(&self, source_times_ms: impl IntoIterator<Item = i64>, now: SystemTime) {
        let now = seconds_since_epoch(now);
        let local = self.end_to_end.local();
        for time in source_times_ms {
            local.observe((now - millis_to_seconds(time)).max(0.0));
        }
        local.flush();
    }

    /// Sets the number of records between the next offset and the end of the partition; a negative number counts as 0.
    pub fn lag(&self, records: i64) {
        self.with_lag_labels(|families, labels| families.lag.with_label_values(labels).set(records.max(0)));
    }

    /// Removes the lag: the end of the partition is not known now, and an old lag would look like a fresh one.
    pub fn lag_unknown(&self) {
        // Fails only if the series does not exist.
        self.with_lag_labels(|families, labels| drop(families.lag.remove_label_values(labels)));
    }

    fn with_lag_labels(&self, act: impl FnOnce(&SinkFamilies, &[&str])) {
        let shared = &self.sink.shared;
        act(&shared.families, &[&shared.connector, &self.partition.topic, &self.partition.partition.to_string()]);
    }

    /// Reports that all records of the partition were stored at `now`.
    ///
    /// To be called also while no records arrive, so that a quiet topic does not look late. The time of the topic is
    /// the earliest time of its assigned partitions.
    pub fn caught_up(&self, now: SystemTime) {
        let mut topics = self.sink.shared.topics();
        let Some(levels) = topics.get_mut(&self.partition.topic) else { return };
        match levels.get_mut(&self.partition.partition) {
            Some(level) if level.handle == self.id => level.caught_up_seconds = seconds_since_epoch(now),
            _ => return,
        }
        let slowest = levels.values().map(|level| level.caught_up_seconds).fold(f64::INFINITY, f64::min);
        self.caught_up.set(slowest);
    }
}

impl Drop for PartitionMetrics {
    fn drop(&mut self) {
        let shared = &self.sink.shared;
        let mut topics = shared.topics();
        let Some(levels) = topics.get_mut(&self.partition.topic) else { return };
        if levels.get(&self.partition.partition).is_none_or(|level| level.handle != self.id) {
            return;
        }
        levels.remove(&self.partition.partition);
        let connector = shared.connector.as_str();
        let topic = self.partition.topic.as_ref();
        self.lag_unknown();
        if levels.is_empty() {
            topics.remove(&self.partition.topic);
            let _ = shared.families.last_record.remove_label_values(&[connector, topic]);
            let _ = shared.families.caught_up.remove_label_values(&[connector, topic]);
        }
        shared.count_assigned(&topics);
    }
}

fn millis_to_seconds(millis: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for times before the year 140000")]
    let millis = millis as f64;
    millis / 1000.0
}

#[cfg(test)]
mod tests;
