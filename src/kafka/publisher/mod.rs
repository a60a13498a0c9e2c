//! Publishes events: encodes them, produces them into topics, and returns once the broker has them for good.
//!
//! There are two ways out of a source, and they share routes, encoding and checks (`Router`, `Outgoing`):
//!
//! * [`KafkaPublisher`] for sources without a position: many calls at once, an idempotent producer, no transactions.
//! * [`KafkaJournal`] for a source task with a position: one call at a time, events and position in one transaction.

mod broker_limits;
mod deliveries;
mod journal;
mod lane;
mod metrics;
mod outgoing;
mod position;
pub(super) mod producer;
mod published;
pub(super) mod refusal;
mod request;
mod route;
pub(super) mod settings;
mod shared;
mod stuck;
mod transaction;
mod watchdog;

pub use self::{
    broker_limits::BrokerLimits,
    journal::{JournalSettings, KafkaJournal, transactional_id},
    metrics::SourceMetrics,
    shared::KafkaPublisher,
};
use self::{outgoing::Outgoing, route::Router};

/// The header of W3C trace context.
pub const TRACE_HEADER: &str = "traceparent";

/// The topics of a source's events.
#[derive(Debug, Clone)]
pub struct TopicSettings {
    /// The topic of object `o` is `<prefix>.o`.
    pub prefix: String,
    /// Partitions of a topic that is created.
    pub partitions: i32,
    /// Replicas of a topic that is created; `None` is the broker's default.
    pub replication: Option<i32>,
}

/// The compacted topic with the positions of source tasks.
#[derive(Debug, Clone)]
pub struct OffsetStorage {
    pub topic: String,
    /// Partitions, if the topic is created.
    pub partitions: i32,
    /// Replicas, if the topic is created; `None` is the broker's default.
    pub replication: Option<i32>,
}
