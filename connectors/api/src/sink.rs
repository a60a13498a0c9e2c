//! The contract of sinks: how a partition is claimed, and how batches of its records become durable.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::{Anchor, Applied, Arena, Beginning, DeadLetterStreak, Error, Payload, Record, Result, StoredDeadLetter};

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The name of the topic.
    pub topic: Arc<str>,
    /// The number of the partition, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Makes batches durable in a store. Each instance holds one connection. The worker opens several instances and lends
/// one to a partition for each call:
///
/// ```text
/// claim = sink.claim(partition, beginning, None)
/// loop { batch = records from claim.next_offset on; sink.apply(claim, batch) }
/// after a retry: a fresh sink, claim = sink.claim(partition, beginning, Some(claim)), and on from claim.next_offset
/// ```
pub trait Sink: Send {
    /// Claims `partition` and fences every older claim, in this process or another.
    ///
    /// `previous` is the caller's last claim, if the outcome of its last batch is unknown. The claim waits until an
    /// older transaction of the partition has ended, so its `next_offset` shows whether that batch was stored.
    ///
    /// # Errors
    /// Fenced when `previous` is given and another caller has claimed the partition since. Fatal `kafka.other_cluster`,
    /// with nothing changed, when the store has the partition from another cluster than `beginning` names: see
    /// [`Beginning::refuse_other_cluster`].
    fn claim(
        &mut self,
        partition: &TopicPartition,
        beginning: &Beginning,
        previous: Option<&Claim>,
    ) -> impl Future<Output = Result<Claim>> + Send;

    /// Makes the rows of `batch` and its end as next offset durable together, or changes nothing.
    ///
    /// Called in offset order, for one partition by one caller at a time. Records that can never be stored are
    /// dead-lettered in the same transaction and counted in [`Applied`]; they do not cause an error. If too many in a
    /// row would be dead-lettered, counted from the claim's streak on, the batch is refused as a whole (see
    /// [`DeadLetterStreak`]).
    ///
    /// # Errors
    /// Retry: the outcome is unknown; drop the instance and claim again. Fenced: the partition has another owner; drop
    /// the batch. Fatal: nothing was stored. Never poison, which would fail the task: see
    /// [`Reaction::Poison`](crate::Reaction::Poison).
    ///
    /// # Cancel safety
    /// Not safe: the worker awaits the future to its end. If the store does not answer for minutes, the worker drops
    /// the future together with the instance. The next claim must then settle the outcome of the batch, as after the
    /// process died.
    fn apply(&mut self, claim: &Claim, batch: &Batch) -> impl Future<Output = Result<Applied, ApplyError>> + Send;

    /// The records of `partition` before its next offset that are not applied yet, because they refer to rows that do
    /// not exist, or because such a record of their key precedes them. In offset order.
    ///
    /// The worker passes them at the head of the next batch, before the records from `batch.from` on. The batch then
    /// ends their wait, or counts them in [`Applied::waiting`] again.
    ///
    /// # Errors
    /// As for [`Sink::claim`], but never fenced.
    fn waiting(&mut self, partition: &TopicPartition) -> impl Future<Output = Result<Vec<WaitingRecord>>> + Send {
        let _ = partition;
        std::future::ready(Ok(Vec::new()))
    }

    /// The stored offset of each partition of the connector, by topic and partition. Claims nothing.
    ///
    /// # Errors
    /// As for [`Sink::claim`], but never fenced.
    fn positions(&mut self) -> impl Future<Output = Result<Vec<StoredOffset>>> + Send;

    /// Sets the next offset of `partition`, and the record before it by which the topic is recognized. Raises the
    /// epoch, so that a running task is fenced. The partition need not have been claimed before.
    ///
    /// # Errors
    /// As for [`Sink::claim`]; fatal when another worker holds the connector's partitions.
    fn seek(
        &mut self,
        partition: &TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// As [`Sink::seek`], if the topic was truncated or re-created, so that its records from `to` on are not those that
    /// were applied. Whatever the store holds of the applied records must then neither exclude a new record nor be lost
    /// to one; the store changes it in the same transaction. With `count_only` nothing changes.
    ///
    /// Returns what is concerned. The default is for a store that compares no record with an applied one.
    ///
    /// # Errors
    /// As for [`Sink::seek`].
    fn seek_new_records(
        &mut self,
        partition: &TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
        count_only: bool,
    ) -> impl Future<Output = Result<Vec<Superseded>>> + Send {
        async move {
            if !count_only {
                self.seek(partition, to, anchor).await?;
            }
            Ok(Vec::new())
        }
    }

    /// Returns at most `most` dead letters of all partitions that are not marked as published to the topic for dead
    /// letters.
    ///
    /// # Errors
    /// As for [`Sink::claim`], but never fenced.
    fn unpublished(&mut self, most: usize) -> impl Future<Output = Result<Vec<StoredDeadLetter>>> + Send {
        let _ = most;
        std::future::ready(Ok(Vec::new()))
    }

    /// Marks `letters` as published to the topic for dead letters.
    ///
    /// # Errors
    /// As for [`Sink::unpublished`].
    fn published(&mut self, letters: &[StoredDeadLetter]) -> impl Future<Output = Result<()>> + Send {
        let _ = letters;
        std::future::ready(Ok(()))
    }

    /// Marks `letter` as one that the topic for dead letters will never accept, with the reason: it stays stored, and
    /// [`Sink::unpublished`] does not return it again.
    ///
    /// # Errors
    /// As for [`Sink::unpublished`].
    fn unpublishable(&mut self, letter: &StoredDeadLetter, reason: &str) -> impl Future<Output = Result<()>> + Send {
        let _ = (letter, reason);
        std::future::ready(Ok(()))
    }

    /// Returns true if the connection to the store is open, as far as this side knows. The worker calls it while the
    /// instance is idle, and drops the instance if it returns false.
    fn is_open(&self) -> bool {
        true
    }
}

/// A record that a store keeps because it waits for others: see [`Sink::waiting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRecord {
    /// The offset of the record.
    pub offset: i64,
    /// The timestamp of the record in milliseconds since the epoch; 0 if the record has no timestamp.
    pub timestamp_ms: i64,
    /// The bytes of the key; `None` for Kafka's null.
    pub key: Option<Vec<u8>>,
    /// The bytes of the value; `None` for Kafka's null.
    pub value: Option<Vec<u8>>,
    /// The headers, in the order of the record; a value of `None` is Kafka's null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The start of the wait.
    pub since: SystemTime,
}

