//! What a sink counts. Label sets are resolved once per connector and once per partition, so the hot loop looks none
//! up.
//!
//! The series that belong to a partition go with its handle: dropping [`PartitionMetrics`] removes them, unless the
//! partition came back in the meantime and a newer handle has them. Counters per topic and table stay, since a counter
//! that vanishes and returns looks like a restart.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
use towpath_api::{Applied, TopicPartition};

use super::families::{BATCH_RECORDS, LATENCY_SECONDS, TRANSACTION_SECONDS, families, seconds_since_epoch};

/// How a transaction of the sink ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// The store has it.
    Committed,
    /// The store does not have it.
    RolledBack,
    /// The store rolled it back because of another transaction; it is made again.
    SerializationRetry,
    /// The connection was lost before the answer to the commit; the next claim tells.
    Unknown,
}

impl TransactionOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Committed, Self::RolledBack, Self::SerializationRetry, Self::Unknown];

    /// The word used as a label.
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
    /// The families behind [`SinkMetrics`].
    pub(super) struct SinkFamilies {
        /// Records that the sink has read from the topic.
        records_read: IntCounterVec = "towpath_sink_records_read_total" [connector, topic],
        /// Rows committed by what happened to them.
        records_applied: IntCounterVec = "towpath_sink_records_applied_total" [connector, table, op],
        /// Records that rightly changed no row: their row holds them or something newer (stale), a tombstone, absorbed
        /// by a later record (folded), or left out by the configuration (filtered).
        records_skipped: IntCounterVec = "towpath_sink_records_skipped_total" [connector, table, reason],
        /// Time in the topic of the newest committed record; 0 when there is none.
        last_record: GaugeVec = "towpath_sink_last_record_timestamp_seconds" [connector, topic],
        /// When the table was last level with all assigned partitions of the topic; 0 means never.
        caught_up: GaugeVec = "towpath_sink_caught_up_timestamp_seconds" [connector, topic],
        /// Duration of one transaction, from begin to the answer to the commit.
        apply_duration: HistogramVec = "towpath_sink_apply_duration_seconds" [connector] in TRANSACTION_SECONDS,
        /// Records in one batch.
        batch_records: HistogramVec = "towpath_sink_batch_records" [connector] in BATCH_RECORDS,
        /// Transactions by how they ended.
        transactions: IntCounterVec = "towpath_sink_transactions_total" [connector, outcome],
        /// Records between the next offset to read and the end of the partition.
        lag: IntGaugeVec = "towpath_kafka_consumer_lag_records" [connector, topic, partition],
        /// Records that were read and are not stored yet.
        active: IntGaugeVec = "towpath_sink_records_active" [connector],
        /// Connections to the store by what they are doing, in use or idle.
        connections: IntGaugeVec = "towpath_sink_connections" [connector, state],
        /// Time for which batches that were ready waited for the limits of `write.*`; summed over the partitions.
        rate_limit_wait: CounterVec = "towpath_sink_rate_limit_wait_seconds_total" [connector],
        /// Records that a transaction may hold at present, by the limits of `batch.*` and `write.*`.
        batch_limit: IntGaugeVec = "towpath_sink_batch_limit_records" [connector],
        /// Partitions that this worker reads for the connector.
        assigned: IntGaugeVec = "towpath_kafka_assigned_partitions" [connector],
        /// From the change at the source to the commit in the store.
        end_to_end: HistogramVec = "towpath_end_to_end_latency_seconds" [connector, object] in LATENCY_SECONDS,
    }
}

/// The metrics of one sink connector. Cheap to clone; make one per connector and clone that, since its clones share
/// what is assigned.
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
    /// Per topic its assigned partitions, each with when it was last read to its end.
    topics: Mutex<HashMap<Arc<str>, HashMap<i32, Level>>>,
}

/// A part of a gauge, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    gauge: IntGauge,
    part: i64,
}

impl Held {
    pub(crate) fn new(gauge: &IntGauge, part: usize) -> Self {
        let part = i64::try_from(part).unwrap_or(i64::MAX);
        gauge.add(part);
        Self { gauge: gauge.clone(), part }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.sub(self.part);
    }
}

