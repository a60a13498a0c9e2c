//! Records of a topic: key, operation and content, decoded.

use std::sync::Arc;

use apache_avro::{BigDecimal, schema::Schema, types::Value};
use num_bigint::BigInt;

use crate::{Key, Op, Span, Version};

/// One record of a batch.
#[derive(Debug, Clone)]
pub struct Record {
    /// The offset in the partition.
    pub offset: i64,
    /// The timestamp in the topic, in milliseconds since the epoch; 0 if the record has no timestamp.
    pub timestamp_ms: i64,
    /// The decoded meaning.
    pub body: Body,
    /// The bytes, as positions in [`Batch::arena`](crate::Batch::arena).
    pub payload: Payload,
}

/// The positions of a record's bytes in the arena of its batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Payload {
    /// The key; `None` if the record has no key.
    pub key: Option<Span>,
    /// The value; `None` for a tombstone.
    pub value: Option<Span>,
    /// The headers, in their order.
    pub headers: Span,
}

/// The key of a record, which is also the primary key of its row.
///
/// The schema of the key gives the meaning of a number or of bytes (a date, a decimal, a UUID): see [`RecordKey`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// `string` and `enum`.
    Text(String),
    /// `int` and `long`, and dates and times with such a type.
    Long(i64),
    /// `boolean`.
    Boolean(bool),
    /// `bytes` and `fixed`; the 16 bytes of a `uuid`; the unscaled value of a `decimal` as the shortest big-endian
    /// two's complement. The schema of a `big-decimal` has no scale: see [`Identity::of_big_decimal`].
    Bytes(Vec<u8>),
    /// Two or more parts, in the order of the key's schema. A part is never `Parts`.
    Parts(Vec<Identity>),
}

impl Identity {
    /// Returns the identity of a number that carries its scale. Equal numbers have the same identity, whatever their
    /// scales (1.5 and 1.50).
    pub fn of_big_decimal(number: &BigDecimal) -> Self {
        let (unscaled, scale) = number.normalized().into_bigint_and_scale();
        Self::Bytes([&scale.to_be_bytes()[..], &unscaled.to_signed_bytes_be()].concat())
    }

    /// Returns the number if this is an identity from [`Identity::of_big_decimal`].
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

/// The key of a record of a topic, with the names of its parts.
#[derive(Debug, Clone)]
pub struct RecordKey {
    /// The values of the parts.
    pub identity: Identity,
    /// A record with a field for each part: a single field if `identity` is not [`Identity::Parts`]. If the key's type
    /// is not a record, the field is called `id`. Keys written with the same schema share the `Arc`.
    pub schema: Arc<Schema>,
}

/// The operation of a record of a topic: [`Op`], and `Truncate`, which only other connectors write.
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
    /// The whole table was emptied; `t`. The record has no key and no content. Debezium's connectors write it.
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

/// The decoded meaning of a record of a topic.
#[derive(Debug, Clone)]
pub enum Body {
    /// A change to apply.
    Change(Box<Change>),
    /// A null value: the record was deleted. In topics of envelopes, a delete precedes the tombstone, unless compaction
    /// has removed the delete. `None` if the record has no key either, and so no meaning.
    Tombstone(Option<RecordKey>),
    /// The record is not about a row, such as a message that Debezium copies from the database's log. Sinks count it as
    /// [`Applied::filtered`](crate::Applied::filtered).
    Filtered,
    /// The record can never be read: sinks dead-letter it.
    Undecodable {
        /// The code, `area.reason`.
        code: &'static str,
        /// The reason, without any payload.
        reason: String,
        /// True if the key cannot be read, false if the value cannot.
        of_key: bool,
    },
}

impl Change {
    /// Follows the positions in [`Change::changed`] if the other fields were not left out of a partial update, but have
    /// values that the source did not have.
    pub const UNAVAILABLE: u16 = u16::MAX;

    /// Returns true if the source did not have the values of some fields.
    pub fn lacks_values(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| changed.last() == Some(&Self::UNAVAILABLE))
    }

    /// The names of the fields whose values the source did not have.
    pub fn unavailable_fields(&self) -> Vec<&str> {
        let (Schema::Record(record), Some(changed)) = (self.schema.as_ref(), &self.changed) else { return Vec::new() };
        if !self.lacks_values() {
            return Vec::new();
        }
        let is_known = |at: usize| u16::try_from(at).is_ok_and(|at| changed.binary_search(&at).is_ok());
        let unknown = record.fields.iter().enumerate().filter(|(at, _)| !is_known(*at));
        unknown.map(|(_, field)| field.name.as_str()).collect()
    }
}

/// One change of one record, as read from a topic.
#[derive(Debug, Clone)]
pub struct Change {
    /// The key of the record; `None` if the record of the topic has no key.
    pub key: Option<RecordKey>,
    /// The kind of change.
    pub op: RecordOp,
    /// The record schema of `after`. Changes written with the same schema share the `Arc`, so pointers can be compared.
    /// For the mark of fields with JSON text, see [`is_json_text`](crate::json::is_json_text).
    pub schema: Arc<Schema>,
    /// One value for each field of `schema`, in its order; `None` for a delete.
    pub after: Option<Vec<Value>>,
    /// The positions in `schema` of the fields that a partial update carries, ascending; `None` means all
    /// fields. With [`Change::UNAVAILABLE`] as the last position, the source did not have the values of the others.
    pub changed: Option<Vec<u16>>,
    /// The version, if the source has versions; otherwise the offset takes its place.
    pub version: Option<Version>,
    /// The source's time of the change in milliseconds since the epoch, if it is known.
    pub source_time_ms: Option<i64>,
}
