//! One partition on its way into the store: claim, read, decode, apply, again.
//!
//! While a batch is being applied the next one is collected. So batches form by themselves: a quiet partition has the
//! latency of one commit, a busy one has full batches, and a slow store stops the reading.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use towpath_api::{
    Applied, Batch, Body, Claim, Error, ErrorType, OpenSink, Reaction, Result, Sink as _, TopicPartition, failpoint,
};

use super::{
    anchor,
    budget::Budget,
    collect::Collector,
    connections::Connections,
    health::{Backoff, TaskHealth},
    pace::Pace,
    store::Stored,
};
use crate::{
    avro::{
        codec::{Decoder, Reading},
        registry::Registry,
    },
    kafka::consumer::{PartitionReader, TopicConsumer},
    telemetry::{ConnectorMetrics, PartitionMetrics, SinkMetrics, Stage},
};

/// So many dead letters in a row are no accident of the data.
const SYSTEMATIC: u64 = 100;

/// So many records at most are decoded between two looks at how the storing goes. Each look goes down to the
/// connection: one for every record cost more than it gave.
const BETWEEN_LOOKS: usize = 32;

/// What the partitions of a task share.
pub(super) struct Shared<O: OpenSink> {
    /// The name of the connector, by which the store knows it.
    pub(super) connector: String,
    pub(super) consumer: TopicConsumer,
    pub(super) registry: Registry,
    pub(super) reading: Reading,
    pub(super) connections: Connections<O>,
    pub(super) linger: Duration,
    /// Told when records were set aside.
    pub(super) set_aside: Arc<Notify>,
    pub(super) pace: Pace,
    pub(super) budget: Budget,
    pub(super) health: TaskHealth,
    pub(super) connector_metrics: ConnectorMetrics,
    pub(super) sink_metrics: SinkMetrics,
    pub(super) stop: CancellationToken,
}

/// How far the store is with a partition, for the lag.
pub(super) struct Progress {
    /// The next offset to apply; -1 until the partition is claimed.
    pub(super) next_offset: AtomicI64,
    /// What the group was last told.
    reported: AtomicI64,
    pub(super) metrics: std::sync::OnceLock<PartitionMetrics>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { next_offset: AtomicI64::new(-1), reported: AtomicI64::new(-1), metrics: std::sync::OnceLock::new() }
    }

    /// The next offset, if the group has not been told yet.
    pub(super) fn take_report(&self) -> Option<i64> {
        let next = self.next_offset()?;
        (self.reported.swap(next, Ordering::Relaxed) != next).then_some(next)
    }

    pub(super) fn next_offset(&self) -> Option<i64> {
        Some(self.next_offset.load(Ordering::Relaxed)).filter(|offset| *offset >= 0)
    }
}

/// Carries one partition until the task is stopped.
pub(super) struct SinkPartition<O: OpenSink> {
    pub(super) shared: Arc<Shared<O>>,
    pub(super) partition: TopicPartition,
    pub(super) name: String,
    pub(super) progress: Arc<Progress>,
    pub(super) claim: Option<Claim>,
    pub(super) backoff: Backoff,
    /// Tells that the store was lost.
    losses: watch::Receiver<u64>,
    /// Records since the last one that did not become a dead letter.
    set_aside_in_a_row: u64,
}

impl<O: OpenSink> SinkPartition<O> {
    pub(super) fn new(shared: Arc<Shared<O>>, partition: TopicPartition, progress: Arc<Progress>) -> Self {
        let (name, backoff, losses) = (partition.to_string(), shared.health.backoff(), shared.connections.losses());
        Self { name, shared, partition, progress, claim: None, backoff, losses, set_aside_in_a_row: 0 }
    }

    /// Runs until the task is stopped (`Ok`), or until an error that waiting does not cure.
    pub(super) async fn run(mut self) -> Result<()> {
        let ended = loop {
            match self.claim_and_carry().await {
                Err(error) if error.reaction == Reaction::Retry => {
                    if !self.wait(Stage::Consume, &error).await {
                        break Ok(());
                    }
                }
                Err(error) if error.code == "kafka.offset_out_of_range" => break Err(self.out_of_range(error).await),
                ended => break ended,
            }
        };
        self.shared.health.forget(&self.name);
        failpoint::hit("on_revoke").await?;
        ended
    }

