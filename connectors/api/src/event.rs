//! One change of one record, as a source publishes it.

use std::{fmt, sync::Arc};

use apache_avro::types::Value;

use crate::Object;

/// The kind of a change, with the names of Debezium's envelope. [`RecordOp`](crate::RecordOp) has the further kinds
/// that a record of a topic may have.
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
    /// All operations, in the order of declaration; for metrics that start at zero.
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

    /// The name used in labels and logs: `create`, `update`, `delete`, `read`.
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

/// The version of a record in its source: three integers that are compared from left to right. The greater version is
/// the newer version.
///
/// A version comes from the source; the clock of one of our hosts is never a version. If a source has no versions, the
/// Kafka offset is used instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The time of the change at the source, in microseconds since the epoch, or another increasing number.
    pub ts: i64,
    /// Breaks ties within `ts`.
    pub seq: i64,
    /// Breaks ties within `seq`, 0 to 3: the kind of change (for example snapshot before event before delete).
    pub rank: i8,
}

/// The header of a record with the id of its event: [`ChangeEvent::event_id`].
pub const EVENT_ID_HEADER: &str = "towpath_event_id";

/// One change of one record, ready to be published.
#[derive(Debug, Clone)]
pub struct ChangeEvent {
    /// The object of the record. Events of one object share the `Arc`; a new schema is a new `Object`.
    pub object: Arc<Object>,
    /// The identity of the changed record.
    pub key: Key,
    /// The kind of the change.
    pub op: Op,
    /// The record after the change: one value for each field of [`Object::value_schema`], in its order. `None` for a
    /// delete.
    ///
    /// A value of a nullable field may be bare or a `Value::Union`. The publisher checks each value against the schema
    /// of its field while it encodes the value; a value that does not fit is poison, `encode.misfit`.
    pub after: Option<Vec<(String, Value)>>,
    /// For a partial update, the names of the fields that it carries; the other fields in `after` are null and have no
    /// meaning. `None` if `after` is the whole record.
    pub changed: Option<Vec<String>>,
    /// The version, if the source has versions.
    pub version: Option<Version>,
    /// The permanent id of the event, at most 200 bytes. A repeated event has the same id.
    pub event_id: String,
    /// The time of the change by the source's clock, in milliseconds since the epoch.
    pub source_time_ms: Option<i64>,
    /// The W3C trace context of the request that caused the change, if there was a request with such a context.
    pub traceparent: Option<String>,
}
