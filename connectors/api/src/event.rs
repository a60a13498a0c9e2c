//! One change of one record, as a source sees it.

use std::{fmt, sync::Arc};

use apache_avro::types::Value;

use crate::Object;

/// What happened to a record, in the words of Debezium's envelope. What a topic's record may say besides is
/// [`RecordOp`](crate::RecordOp).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The record was created; `c`.
    Create,
    /// The record was changed; `u`.
    Update,
    /// The record was deleted; `d`.
    Delete,
    /// A snapshot read the record; `r`.
    Read,
}

impl Op {
    /// Every operation, in the order of declaration; for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Delete, Self::Read];

    /// The letter in the envelope's `op`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
        }
    }

    /// The word used in labels and logs: `create`, `update`, `delete`, `read`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Read => "read",
        }
    }
}

/// The identity of a record that one of our sources emits: the Kafka key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// For objects whose `id` is an Avro `string`.
    Text(String),
    /// For objects whose `id` is an Avro `long`.
    Long(i64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Long(number) => number.fmt(f),
        }
    }
}

/// The version of a record in its source: three integers compared left to right, the greater one wins.
///
/// Only what the source itself says counts; the clock of one of our hosts is never a version. A source that knows none
/// leaves it out, and the Kafka offset takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The source's time of the change, in microseconds since the epoch, or another growing number of the record.
    pub ts: i64,
    /// Breaks ties within `ts`.
    pub seq: i64,
    /// Breaks ties within `seq`, 0 to 3: the kind of reading (for example snapshot before event before delete).
    pub rank: i8,
}

/// The header of a topic's record that names its event for ever: [`ChangeEvent::event_id`].
pub const EVENT_ID_HEADER: &str = "towpath_event_id";

/// One change of one record, ready to be published.
#[derive(Debug, Clone)]
pub struct ChangeEvent {
    /// What kind of thing changed. Events of one object share the `Arc`; a new schema is a new `Object`.
    pub object: Arc<Object>,
    /// Which record changed.
    pub key: Key,
    /// What happened.
    pub op: Op,
    /// The record after the change: one value for each field of [`Object::value_schema`], in its order. `None` for a
    /// delete.
    ///
    /// A value of a nullable field may be bare or a `Value::Union`. The publisher checks each value against the field's
    /// schema as it encodes it; one that does not fit is poison, `encode.misfit`.
    pub after: Option<Vec<(String, Value)>>,
    /// For a partial update the names of the fields that it carries; the others in `after` are null and mean nothing.
    /// `None`: `after` is the whole record.
    pub changed: Option<Vec<String>>,
    /// The version, where the source has one.
    pub version: Option<Version>,
    /// Names this event for ever, at most 200 bytes; a repeated event has the same.
    pub event_id: String,
    /// When it happened by the source's clock, in milliseconds since the epoch.
    pub source_time_ms: Option<i64>,
    /// W3C trace context of the request that caused it, where there was one.
    pub traceparent: Option<String>,
}
