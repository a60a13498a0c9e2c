//! What a sink is, and what it is given.

use std::{fmt, sync::Arc};

use apache_avro::{BigDecimal, schema::Schema, types::Value};
use num_bigint::BigInt;

use crate::{Anchor, Arena, Beginning, Error, ErrorType, Key, Op, Result, SetAside, Span, Version};

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition within it.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Makes batches durable in a store. One instance holds one connection; the worker makes several and lends one to each
/// partition for the time of one call:
///
/// ```text
/// claim = sink.claim(partition, beginning, None)
/// loop { batch = records from claim.next_offset on; sink.apply(claim, batch) }
/// after a retry: a fresh sink, claim = sink.claim(partition, beginning, Some(claim)), and on from claim.next_offset
/// ```
pub trait Sink: Send {
    /// Takes `partition` over from whoever had it. From here on every older claim is fenced, in this process or
    /// another.
    ///
    /// `previous` is the caller's own claim when it lost touch with the store: the answer then tells whether its last
    /// batch was stored, for the claim waits until an older transaction of the partition has ended.
    ///
    /// # Errors
    /// Fenced when `previous` is given and somebody has claimed the partition since. Fatal `kafka.other_cluster`, with
    /// nothing changed, when the store has the partition from another cluster than `beginning` names: see
    /// [`Beginning::refuse_other_cluster`].
    fn claim(
        &mut self,
        partition: &TopicPartition,
        beginning: &Beginning,
        previous: Option<&Claim>,
    ) -> impl Future<Output = Result<Claim>> + Send;

    /// Makes the rows of `batch` and its end as next offset durable together, or changes nothing.
    ///
    /// Called in offset order, for one partition by one caller at a time. Records that can never be stored are set
    /// aside in the same transaction and counted in [`Applied`]; they are no error.
    ///
    /// # Errors
    /// Retry leaves open whether the batch was stored: drop the instance and claim again. Fenced: the partition has
    /// another owner, drop the batch. Fatal: nothing was stored. Never poison, by which the task would fail: see
    /// [`Reaction::Poison`](crate::Reaction::Poison).
    ///
    /// # Cancel safety
    /// Not safe to drop and go on: the worker awaits it to the end. When the store does not answer for minutes the
    /// worker drops the future together with the instance; as after a process that died within, the next claim must
    /// then settle what became of the batch.
    fn apply(&mut self, claim: &Claim, batch: &Batch) -> impl Future<Output = Result<Applied, ApplyError>> + Send;

    /// The stored offset of each partition of the connector, by topic and partition. Claims nothing.
    ///
    /// # Errors
    /// As for [`Sink::claim`], but never fenced.
    fn positions(&mut self) -> impl Future<Output = Result<Vec<StoredOffset>>> + Send;

    /// Sets the offset from which `partition` is read next, and the record before it by which the topic is recognized.
    /// Raises the epoch, so that a task which still runs is fenced. The partition need not have been claimed before.
    ///
    /// # Errors
    /// As for [`Sink::claim`]; fatal when another worker holds the connector's partitions.
    fn seek(
        &mut self,
        partition: &TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Up to `most` records of all partitions that were set aside and are not noted as published, for the topic that
    /// they go to as well.
    ///
    /// # Errors
    /// As for [`Sink::claim`], but never fenced.
    fn unpublished(&mut self, most: usize) -> impl Future<Output = Result<Vec<SetAside>>> + Send {
        let _ = most;
        std::future::ready(Ok(Vec::new()))
    }

    /// Notes that the topic has these.
    ///
    /// # Errors
    /// As for [`Sink::unpublished`].
    fn published(&mut self, letters: &[SetAside]) -> impl Future<Output = Result<()>> + Send {
        let _ = letters;
        std::future::ready(Ok(()))
    }

    /// Whether the way to the store is open as far as this side has noticed. Asked while nobody uses the instance; no,
    /// and it is dropped.
    fn is_open(&self) -> bool {
        true
    }
}

/// Why a batch is not known to be stored.
#[derive(Debug)]
pub struct ApplyError {
    /// What went wrong.
    pub error: Error,
    /// Where the answer to the commit was lost: the outcome of the batch, should the next claim find it stored.
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

/// What a store holds of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOffset {
    /// Which partition.
    pub partition: TopicPartition,
    /// The next offset to read. Everything below it is durable.
    pub next_offset: i64,
    /// The fencing token of the newest claim.
    pub epoch: i64,
    /// The record by which the topic is recognized; `None` where the next claim does not check it.
    pub anchor: Option<Anchor>,
    /// Who claimed the partition last, for people.
    pub owner: String,
}

/// Opens sinks: once for each connection that the worker wants, and afresh after each retry.
pub trait OpenSink: Clone + Send + Sync + 'static {
    /// What it opens.
    type Sink: Sink + 'static;

