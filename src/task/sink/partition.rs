//! Carries one partition into the store: claim, read, decode, apply, repeat.
//!
//! The next batch is collected while the current one is applied. So batches form by themselves: a quiet partition has
//! the latency of one commit, a busy one has full batches, and a slow store stops the reading.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use towpath_api::{Applied, Batch, Body, Error, OpenSink, Reaction, Result, Sink as _, TopicPartition, failpoint};

use super::{
    anchor,
    caught::caught,
    collect::Collector,
    context::SinkContext,
    ending::end_without_records,
    holding::{Holding, offset_moved, recreated_while_read},
    progress::Progress,
    resume::resume,
    store::{Stored, needs_a_change, store},
};
use crate::{
    avro::codec::Decoder,
    kafka::{codes::OFFSET_OUT_OF_RANGE, consumer::PartitionReader},
    task::codes,
    telemetry::Stage,
};

/// Maximum records to decode between polls of the store future. A poll reaches the connection; polling after every
/// record measured slower.
const DECODED_PER_POLL: usize = 32;

/// A partition that could not store its last batch and reads nothing for this time has nothing left to wait for: the
/// records were removed from the topic, or the stored offset was set past them.
const NOTHING_LEFT: Duration = Duration::from_secs(5);
/// Interval between attempts to apply records that wait, while no new records come.
const TRY_WAITING: Duration = Duration::from_secs(1);

/// Carries one partition.
pub(super) struct SinkPartition<O: OpenSink> {
    holding: Holding<O>,
    /// True until the first claim has shown which records waited before this task.
    inherits: bool,
}

impl<O: OpenSink> SinkPartition<O> {
    pub(super) fn new(context: Arc<SinkContext<O>>, partition: TopicPartition, progress: Arc<Progress>) -> Self {
        Self { holding: Holding::new(context, partition, progress), inherits: true }
    }

    /// Runs until the task is stopped (`Ok`), or until another worker has claimed the partition. After any other error
    /// the partition waits, for a person if need be, and is claimed anew.
    pub(super) async fn run(mut self) -> Result<()> {
        let ended = loop {
            let doing = format!("carry {}", self.holding.partition);
            let error = match caught(&doing, self.claim_and_carry()).await {
                Ok(()) => break Ok(()),
                Err(error) if error.reaction == Reaction::Fenced => break Err(error),
                Err(error) if error.code == OFFSET_OUT_OF_RANGE => self.explain_out_of_range(error).await,
                Err(error) => error,
            };
            if error.code == codes::PANIC {
                self.holding.note_stuck();
            }
            let stage = if self.holding.is_stuck() { Stage::Apply } else { Stage::Consume };
            if !self.holding.wait(stage, &error).await {
                break Ok(());
            }
        };
        self.holding.context.health.forget(&self.holding.name);
        failpoint::hit("on_revoke").await?;
        ended
    }

    /// Claims the partition and carries it from the stored offset, until the task is stopped.
    async fn claim_and_carry(&mut self) -> Result<()> {
        let context = Arc::clone(&self.holding.context);
        let claim = self.holding.claim().await?;
        let decoder = Decoder::reading(context.registry.clone(), context.reading.clone());
        let (pace, share) = (context.pace.clone(), context.budget.share());
        let partition = self.holding.partition.clone();
        let mut collector = Collector::new(partition, claim.next_offset, pace, share, decoder);
        failpoint::hit("after_assign").await?;
        if !self.holding.waits_for_action() {
            self.holding.report_claimed();
        }
        let Some(reader) = resume(&mut self.holding, &claim, &mut collector).await? else { return Ok(()) };
        self.holding.report_claimed();
        let carried = self.carry(&reader, &mut collector).await;
        if carried.as_ref().is_err_and(needs_a_change) {
            self.holding.note_stuck();
        }
        carried
    }