    /// Claims the partition and carries it from the stored offset on, until stopped.
    async fn claim_and_carry(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let claim = self.claim().await?;
        let decoder = Decoder::reading(shared.registry.clone(), shared.reading.clone());
        let (pace, share) = (shared.pace.clone(), shared.budget.share());
        let mut collector = Collector::new(self.partition.clone(), claim.next_offset, pace, share, decoder);
        failpoint::hit("after_assign").await?;
        shared.health.works(&self.name);
        let Some(reader) = self.resume(&claim, &mut collector).await? else { return Ok(()) };
        while self.collect(&reader, &mut collector).await? {
            let (batch, _held) = collector.take();
            let _active = shared.sink_metrics.active(batch.records.len());
            let mut trouble = None;
            let stored = {
                let mut storing = pin!(self.store(&batch));
                loop {
                    tokio::select! {
                        // The store first: what arrives meanwhile is in the queue and waits well.
                        biased;
                        stored = &mut storing => break stored?,
                        message = reader.next(), if trouble.is_none() && collector.has_room() => match message {
                            Ok(message) => {
                                collector.take_in(&message, || message.detach());
                                trouble = take_in_what_is_here(&reader, &mut collector, BETWEEN_LOOKS).err();
                            }
                            // The batch under way is finished first; it must not be dropped.
                            Err(error) => trouble = Some(error),
                        }
                    }
                }
            };
            match stored {
                Stored::Applied(applied) => self.count(&batch, &applied)?,
                Stored::Elsewhere => return Err(went_elsewhere(&self.partition)),
                Stored::Stopped => return Ok(()),
            }
            if let Some(error) = trouble {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for more records, as long as `linger.ms` allows and there is room.
    async fn linger(&self, reader: &PartitionReader, collector: &mut Collector) -> Result<()> {
        let Some(until) =
            collector.since().map(|since| since + self.shared.linger).filter(|until| *until > Instant::now())
        else {
            return Ok(());
        };
        let mut until = pin!(tokio::time::sleep_until(until.into()));
        while collector.has_room() {
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => break,
                message = reader.next() => {
                    let message = message?;
                    collector.take_in(&message, || message.detach());
                }
                () = &mut until => break,
            }
        }
        Ok(())
    }

    /// Says of an offset that was gone when it was to be read what the topic has instead.
    async fn out_of_range(&self, error: Error) -> Error {
        let (Some(claim), Ok(range)) = (&self.claim, self.shared.consumer.range(&self.partition).await) else {
            return error;
        };
        anchor::require_in_range(&self.shared.connector, claim, &range).err().unwrap_or(error)
    }

    /// Waits for a record, then takes in what else is here. Returns false when the task is stopped.
    async fn collect(&mut self, reader: &PartitionReader, collector: &mut Collector) -> Result<bool> {
        let stop = self.shared.stop.clone();
        collector.learn().await?;
        while collector.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                // The sender lives as long as the task.
                Ok(()) = self.losses.changed() => self.require_unmoved().await?,
                message = reader.next() => {
                    let message = message?;
                    collector.take_in(&message, || message.detach());
                }
            }
            collector.learn().await?;
        }
        failpoint::hit("mid_decode").await?;
        take_in_what_is_here(reader, collector, usize::MAX)?;
        self.linger(reader, collector).await?;
        Ok(!stop.is_cancelled())
    }

    /// The store was lost: makes sure that it is where it was. A partition without records would not find out by
    /// itself.
    ///
    /// # Errors
    /// Retry when it is elsewhere, or still away.
    async fn require_unmoved(&mut self) -> Result<()> {
        let known = self.claim.as_ref().map(|claim| claim.next_offset);
        let claim = self.claim().await?;
        if known == Some(claim.next_offset) { Ok(()) } else { Err(went_elsewhere(&self.partition)) }
    }