impl WaitingRecord {
    /// Copies the bytes of the record into the arena of a batch.
    pub fn copy_into(&self, arena: &mut Arena) -> Payload {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        Payload {
            headers: arena.push_headers(headers),
            key: self.key.as_deref().map(|key| arena.push(key)),
            value: self.value.as_deref().map(|value| arena.push(value)),
        }
    }
}

/// The failure of [`Sink::apply`].
#[derive(Debug)]
pub struct ApplyError {
    /// The cause, and the reaction to it.
    pub error: Error,
    /// If the answer to the commit was lost: the outcome of the batch, in case the next claim finds it stored.
    pub if_stored: Option<Box<Applied>>,
}

impl From<ApplyError> for Error {
    fn from(failed: ApplyError) -> Self {
        failed.error
    }
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        Self { error, if_stored: None }
    }
}

/// The state of one partition in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOffset {
    /// The partition that the state belongs to.
    pub partition: TopicPartition,
    /// The next offset to read. All earlier records are durable.
    pub next_offset: i64,
    /// The fencing token of the newest claim.
    pub epoch: i64,
    /// The record by which the topic is recognized; `None` if the next claim does not check the topic.
    pub anchor: Option<Anchor>,
    /// The worker that claimed the partition last, for people.
    pub owner: String,
}

/// What a store holds of records that their topic no longer has: see [`Sink::seek_new_records`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// The place, for people; for example `rows of acme.deals`.
    pub what: String,
    /// The number of rows.
    pub rows: u64,
    /// What becomes of them, for people, as a verb phrase.
    pub effect: String,
}

/// Opens sinks: once for each connection that the worker wants, and afresh after each retry.
pub trait OpenSink: Clone + Send + Sync + 'static {
    /// The opened sink.
    type Sink: Sink + 'static;

    /// Connects, and creates the store's table of offsets if needed.
    ///
    /// # Errors
    /// Retry while the store is away; fatal when waiting does not help (rights, a version that is too old).
    fn open(&self) -> impl Future<Output = Result<Self::Sink>> + Send;
}

/// The right to write a partition, until the next claim of the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The claimed partition.
    pub partition: TopicPartition,
    /// The fencing token; grows with each claim of the partition.
    pub epoch: i64,
    /// The next offset to read.
    pub next_offset: i64,
    /// The record by which the topic is recognized, as the last batch stored it; `None` before the first batch.
    pub anchor: Option<Anchor>,
    /// The target of the rows, for people and metrics; for example `acme.transactions`.
    pub target: Arc<str>,
    /// The dead letters in a row before `next_offset`. A store returns an empty streak; the worker sets it.
    pub streak: DeadLetterStreak,
}

impl Claim {
    /// The streak with which reading continues at `next_offset`; empty if the store has gone elsewhere.
    pub fn streak_at(&self, next_offset: i64) -> DeadLetterStreak {
        if self.next_offset == next_offset { self.streak } else { self.streak.ended() }
    }
}

/// Records `[from, to)` of one partition, in offset order, with holes where the topic has them. Records that waited
/// precede them: see [`Sink::waiting`]. A batch of such records alone has `from` equal to `to`. A batch without records
/// moves the next offset over an end of the topic that has only transaction markers and aborted records.
///
/// The bytes of all records share one arena, so that they cost no allocation per record.
#[derive(Debug)]
pub struct Batch {
    /// The partition of the records.
    pub partition: TopicPartition,
    /// The next offset when the batch began; the store must have the same.
    pub from: i64,
    /// The next offset after the batch.
    pub to: i64,
    /// The last record of the batch, or of the earlier batch if this batch has no records, to be stored with `to`;
    /// `None` if the topic cannot be recognized by a record.
    pub anchor: Option<Anchor>,
    /// The records, in ascending order of offsets.
    pub records: Vec<Record>,
    /// Keys, values and headers, with the bytes of the topic.
    pub arena: Arena,
}