    /// Reads and stores batches, until the task is stopped.
    async fn carry(&mut self, reader: &PartitionReader, collector: &mut Collector) -> Result<()> {
        let context = Arc::clone(&self.holding.context);
        while self.collect(reader, collector).await? {
            let (mut batch, _memory) = collector.take();
            self.require_same_topic(reader)?;
            // A batch without new records retries waiting ones, or moves the offset to the end of the topic.
            batch.anchor = batch.anchor.or_else(|| self.holding.claim.as_ref()?.anchor);
            self.add_waiting(&mut batch, collector).await?;
            if batch.records.is_empty() && batch.from == batch.to {
                continue;
            }
            let _active = context.sink_metrics.active(batch.records.len());
            let (stored, read) = self.store_while_collecting(&batch, reader, collector).await?;
            match stored {
                Stored::Applied(_) if batch.records.is_empty() => {}
                Stored::Applied(applied) => self.count(&batch, &applied),
                Stored::Elsewhere => return Err(offset_moved(&self.holding.partition)),
                Stored::Stopped => return Ok(()),
            }
            read?;
        }
        Ok(())
    }

    /// Requires that the records which were read until now are of the topic that was opened. Without this, records of a
    /// re-created topic would be applied from the offset of the old one.
    ///
    /// # Errors
    /// Retry, after which the anchor is compared.
    fn require_same_topic(&self, reader: &PartitionReader) -> Result<()> {
        if reader.is_of_the_same_topic() { Ok(()) } else { Err(recreated_while_read(&self.holding.partition)) }
    }