    /// Connects, and makes sure that what the sink keeps its offsets in exists.
    ///
    /// # Errors
    /// Retry while the store is away; fatal when waiting does not help (rights, a version that is too old).
    fn open(&self) -> impl Future<Output = Result<Self::Sink>> + Send;
}

/// The right to write a partition, until somebody claims it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What was claimed.
    pub partition: TopicPartition,
    /// The fencing token; grows with each claim of the partition.
    pub epoch: i64,
    /// The next offset to read.
    pub next_offset: i64,
    /// The record by which the topic is known again, as the last batch left it; `None` where there was no batch yet.
    pub anchor: Option<Anchor>,
    /// Where the rows go, for people and metrics; for example `acme.transactions`.
    pub target: Arc<str>,
}

/// Records `[from, to)` of one partition, in offset order, with holes where the topic has them.
///
/// The bytes of all records lie in one arena, so that a record costs no allocation of its own for them.
#[derive(Debug)]
pub struct Batch {
    /// Where they come from.
    pub partition: TopicPartition,
    /// The next offset when the batch began; the store must hold this one.
    pub from: i64,
    /// The next offset after the batch.
    pub to: i64,
    /// Its last record, for the store to keep with `to`; `None` when there is nothing to be known again by.
    pub anchor: Option<Anchor>,
    /// What was read, ascending by offset.
    pub records: Vec<Record>,
    /// Keys, values and headers as they lie in the topic.
    pub arena: Arena,
}

/// One record of a batch.
#[derive(Debug)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in the topic, in milliseconds since the epoch; 0 where it has none.
    pub timestamp_ms: i64,
    /// What it means.
    pub body: Body,
    /// Where its bytes lie in [`Batch::arena`].
    pub payload: Payload,
}

/// Where the bytes of a record lie in its batch's arena.
#[derive(Debug, Clone, Copy, Default)]
pub struct Payload {
    /// The key; `None` when the record has none.
    pub key: Option<Span>,
    /// The value; `None` for a tombstone.
    pub value: Option<Span>,
    /// The headers.
    pub headers: Span,
}

/// What makes a record of a topic the one that it is: its key, and the primary key of its row.
///
/// What a number or some bytes mean (a date, a decimal, a UUID) is said by the key's schema: see [`RecordKey`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// `string` and `enum`.
    Text(String),
    /// `int` and `long`, and the dates and times that are one.
    Long(i64),
    /// `boolean`.
    Boolean(bool),
    /// `bytes` and `fixed`; the 16 bytes of a `uuid`; the unscaled value of a `decimal` in two's complement, big
    /// endian, as short as can be; for a `big-decimal`, whose scale is not in the schema, see
    /// [`Identity::of_big_decimal`].
    Bytes(Vec<u8>),
    /// Several parts, two at least, in the order of the key's schema; none of them is `Parts`.
    Parts(Vec<Identity>),
}

impl Identity {
    /// The identity of a number with a scale of its own: equal numbers have one, whatever their scales (1.5 and 1.50).
    pub fn of_big_decimal(number: &BigDecimal) -> Self {
        let (unscaled, scale) = number.normalized().into_bigint_and_scale();
        Self::Bytes([&scale.to_be_bytes()[..], &unscaled.to_signed_bytes_be()].concat())
    }

    /// The number of which this is [`Identity::of_big_decimal`]; `None` when it is none.
    pub fn to_big_decimal(&self) -> Option<BigDecimal> {
        let Self::Bytes(bytes) = self else { return None };
        let (scale, unscaled) = bytes.split_first_chunk()?;
        Some(BigDecimal::new(BigInt::from_signed_bytes_be(unscaled), i64::from_be_bytes(*scale)))
    }
}

impl From<Key> for Identity {
    fn from(key: Key) -> Self {
        match key {
            Key::Text(text) => Self::Text(text),
            Key::Long(number) => Self::Long(number),
        }
    }
}

/// The key of a record as it lies in a topic, with what its parts are called.
#[derive(Debug, Clone)]
pub struct RecordKey {
    /// Which record it is.
    pub identity: Identity,
    /// A record with a field for each part: a single field where `identity` is not [`Identity::Parts`]. The part of a
    /// key that is no record is called `id`. Keys written with one schema share the `Arc`.
    pub schema: Arc<Schema>,
}

