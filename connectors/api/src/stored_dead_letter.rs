//! Dead letters that a store holds and the worker publishes to a topic.

use crate::TopicPartition;

/// A dead letter as its store holds it: the unchanged record, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// The partition of the record.
    pub partition: TopicPartition,
    /// The offset of the record.
    pub offset: i64,
    /// Changes when the same record is dead-lettered again. Only the store interprets it.
    pub revision: i64,
    /// The timestamp of the record in milliseconds since the epoch, if the record has a timestamp.
    pub timestamp_ms: Option<i64>,
    /// The stage at which the record failed: `decode_key` if its key cannot be read, `decode` if its value cannot, or
    /// `apply`.
    pub stage: String,
    /// The error code, `area.reason`.
    pub code: String,
    /// The reason, without any payload.
    pub reason: String,
    /// The bytes of the key; `None` for Kafka's null.
    pub key: Option<Vec<u8>>,
    /// The bytes of the value; `None` for Kafka's null.
    pub value: Option<Vec<u8>>,
    /// The headers, in the order of the record; a value of `None` is Kafka's null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}