    /// Waits for a record, then collects the other prefetched records. Returns false if the task is stopped.
    ///
    /// While there is nothing to store, the first ready event wins, in this order:
    /// 1. stop;
    /// 2. a loss of the store, after which the offset may have moved;
    /// 3. a topic that was re-created, whose reader may be silent for ever;
    /// 4. the next record;
    /// 5. the time to retry records that wait for a row: the batch has no new records;
    /// 6. the time after which a partition that could not store its last batch has nothing left to store;
    /// 7. an end of the topic that has no record: the batch is empty.
    async fn collect(&mut self, reader: &PartitionReader, collector: &mut Collector) -> Result<bool> {
        let stop = self.holding.context.stop.clone();
        if !self.learn(collector).await? {
            return Ok(false);
        }
        let (consumer, partition) = (self.holding.context.consumer.clone(), self.holding.partition.clone());
        let mut end = pin!(end_without_records(&consumer, &partition, collector.next()));
        while collector.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                () = self.holding.store_lost() => self.holding.require_unmoved().await?,
                () = reader.topic_recreated() => return Err(recreated_while_read(&partition)),
                message = reader.next() => collector.accept(&message?),
                () = tokio::time::sleep(TRY_WAITING), if self.holding.waits => return Ok(true),
                () = tokio::time::sleep(NOTHING_LEFT), if self.holding.is_stuck() => self.holding.recover(),
                end = &mut end => {
                    collector.skip_to(end);
                    return Ok(!stop.is_cancelled());
                }
            }
            if !self.learn(collector).await? {
                return Ok(false);
            }
        }
        failpoint::hit("mid_decode").await?;
        drain_ready(reader, collector, usize::MAX)?;
        self.linger(reader, collector).await?;
        Ok(!stop.is_cancelled())
    }

    /// Puts the records that wait in the store at the head of a batch.
    async fn add_waiting(&mut self, batch: &mut Batch, collector: &mut Collector) -> Result<()> {
        if !self.holding.waits {
            return Ok(());
        }
        let context = &self.holding.context;
        let waiting = self.holding.answered("read the waiting records of", async {
            let mut lent = context.connections.lend().await?;
            let waiting = lent.sink.waiting(&self.holding.partition).await?;
            lent.give_back();
            Ok::<_, Error>(waiting)
        });
        let waiting = waiting.await?;
        // A claim while the batch is stored sets it again.
        self.holding.waits = false;
        let since = waiting.iter().map(|record| record.since).min();
        self.holding.progress.waiting_records(since.map(|since| (waiting.len(), since)));
        if std::mem::take(&mut self.inherits) && !waiting.is_empty() {
            let TopicPartition { topic, partition } = &self.holding.partition;
            let records = waiting.len();
            tracing::info!(%topic, partition, records, "{records} records of {topic}[{partition}] wait since before");
        }
        collector.put_first(waiting, batch).await
    }

    /// Fetches the schemas that a held record needs. While the registry lacks them or is unavailable, the partition
    /// waits with its claim. Returns false if the task is stopped meanwhile.
    ///
    /// # Errors
    /// Retry if the stored offset has moved meanwhile.
    async fn learn(&mut self, collector: &mut Collector) -> Result<bool> {
        let mut waited = false;
        while let Err(error) = collector.learn().await {
            waited = true;
            if !self.holding.wait(Stage::Consume, &error).await {
                return Ok(false);
            }
            if self.holding.has_lost_the_store() {
                self.holding.require_unmoved().await?;
            }
        }
        if waited {
            self.holding.report_running();
        }
        Ok(true)
    }

    /// Waits for more records until `linger.ms` is over or the batch is full.
    async fn linger(&self, reader: &PartitionReader, collector: &mut Collector) -> Result<()> {
        let Some(until) = collector.since().map(|since| since + self.holding.context.linger) else { return Ok(()) };
        if until <= Instant::now() {
            return Ok(());
        }
        let mut until = pin!(tokio::time::sleep_until(until.into()));
        while collector.has_room() {
            tokio::select! {
                biased;
                () = self.holding.context.stop.cancelled() => break,
                message = reader.next() => collector.accept(&message?),
                () = &mut until => break,
            }
        }
        Ok(())
    }

    /// Stores `batch`, and collects the next batch meanwhile. A read error ends the collecting only and is the second
    /// result: the store future must not be dropped.
    async fn store_while_collecting(
        &mut self,
        batch: &Batch,
        reader: &PartitionReader,
        collector: &mut Collector,
    ) -> Result<(Stored, Result<()>)> {
        let mut read = Ok(());
        let mut storing = pin!(store(&mut self.holding, batch));
        loop {
            tokio::select! {
                // The store first: arriving records wait in the queue.
                biased;
                stored = &mut storing => return Ok((stored?, read)),
                message = reader.next(), if read.is_ok() && collector.has_room() => {
                    read = message.and_then(|message| {
                        collector.accept(&message);
                        drain_ready(reader, collector, DECODED_PER_POLL)
                    });
                }
            }
        }
    }

    /// Explains a missing offset by the offsets that the topic has.
    async fn explain_out_of_range(&self, error: Error) -> Error {
        let Holding { context, partition, claim, .. } = &self.holding;
        let (Some(claim), Ok(range)) = (claim, context.consumer.range(partition).await) else { return error };
        anchor::require_in_range(claim, &range).err().unwrap_or(error)
    }

    /// Counts the outcome of a stored batch.
    fn count(&mut self, batch: &Batch, applied: &Applied) {
        self.holding.waits |= applied.waiting > 0;
        let Holding { context, partition, progress, .. } = &self.holding;
        let Some(metrics) = progress.metrics() else { return };
        let times = batch.records.iter().filter_map(|record| match &record.body {
            Body::Change(change) => Some(change.source_time_ms.unwrap_or(record.timestamp_ms)),
            Body::Tombstone(_) | Body::Filtered | Body::Undecodable { .. } => None,
        });
        metrics.read(batch.records.len() - usize::try_from(applied.waiting).unwrap_or(0));
        metrics.committed(applied, batch.records.last().map_or(0, |record| record.timestamp_ms));
        // Which of the records have ended is not known if some wait.
        if applied.waiting == 0 {
            progress.waiting_records(None);
            metrics.end_to_end(times, SystemTime::now());
        }
        context.connector_metrics.processed(applied.total());
        for (error_type, records) in applied.dead_letters() {
            context.dead_lettered.notify_one();
            context.connector_metrics.dead_lettered(error_type, records);
            tracing::warn!(
                topic = %partition.topic, partition = partition.partition, code = codes::DEAD_LETTER,
                error_type = %error_type, records,
                "dead-lettered {records} records of {partition}; the store's dead letters have the reasons"
            );
        }
    }
}

/// Collects at most `most` prefetched records, while there is room.
fn drain_ready(reader: &PartitionReader, collector: &mut Collector, most: usize) -> Result<()> {
    for _ in 0..most {
        let Some(message) = collector.has_room().then(|| reader.next_if_here()).flatten() else { break };
        collector.accept(&message?);
    }
    Ok(())
}
