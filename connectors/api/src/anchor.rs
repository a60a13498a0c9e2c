//! Recognizes the topic and the cluster that a stored offset is from.

use std::sync::Arc;

use crate::{Error, ErrorType, Result, TopicPartition};

/// The topic is in another Kafka cluster than the one that the stored offset is from.
pub const OTHER_CLUSTER: &str = "kafka.other_cluster";

/// The last record of a batch, by which its topic is recognized: an offset alone does not distinguish a topic from a
/// re-created topic of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The offset of the record.
    pub offset: i64,
    /// SHA-256 of key, value and timestamp, computed by the worker. Opaque to a store.
    pub hash: [u8; 32],
}

/// The facts about a partition that a claim needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The first offset that the partition still has. A partition that was never claimed begins there.
    pub earliest: i64,
    /// The id of the Kafka cluster; `None` if the brokers do not report an id.
    pub cluster_id: Option<Arc<str>>,
}

impl Beginning {
    /// Compares the cluster with `stored`, the id of the cluster that the stored offset is from.
    ///
    /// # Errors
    /// Fatal [`OTHER_CLUSTER`] if both ids are known and differ: the same offset is then another record.
    pub fn refuse_other_cluster(&self, partition: &TopicPartition, stored: Option<&str>) -> Result<()> {
        match (self.cluster_id.as_deref(), stored) {
            (Some(here), Some(stored)) if here != stored => Err(Error::fatal(
                OTHER_CLUSTER,
                ErrorType::Conflict,
                format!(
                    "claim {partition}: its stored offset is from Kafka cluster `{stored}`, and this is cluster \
                     `{here}`, where the same offset is another record; nothing was changed"
                ),
            )
            .with_help(format!(
                "correct `bootstrap.servers`; or, if the topic was copied to this cluster with its offsets, set the \
                 stored offset again with `towpath offsets set --worker worker.toml CONNECTOR.toml {0} {1} OFFSET`; \
                 or, if it is another topic, read it from its beginning with `towpath offsets set --worker worker.toml \
                 CONNECTOR.toml {0} {1} earliest --new-records` (docs/operations.md)",
                partition.topic, partition.partition
            ))),
            _ => Ok(()),
        }
    }
}
