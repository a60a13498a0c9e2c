//! A compacted topic as a map: read to its end, then followed.
//!
//! Only committed records are seen, in the order of each partition; the caller folds them, the last record of a key
//! wins, and a record without a value removes its key. Source positions are kept this way.
//!
//! A reader is complete in the sense of `committed.rs`. A caller that fences an older writer does so before it reads:
//! the fence settles the writer's open transaction.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rdkafka::{
    Message as _, Offset,
    consumer::{BaseConsumer, StreamConsumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use tokio::time::Instant;
use towpath_api::{Error, ErrorType, Result};

use super::{
    client::{KafkaSettings, refused_settings},
    codes,
    committed::{self, QuietAtEnd, end_not_reached, failed},
    topics::{self, Admin},
};

/// The maximum time for reading a topic to its end.
pub const END_TIMEOUT: Duration = Duration::from_secs(30);

pub struct CompactedTopic {
    kafka: KafkaSettings,
    name: Arc<str>,
    partitions: i32,
    replication: Option<i32>,
    admin: Arc<Admin>,
}

/// A record of a compacted topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition within the topic.
    pub partition: i32,
    /// Empty if the record has none, which the broker allows only before the topic is compacted.
    pub key: Vec<u8>,
    /// `None` removes the key.
    pub value: Option<Vec<u8>>,
}

impl CompactedTopic {
    /// `partitions` and `replication` matter when the topic is created; a replication of `None` is the broker's
    /// default. Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(kafka: &KafkaSettings, name: &str, partitions: i32, replication: Option<i32>) -> Result<Self> {
        let admin = Arc::new(kafka.client(&format!("{name}-admin")).create().map_err(refused_settings)?);
        Ok(Self { kafka: kafka.clone(), name: name.into(), partitions, replication, admin })
    }

    /// Creates the topic if it is absent.
    ///
    /// # Errors
    /// Retry while no broker answers. Fatal [`codes::NOT_COMPACTED`] when the topic exists and is not compacted; fatal
    /// [`codes::TOPIC_REFUSED`] when the broker cannot create such a topic.
    pub async fn ensure(&self) -> Result<()> {
        topics::ensure_compacted(&self.admin, &self.name, self.partitions, self.replication).await
    }

    /// The partitions that the topic has, in ascending order.
    ///
    /// # Errors
    /// Retry while no broker answers, or the topic does not exist.
    pub async fn partitions(&self) -> Result<Vec<i32>> {
        let found = topics::partitions_of(&self.admin, &self.name).await?;
        if found.is_empty() {
            let doing = format!("list the partitions of topic `{}`", self.name);
            return Err(Error::retry(codes::UNKNOWN_TOPIC, ErrorType::NotFound, doing));
        }
        Ok(found)
    }

    /// Opens a reader at the beginning of the topic. Connects in the background.
    ///
    /// # Errors
    /// Retry while no broker answers; fatal when librdkafka refuses a setting.
    pub async fn reader(&self) -> Result<Reader> {
        let client =
            |isolation: &str, role: &str| committed::settings(&self.kafka, &format!("{}-{role}", self.name), isolation);
        let watermarks = client("read_uncommitted", "watermarks").create().map_err(refused_settings)?;
        let records = client("read_committed", "reader").create_with_context(QuietAtEnd).map_err(refused_settings)?;
        Ok(Reader {
            topic: Arc::clone(&self.name),
            partitions: self.partitions().await?,
            watermarks: Arc::new(watermarks),
            records: Arc::new(records),
        })
    }
}

/// Reads a compacted topic: first [`read_to_end`](Self::read_to_end), once, then [`next`](Self::next).
pub struct Reader {
    topic: Arc<str>,
    partitions: Vec<i32>,
    /// Reads uncommitted, so that it sees the true high watermark.
    watermarks: Arc<BaseConsumer>,
    records: Arc<StreamConsumer<QuietAtEnd>>,
}

impl Reader {
    /// Passes to `fold` every committed record that is in the topic when the call begins, and perhaps later ones.
    ///
    /// # Errors
    /// Retry while no broker answers. Retry [`codes::END_NOT_REACHED`] when the end is not reached within `limit`;
    /// `fold` may have seen some of the records then.
    ///
    /// # Cancel safety
    /// Not safe: open a fresh reader after the future was dropped.
    pub async fn read_to_end(&mut self, limit: Duration, mut fold: impl FnMut(Record) + Send) -> Result<()> {
        let deadline = Instant::now() + limit;
        let ends = committed::watermarks(&self.watermarks, &self.topic, &self.partitions).await?;
        committed::wait_until_stable(&self.records, &self.topic, &ends, limit, deadline).await?;
        let starts = self.partitions.iter().map(|partition| (*partition, Offset::Beginning));
        committed::assign(&*self.records, &self.topic, starts)?;
        let mut behind: BTreeSet<i32> = self.partitions.iter().copied().collect();
        while !behind.is_empty() {
            let Ok(received) = tokio::time::timeout_at(deadline, self.records.recv()).await else {
                let partition = behind.first().copied().unwrap_or_default();
                return Err(end_not_reached(&self.topic, partition, limit));
            };
            match received {
                Ok(message) => fold(record(&message)),
                Err(KafkaError::PartitionEOF(partition)) => {
                    behind.remove(&partition);
                }
                Err(error) => return Err(failed(&self.topic, error)),
            }
        }
        Ok(())
    }

    /// Waits for the next committed record.
    ///
    /// # Errors
    /// Retry: open a fresh reader and read it to its end.
    ///
    /// # Cancel safety
    /// Safe: a record is returned or stays in the queue.
    pub async fn next(&mut self) -> Result<Record> {
        loop {
            match self.records.recv().await {
                Ok(message) => return Ok(record(&message)),
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => return Err(failed(&self.topic, error)),
            }
        }
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: message.partition(),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
