//! A compacted topic as a map: read to its end, then followed.
//!
//! Only committed records are seen, in the order of each partition; the caller folds them, the last record of a key
//! wins, and a record without a value removes its key. Source positions are kept this way.
//!
//! **The end.** A reader is complete when it has passed every record that was in the topic when [`Reader::read_to_end`]
//! began. The end-of-partition event alone does not prove that: for a committed read it fires at the last stable
//! offset, which an open transaction of any producer holds back while later records are committed. So the high
//! watermark is fetched first, by a client that reads uncommitted records; then the last stable offset has to reach it;
//! and only then the fetch begins, so that its end-of-partition event is at or after the high watermark. A caller
//! that fences an older writer does so before it reads: the fence settles the writer's open transaction.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::time::Instant;
use towpath_api::{Error, ErrorType, Result};

use super::{
    client::{KafkaSettings, blocking, code, refused_settings, unavailable},
    codes,
    topics::{self, Admin},
};

/// The maximum time for reading a topic to its end.
pub const END_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between polls of the last stable offset.
const PAUSE: Duration = Duration::from_millis(20);

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
        let client = |isolation: &str, role: &str| {
            let mut settings = self.kafka.client(&format!("{}-{role}", self.name));
            settings
                // librdkafka assigns partitions only with a group; it is never joined and never has offsets.
                .set("group.id", format!("towpath-{}", self.kafka.group()))
                .set("enable.auto.commit", "false")
                .set("enable.auto.offset.store", "false")
                // Records that vanish under the reader fail it; they are not skipped.
                .set("auto.offset.reset", "error")
                .set("check.crcs", "true")
                .set("enable.partition.eof", "true")
                .set("fetch.wait.max.ms", "100")
                .set("isolation.level", isolation);
            settings
        };
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

/// Logs the errors of a client, but not the end of a partition, which rdkafka takes for one.
struct QuietAtEnd;

impl ClientContext for QuietAtEnd {
    fn error(&self, error: KafkaError, reason: &str) {
        if code(&error) == Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::trace!(%error, "{reason}");
        } else {
            tracing::error!(target: "rdkafka::client", %error, "{reason}");
        }
    }
}

impl ConsumerContext for QuietAtEnd {}

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
        let ends = self.high_watermarks().await?;
        self.wait_until_stable(&ends, limit, deadline).await?;
        self.assign()?;
        let mut behind: BTreeSet<i32> = self.partitions.iter().copied().collect();
        while !behind.is_empty() {
            let Ok(received) = tokio::time::timeout_at(deadline, self.records.recv()).await else {
                let partition = behind.first().copied().unwrap_or_default();
                return Err(self.end_not_reached(partition, limit));
            };
            match received {
                Ok(message) => fold(record(&message)),
                Err(KafkaError::PartitionEOF(partition)) => {
                    behind.remove(&partition);
                }
                Err(error) => return Err(self.failed(error)),
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
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// The high watermark of each partition, in the order of `self.partitions`.
    async fn high_watermarks(&self) -> Result<Vec<i64>> {
        let (consumer, topic, partitions) =
            (Arc::clone(&self.watermarks), Arc::clone(&self.topic), self.partitions.clone());
        let doing = format!("fetch the high watermarks of topic `{}`", self.topic);
        blocking(&doing, move || {
            let end = |partition: &i32| Ok(consumer.fetch_watermarks(&topic, *partition, REQUEST_TIMEOUT)?.1);
            partitions.iter().map(end).collect()
        })
        .await
    }

    /// Waits until the last stable offset of each partition has reached `ends`.
    async fn wait_until_stable(&self, ends: &[i64], limit: Duration, deadline: Instant) -> Result<()> {
        let doing = format!("fetch the last stable offsets of topic `{}`", self.topic);
        for (partition, end) in self.partitions.iter().copied().zip(ends.iter().copied()) {
            loop {
                let (consumer, topic) = (Arc::clone(&self.records), Arc::clone(&self.topic));
                // For a client that reads committed records, this is the last stable offset.
                let stable =
                    blocking(&doing, move || Ok(consumer.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT)?.1));
                if stable.await? >= end {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(self.end_not_reached(partition, limit));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    fn assign(&self) -> Result<()> {
        let mut assignment = TopicPartitionList::with_capacity(self.partitions.len());
        let added = self
            .partitions
            .iter()
            .try_for_each(|partition| assignment.add_partition_offset(&self.topic, *partition, Offset::Beginning));
        added.and_then(|()| self.records.assign(&assignment)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: KafkaError) -> Error {
        unavailable(format!("read topic `{}`", self.topic), error)
    }

    fn end_not_reached(&self, partition: i32, limit: Duration) -> Error {
        let doing = format!(
            "read topic `{0}` to its end within {limit:?}: a transaction in {0}[{partition}] is probably still open",
            self.topic
        );
        Error::retry(codes::END_NOT_REACHED, ErrorType::Timeout, doing).with_help(format!(
            "find the producer with `kafka-transactions.sh find-hanging` or `describe-producers --topic {} --partition \
             {partition}`; a producer that has died is aborted at its transaction.timeout.ms",
            self.topic
        ))
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: message.partition(),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
