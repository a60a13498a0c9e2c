//! Records that a store has set aside, on their way into a topic as well.

use crate::TopicPartition;

/// A record that was set aside, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The partition that it came from.
    pub partition: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// Tells it from itself when it is set aside once more; of no meaning to anybody but the store.
    pub revision: i64,
    /// Its timestamp in milliseconds since the epoch, where it has one.
    pub timestamp_ms: Option<i64>,
    /// Where it failed, `decode` or `apply`.
    pub stage: String,
    /// The code, `area.reason`.
    pub code: String,
    /// The reason, without any payload.
    pub reason: String,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}