    /// Takes the partition over, or makes sure that it is still ours, and that the topic has the offset to go on from.
    pub(super) async fn claim(&mut self) -> Result<Claim> {
        self.losses.mark_unchanged();
        let mut range = self.shared.consumer.range(&self.partition).await?;
        let claim = self.answered("claim", async {
            let mut lent = self.shared.connections.lend().await?;
            let claim = lent.sink.claim(&self.partition, &range.beginning, self.claim.as_ref()).await?;
            lent.give_back();
            Ok::<_, Error>(claim)
        });
        let mut claim = claim.await?;
        // Kept before anything else can fail: the next claim must know this one as its own.
        let previous = self.claim.replace(claim.clone());
        let first = previous.is_none();
        if let Some(previous) = previous.filter(|previous| claim.next_offset < previous.next_offset) {
            self.store_went_back(previous.next_offset, claim.next_offset);
        }
        tracing::info!(
            topic = %self.partition.topic, partition = self.partition.partition, epoch = claim.epoch, offset = claim.next_offset,
            table = %claim.target, "claimed {} from offset {}", self.partition, claim.next_offset
        );
        if anchor::require_in_range(&self.shared.connector, &claim, &range).is_err() {
            // The topic goes on growing, and an older owner may have applied what came after the first question.
            range = self.shared.consumer.range(&self.partition).await?;
            anchor::require_in_range(&self.shared.connector, &claim, &range)?;
        }
        claim.anchor = anchor::checkable(&claim, &range);
        if first {
            let object = self.partition.topic.rsplit_once('.').map_or(&*self.partition.topic, |(_, object)| object);
            // Set once: a partition is claimed for the first time once.
            let _ =
                self.progress.metrics.set(self.shared.sink_metrics.partition(&self.partition, &claim.target, object));
        }
        self.progress.next_offset.store(claim.next_offset, Ordering::Relaxed);
        Ok(claim)
    }

    /// Says that the store holds less than it did.
    fn store_went_back(&self, from: i64, to: i64) {
        tracing::warn!(
            topic = %self.partition.topic, partition = self.partition.partition, code = "sink.store_went_back", from, to,
            "the store has gone back from offset {from} to {to} of {}: it was restored to an older copy, or its offset was set by hand. \
             What is missing is read from Kafka and applied again; no row is turned back", self.partition
        );
    }

    /// Counts what became of a batch that is stored.
    ///
    /// # Errors
    /// Fatal when nothing but dead letters has come of many records: something is wrong with all of them.
    fn count(&mut self, batch: &Batch, applied: &Applied) -> Result<()> {
        let Some(metrics) = self.progress.metrics.get() else { return Ok(()) };
        let times = batch.records.iter().filter_map(|record| match &record.body {
            Body::Change(change) => Some(change.source_time_ms.unwrap_or(record.timestamp_ms)),
            Body::Tombstone(_) | Body::Filtered | Body::Undecodable { .. } => None,
        });
        metrics.read(batch.records.len());
        metrics.committed(applied, batch.records.last().map_or(0, |record| record.timestamp_ms));
        metrics.end_to_end(times, SystemTime::now());
        self.shared.connector_metrics.processed(applied.total());
        let mut set_aside = 0;
        for (error_type, records) in applied.dead_letters() {
            self.shared.set_aside.notify_one();
            // That a table has another shape is known, and the connector's keys say what to do.
            set_aside += if error_type == ErrorType::Schema { 0 } else { records };
            self.shared.connector_metrics.dead_lettered(error_type, records);
            tracing::warn!(
                topic = %self.partition.topic, partition = self.partition.partition, code = "sink.dead_letter", error_type = %error_type,
                records, "set {records} records of {} aside in towpath.dead_letter, which says why", self.partition
            );
        }
        let all = set_aside > 0 && set_aside + applied.tombstones == applied.total();
        self.set_aside_in_a_row = if all { self.set_aside_in_a_row + set_aside } else { 0 };
        if self.set_aside_in_a_row < SYSTEMATIC {
            return Ok(());
        }
        let types: Vec<_> = applied.dead_letters().map(|(error_type, _)| error_type.to_string()).collect();
        let doing = format!(
            "go on with {}: the last {} records all became dead letters ({}); towpath.dead_letter has each with its reason. Mend the cause and restart",
            self.partition,
            self.set_aside_in_a_row,
            types.join(", ")
        );
        Err(Error::fatal("sink.systematic", ErrorType::Constraint, doing))
    }

    pub(super) async fn wait(&mut self, stage: Stage, error: &Error) -> bool {
        let shared = Arc::clone(&self.shared);
        shared.health.wait(&self.name, stage, error, &mut self.backoff, &shared.stop).await
    }
}

/// Takes in up to `most` records that are here already, as long as there is room.
fn take_in_what_is_here(reader: &PartitionReader, collector: &mut Collector, most: usize) -> Result<()> {
    for _ in 0..most {
        let Some(message) = collector.has_room().then(|| reader.next_if_here()).flatten() else { break };
        let message = message?;
        collector.take_in(&message, || message.detach());
    }
    Ok(())
}

fn went_elsewhere(partition: &TopicPartition) -> Error {
    Error::retry("sink.offset_moved", ErrorType::Conflict, format!("go on with {partition} where the store is now"))
}
