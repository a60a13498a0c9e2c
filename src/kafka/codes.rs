//! The codes of errors about Kafka.
//!
//! They are API: logs, dead letters and `docs/operations.md` name them.

/// No broker answers, or the broker refuses for a reason that may pass.
pub const UNAVAILABLE: &str = "kafka.unavailable";
/// A request or a delivery has timed out.
pub const TIMEOUT: &str = "kafka.timeout";
/// The broker denies access, or the credentials are wrong.
pub const AUTH: &str = "kafka.auth";
/// librdkafka refuses a setting.
pub const CONFIG: &str = "kafka.config";
/// A topic or partition does not exist (any more).
pub const UNKNOWN_TOPIC: &str = "kafka.unknown_topic";
/// A topic that a command was given does not exist.
pub const NOT_FOUND: &str = "kafka.not_found";
/// The broker cannot create a topic as configured.
pub const TOPIC_REFUSED: &str = "kafka.topic_refused";
/// A topic is compacted although its updates are partial.
pub const COMPACTED_TOPIC: &str = "kafka.compacted_topic";
/// A topic that keeps the newest record of each key is not compacted.
pub const NOT_COMPACTED: &str = "kafka.not_compacted";
/// The end of a topic was not reached in time: a transaction is probably open.
pub const END_NOT_REACHED: &str = "kafka.end_not_reached";
/// A record is larger than the client or the topic accepts.
pub const RECORD_TOO_LARGE: &str = "kafka.record_too_large";
/// The broker refuses a record by itself, for another reason than its size.
pub const RECORD_REFUSED: &str = "kafka.record_refused";
/// The producer's queue is full.
pub const QUEUE_FULL: &str = "kafka.queue_full";
/// The producer could not continue and was, or is to be, replaced by a fresh one.
pub const PRODUCER_RENEWED: &str = "kafka.producer_renewed";
/// Another instance of the task has taken over.
pub const FENCED: &str = "kafka.fenced";
/// A call to librdkafka does not return.
pub const NO_PROGRESS: &str = "kafka.no_progress";
/// A stored position cannot be read.
pub const POSITION_UNREADABLE: &str = "kafka.position_unreadable";
/// A partition no longer has the offset to read from, or does not have it yet.
pub const OFFSET_OUT_OF_RANGE: &str = "kafka.offset_out_of_range";
/// Retention has deleted records before the sink has stored them.
pub const RETENTION_GAP: &str = "kafka.retention_gap";
/// A topic ends before the stored offset, or has other records: it was truncated or re-created.
pub const TRUNCATED_OR_RECREATED: &str = "kafka.truncated_or_recreated";
/// A topic was deleted and re-created while it was read; its records are compared with the applied ones.
pub const TOPIC_RECREATED: &str = "kafka.topic_recreated";
/// The broker that leads a partition does not answer.
pub const LEADER_UNREACHABLE: &str = "kafka.leader_unreachable";
/// The consumer group has offsets of another program, which are not overwritten.
pub const GROUP_TAKEN: &str = "kafka.group_taken";
/// The record that was stored last is not in the topic any more, and nothing explains why.
pub const ANCHOR_MISSING: &str = "kafka.anchor_missing";

/// A blocking call has panicked.
pub(crate) const PANIC: &str = "internal.panic";