/// What a record of a topic says happened: [`Op`], and the one operation that only other connectors write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordOp {
    /// The record was created; `c`.
    Create,
    /// The record was changed; `u`.
    Update,
    /// The record was deleted; `d`.
    Delete,
    /// A snapshot read the record; `r`.
    Read,
    /// The whole table was emptied; `t`. It has no key and no content. Debezium's connectors write it.
    Truncate,
}

impl RecordOp {
    /// The word used in columns and logs: `create`, `update`, `delete`, `read`, `truncate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => Op::Create.as_str(),
            Self::Update => Op::Update.as_str(),
            Self::Delete => Op::Delete.as_str(),
            Self::Read => Op::Read.as_str(),
            Self::Truncate => "truncate",
        }
    }

    /// Reads the letter of an envelope; `None` for an unknown one.
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "c" => Some(Self::Create),
            "u" => Some(Self::Update),
            "d" => Some(Self::Delete),
            "r" => Some(Self::Read),
            "t" => Some(Self::Truncate),
            _ => None,
        }
    }
}

impl From<Op> for RecordOp {
    fn from(op: Op) -> Self {
        match op {
            Op::Create => Self::Create,
            Op::Update => Self::Update,
            Op::Delete => Self::Delete,
            Op::Read => Self::Read,
        }
    }
}

/// What a record of a topic means.
#[derive(Debug)]
pub enum Body {
    /// A change to apply.
    Change(Box<Change>),
    /// A null value: the record is no more. In topics of envelopes a delete comes before it, which compaction may have
    /// removed. `None` where there is no key either, so that it says nothing.
    Tombstone(Option<RecordKey>),
    /// It says nothing about any row, such as a message that Debezium passes on from the database's log: to be counted
    /// as [`Applied::filtered`].
    Filtered,
    /// It cannot be read, now or ever: to be set aside.
    Undecodable {
        /// The code, `area.reason`.
        code: &'static str,
        /// The reason, without any payload.
        reason: String,
    },
}

/// One change of one record, as read from a topic.
#[derive(Debug)]
pub struct Change {
    /// Which record; `None` where the topic's record has no key.
    pub key: Option<RecordKey>,
    /// What happened.
    pub op: RecordOp,
    /// The record schema of `after`. Changes written with one schema share the `Arc`, so a pointer comparison tells
    /// them apart. A field whose text is JSON is marked as [`is_json_text`](crate::json::is_json_text) tells.
    pub schema: Arc<Schema>,
    /// One value for each field of `schema`, in its order; `None` for a delete.
    pub after: Option<Vec<Value>>,
    /// The positions in `schema` of the fields that a partial update carries, ascending; `None`: all of them.
    pub changed: Option<Vec<u16>>,
    /// The version, where the source has one; otherwise the offset takes its place.
    pub version: Option<Version>,
    /// The source's time of the change in milliseconds since the epoch, where it is known.
    pub source_time_ms: Option<i64>,
}

/// What became of a batch. The sum of all counts is the number of its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Records that made a new row.
    pub inserted: u64,
    /// Records that changed a row.
    pub updated: u64,
    /// Records that deleted a row.
    pub deleted: u64,
    /// Records that a later record of the same key in the same batch absorbed.
    pub folded: u64,
    /// Records whose row holds them already, or something newer.
    pub stale: u64,
    /// Tombstones of records that were deleted already, or never there.
    pub tombstones: u64,
    /// Records that the configuration leaves out, for example deletes with `delete.mode=ignore`.
    pub filtered: u64,
    /// Records set aside as dead letters, by [`ErrorType`] in the order of [`ErrorType::ALL`].
    set_aside: [u64; ErrorType::ALL.len()],
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.folded += other.folded;
        self.stale += other.stale;
        self.tombstones += other.tombstones;
        self.filtered += other.filtered;
        for (mine, others) in self.set_aside.iter_mut().zip(other.set_aside) {
            *mine += others;
        }
    }
}

impl Applied {
    /// The number of records accounted for.
    pub fn total(&self) -> u64 {
        self.inserted
            + self.updated
            + self.deleted
            + self.folded
            + self.stale
            + self.tombstones
            + self.filtered
            + self.set_aside.iter().sum::<u64>()
    }

    /// Counts a record that was set aside.
    pub fn set_aside(&mut self, error_type: ErrorType) {
        self.set_aside[error_type as usize] += 1;
    }

    /// The numbers of records set aside, for each type that there were any of.
    pub fn dead_letters(&self) -> impl Iterator<Item = (ErrorType, u64)> {
        ErrorType::ALL.into_iter().zip(self.set_aside).filter(|(_, records)| *records > 0)
    }
}