/// How far a partition has come.
#[derive(Debug)]
struct Level {
    /// Which handle it belongs to; an older handle of the same partition must not remove it.
    handle: u64,
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
            topics: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes the handle of a partition that was assigned; its series exist until the handle is dropped.
    ///
    /// `table` is the name that the sink gives to the topic's table, `object` the name of the topic's object.
    pub fn partition(&self, partition: &TopicPartition, table: &str, object: &str) -> PartitionMetrics {
        let connector = self.shared.connector.as_str();
        let topic = partition.topic.as_ref();
        let families = &self.shared.families;
        let number = partition.partition.to_string();
        let applied = |op| families.records_applied.with_label_values(&[connector, table, op]);
        let skipped = |reason| families.records_skipped.with_label_values(&[connector, table, reason]);
        // Under the lock, as removing is: otherwise a handle that goes could take the new one's series with it.
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
            lag: families.lag.with_label_values(&[connector, topic, &number]),
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

    /// Counts records as read and not stored yet, until what is returned is dropped.
    pub fn active(&self, records: usize) -> Held {
        Held::new(&self.shared.active, records)
    }

    /// Counts a connection as in use, until what is returned is dropped.
    pub fn connection_in_use(&self) -> Held {
        Held::new(&self.shared.in_use, 1)
    }

    /// Counts a connection as idle, until what is returned is dropped.
    pub fn connection_idle(&self) -> Held {
        Held::new(&self.shared.idle, 1)
    }

    /// Counts how long a batch waited for the limits of its connector.
    pub fn rate_limit_waited(&self, waited: Duration) {
        self.shared.rate_limit_wait.inc_by(waited.as_secs_f64());
    }

    /// Sets how many records a transaction may hold at present.
    pub fn batch_limit(&self, records: usize) {
        self.shared.batch_limit.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts the end of a transaction, and how long it took.
    pub fn transaction(&self, outcome: TransactionOutcome, took: Duration) {
        self.shared.transactions[outcome as usize].inc();
        self.shared.apply_duration.observe(took.as_secs_f64());
    }
}

impl Shared {
    fn topics(&self) -> MutexGuard<'_, HashMap<Arc<str>, HashMap<i32, Level>>> {
        // Nothing panics while it is held, and a gauge would not be worth a second panic.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_assigned(&self, topics: &HashMap<Arc<str>, HashMap<i32, Level>>) {
        let assigned: usize = topics.values().map(HashMap::len).sum();
        self.assigned.set(i64::try_from(assigned).unwrap_or(i64::MAX));
    }
}

/// A number that no other handle of this process has.
fn next_handle() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The metrics of one assigned partition. All methods are meant to be called once per batch.
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
    lag: IntGauge,
    last_record: Gauge,
    caught_up: Gauge,
    end_to_end: Histogram,
    id: u64,
    partition: TopicPartition,
    sink: SinkMetrics,
}

impl PartitionMetrics {
    /// Counts the records of a batch that was read.
    pub fn read(&self, records: usize) {
        self.read.inc_by(records as u64);
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 records")]
        self.sink.shared.batch_records.observe(records as f64);
    }

    /// Counts what became of a committed batch. `newest_ms` is the timestamp of its newest record.
    ///
    /// Dead letters are counted by [`ConnectorMetrics::dead_lettered`](super::ConnectorMetrics::dead_lettered), which
    /// has their error type.
    pub fn committed(&self, applied: &Applied, newest_ms: i64) {
        self.inserted.inc_by(applied.inserted);
        self.updated.inc_by(applied.updated);
        self.deleted.inc_by(applied.deleted);
        self.stale.inc_by(applied.stale);
        self.tombstone.inc_by(applied.tombstones);
        self.filtered.inc_by(applied.filtered);
        self.folded.inc_by(applied.folded);
        // The partitions of a topic share the gauge and may race; the next batch puts it right.
        let newest = millis_to_seconds(newest_ms);
        if newest > self.last_record.get() {
            self.last_record.set(newest);
        }
    }

    /// Notes how long the changes of a committed batch took from the source to the store: `source_times_ms` against
    /// `now`.
    ///
    /// A source whose clock is ahead of ours counts as no delay.
    pub fn end_to_end(&self, source_times_ms: impl IntoIterator<Item = i64>, now: SystemTime) {
        let now = seconds_since_epoch(now);
        let local = self.end_to_end.local();
        for time in source_times_ms {
            local.observe((now - millis_to_seconds(time)).max(0.0));
        }
        local.flush();
    }

    /// Sets how many records lie between the next offset and the end of the partition.
    pub fn lag(&self, records: i64) {
        self.lag.set(records.max(0));
    }

    /// Notes that at `now` everything in the partition was stored.
    ///
    /// To be called whenever that is so, also while nothing arrives: a quiet topic is fresh. The topic's time is that
    /// of its slowest partition here.
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
        // Removing fails only when the series is not there, which is what is wanted.
        let _ = shared.families.lag.remove_label_values(&[connector, topic, &self.partition.partition.to_string()]);
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
