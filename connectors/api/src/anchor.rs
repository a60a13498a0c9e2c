//! What tells that a topic is still the one whose offsets a store has.

use std::sync::Arc;

use crate::{Error, ErrorType, Result, TopicPartition};

/// The last record of a batch. Offsets alone say nothing of a topic that was deleted and made anew; a record that lies
/// where it was does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Its offset.
    pub offset: i64,
    /// SHA-256 over its key, its value and its timestamp, as the worker makes it. To a store these are 32 bytes.
    pub hash: [u8; 32],
}

/// What a store must know of a topic when a partition is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The first offset that the topic still has; it is where a partition begins that was never claimed.
    pub earliest: i64,
    /// The id of the Kafka cluster; `None` where the brokers tell none.
    pub cluster_id: Option<Arc<str>>,
}

impl Beginning {
    /// Compares the cluster with `stored`, the one that the store has the partition from.
    ///
    /// # Errors
    /// Fatal `kafka.other_cluster` when both are known and differ: the same offset is then another record.
    pub fn refuse_other_cluster(&self, partition: &TopicPartition, stored: Option<&str>) -> Result<()> {
        match (self.cluster_id.as_deref(), stored) {
            (Some(here), Some(stored)) if here != stored => Err(Error::fatal(
                "kafka.other_cluster",
                ErrorType::Conflict,
                format!(
                    "claim {partition}: its stored offset is from Kafka cluster `{stored}`, and this is cluster \
                     `{here}`, where the same offset is another record; nothing was changed"
                ),
            )
            .with_help(format!(
                "correct `bootstrap.servers`; or, if the topic was copied to this cluster, run `towpath offsets set \
                 --worker worker.toml CONNECTOR.toml {} {} OFFSET` (docs/operations.md)",
                partition.topic, partition.partition
            ))),
            _ => Ok(()),
        }
    }
}
