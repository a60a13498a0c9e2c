//! One partition on its way into the store: claim, read, decode, apply, again.
//!
//! While a batch is being applied the next one is collected. So batches form by themselves: a quiet partition has the latency
//! of one commit, a busy one has full batches, and a slow store stops the reading.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use tokio_util::sync::CancellationToken;
use towpath_api::{Applied, Batch, Body, Claim, Error, ErrorType, OpenSink, Reaction, Result, Sink as _, TopicPartition};
use towpath_postgres::failpoint;

use super::{
    collect::{Budget, Collector, Limits},
    connections::Connections,
    health::{Backoff, TaskHealth},
    store::Stored,
};
use crate::{
    avro::{codec::Decoder, registry::Registry},
    kafka::consumer::{PartitionReader, TopicConsumer},
    telemetry::{ConnectorMetrics, PartitionMetrics, SinkMetrics, Stage},
};

/// So many dead letters in a row are no accident of the data.
const SYSTEMATIC: u64 = 100;

/// What the partitions of a task share.
pub(super) struct Shared<O: OpenSink> {
    pub(super) consumer: TopicConsumer,
    pub(super) registry: Registry,
    pub(super) connections: Connections<O>,
    pub(super) limits: Limits,
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
    /// Records since the last one that did not become a dead letter.
    set_aside_in_a_row: u64,
}

impl<O: OpenSink> SinkPartition<O> {
    pub(super) fn new(shared: Arc<Shared<O>>, partition: TopicPartition, progress: Arc<Progress>) -> Self {
        let backoff = shared.health.backoff();
        Self { name: partition.to_string(), shared, partition, progress, claim: None, backoff, set_aside_in_a_row: 0 }
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
        let reader = shared.consumer.open(&self.partition, claim.next_offset)?;
        let decoder = Decoder::new(shared.registry.clone());
        let budget = shared.budget.clone();
        let mut collector = Collector::new(self.partition.clone(), claim.next_offset, shared.limits, budget, decoder);
        failpoint::hit("after_assign").await?;
        shared.health.works(&self.name);
        while self.collect(&reader, &mut collector).await? {
            let batch = collector.take();
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
                            Ok(message) => collector.take_in(&message, || message.detach()),
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

    /// Waits for a record, then takes in what else is here. Returns false when the task is stopped.
    async fn collect(&mut self, reader: &PartitionReader, collector: &mut Collector) -> Result<bool> {
        let stop = self.shared.stop.clone();
        collector.learn().await?;
        while collector.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                message = reader.next() => {
                    let message = message?;
                    collector.take_in(&message, || message.detach());
                }
            }
            collector.learn().await?;
        }
        failpoint::hit("mid_decode").await?;
        while collector.has_room()
            && let Some(message) = reader.next_if_here()
        {
            let message = message?;
            collector.take_in(&message, || message.detach());
        }
        Ok(!stop.is_cancelled())
    }

    /// Takes the partition over, or makes sure that it is still ours, and that the topic has the offset to go on from.
    pub(super) async fn claim(&mut self) -> Result<Claim> {
        let (earliest, end) = self.shared.consumer.range(&self.partition).await?;
        let claim = self.answered("claim", async {
            let mut lent = self.shared.connections.lend().await?;
            let claim = lent.sink.claim(&self.partition, earliest, self.claim.as_ref()).await?;
            lent.give_back();
            Ok(claim)
        });
        let claim = claim.await?;
        // Kept before anything else can fail: the next claim must know this one as its own.
        let first = self.claim.replace(claim.clone()).is_none();
        tracing::info!(
            topic = %self.partition.topic, partition = self.partition.partition, epoch = claim.epoch, offset = claim.next_offset,
            table = %claim.target, "claimed {} from offset {}", self.partition, claim.next_offset
        );
        if claim.next_offset < earliest || claim.next_offset > end {
            // The topic goes on growing, and an older owner may have applied what came after the first question.
            let (earliest, end) = self.shared.consumer.range(&self.partition).await?;
            if claim.next_offset < earliest || claim.next_offset > end {
                return Err(out_of_range(&claim, earliest, end));
            }
        }
        if first {
            let object = self.partition.topic.rsplit_once('.').map_or(&*self.partition.topic, |(_, object)| object);
            // Set once: a partition is claimed for the first time once.
            let _ = self.progress.metrics.set(self.shared.sink_metrics.partition(&self.partition, &claim.target, object));
        }
        self.progress.next_offset.store(claim.next_offset, Ordering::Relaxed);
        Ok(claim)
    }

    /// Counts what became of a batch that is stored.
    ///
    /// # Errors
    /// Fatal when nothing but dead letters has come of many records: something is wrong with all of them.
    fn count(&mut self, batch: &Batch, applied: &Applied) -> Result<()> {
        let Some(metrics) = self.progress.metrics.get() else { return Ok(()) };
        let times = batch.records.iter().filter_map(|record| match &record.body {
            Body::Change(change) => Some(change.source_time_ms.unwrap_or(record.timestamp_ms)),
            Body::Tombstone(_) | Body::Undecodable { .. } => None,
        });
        metrics.read(batch.records.len());
        metrics.committed(applied, batch.records.last().map_or(0, |record| record.timestamp_ms));
        metrics.end_to_end(times, SystemTime::now());
        self.shared.connector_metrics.processed(applied.total());
        let mut set_aside = 0;
        for (error_type, records) in applied.dead_letters() {
            set_aside += records;
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
        let doing = format!(
            "go on with {}: the last {} records all became dead letters, see towpath.dead_letter; mend the cause and restart",
            self.partition, self.set_aside_in_a_row
        );
        Err(Error::fatal("sink.systematic", ErrorType::Constraint, doing))
    }

    pub(super) async fn wait(&mut self, stage: Stage, error: &Error) -> bool {
        let shared = Arc::clone(&self.shared);
        shared.health.wait(&self.name, stage, error, &mut self.backoff, &shared.stop).await
    }
}

fn went_elsewhere(partition: &TopicPartition) -> Error {
    Error::retry("sink.offset_moved", ErrorType::Conflict, format!("go on with {partition} where the store is now"))
}

fn out_of_range(claim: &Claim, earliest: i64, end: i64) -> Error {
    let (partition, next) = (&claim.partition, claim.next_offset);
    let (code, why) = if next < earliest {
        ("kafka.retention_gap", "retention has removed records that were never applied")
    } else {
        ("kafka.truncated_or_recreated", "the topic was truncated or created anew")
    };
    let doing = format!(
        "read {partition} from offset {next}: the topic has {earliest}..{end}, so {why}. Nothing was written; \
         an operator decides how to go on: docs/operations.md, section `{code}`"
    );
    Error::fatal(code, ErrorType::NotFound, doing)
}
