//! Reads partitions for one sink task, each from the offset that the sink names.
//!
//! Partitions are assigned by hand and not by a consumer group: names and numbers alone decide which task reads a
//! partition ([`is_mine`]), and the store fences a zombie. So a restart waits for no session timeout. The group
//! `connect-<connector>` only receives offsets, so that every Kafka tool shows the lag; they are never read back.
//!
//! Each partition has its own queue: a partition that is not read does not delay the others, and keeps its prefetched
//! records.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList,
    admin::AdminClient,
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use towpath_api::{Beginning, Error, ErrorType, Result, TopicPartition};

pub use super::share::is_mine;
use super::{
    client::{blocking, refused_settings, unavailable},
    codes, topics,
};
use crate::config::Selection;

const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// The amount that librdkafka prefetches of one partition, besides the fetch in flight (1 MiB).
const PREFETCH_KIB: u32 = 1_024;

/// The offsets that a partition has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRange {
    /// The first offset, and the cluster of the partition.
    pub beginning: Beginning,
    /// The offset of the next committed record.
    pub end: i64,
}

/// The last known end of each partition, from librdkafka's statistics.
type Ends = Mutex<HashMap<TopicPartition, i64>>;

#[derive(Debug, Default)]
struct Context {
    ends: Ends,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in statistics.topics {
            let name: Arc<str> = name.into();
            for (partition, known) in topic.partitions.iter().filter(|(_, known)| known.hi_offset >= 0) {
                ends.insert(TopicPartition { topic: Arc::clone(&name), partition: *partition }, known.hi_offset);
            }
        }
    }
}

impl ConsumerContext for Context {}

/// The client of a sink task. Cheap to clone.
#[derive(Clone)]
pub struct TopicConsumer {
    consumer: Arc<StreamConsumer<Context>>,
    /// For the rare request that needs a client with other settings.
    settings: Arc<ClientConfig>,
}

impl TopicConsumer {
    /// `settings` are those that all clients share. Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(mut settings: ClientConfig, connector: &str) -> Result<Self> {
        let shared = Arc::new(settings.clone());
        settings
            .set("group.id", format!("connect-{connector}"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The stored offset decides; if it is out of range, a person has to.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("queued.max.messages.kbytes", PREFETCH_KIB.to_string())
            // The small queue fills often; the default looks at it only once a second.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", "1000");
        let consumer = settings.create_with_context::<_, StreamConsumer<Context>>(Context::default());
        let consumer = Arc::new(consumer.map_err(refused_settings)?);
        // Serves callbacks and errors of the whole client; records never come this way. Ends with the last clone.
        let main = Arc::downgrade(&consumer);
        tokio::spawn(async move {
            while let Some(consumer) = main.upgrade() {
                let event = tokio::time::timeout(Duration::from_secs(1), consumer.recv()).await;
                if let Ok(Err(error)) = event {
                    tracing::debug!(%error, "the Kafka client reports an error");
                }
            }
        });
        Ok(Self { consumer, settings: shared })
    }

    /// All partitions of the selected topics, in order.
    ///
    /// # Errors
    /// Retry while no broker answers.
    pub async fn partitions(&self, selection: &Selection) -> Result<Vec<TopicPartition>> {
        let metadata = self.ask("list the topics", |consumer| consumer.fetch_metadata(None, METADATA_TIMEOUT)).await?;
        let mut partitions: Vec<_> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && selection.includes(topic.name()))
            .flat_map(|topic| {
                let name: Arc<str> = topic.name().into();
                topic
                    .partitions()
                    .iter()
                    .map(move |partition| TopicPartition { topic: Arc::clone(&name), partition: partition.id() })
            })
            .collect();
        partitions.sort();
        Ok(partitions)
    }

    /// The offsets that the partition has, and its cluster.
    ///
    /// # Errors
    /// Retry while the broker does not answer or the partition does not exist.
    pub async fn range(&self, partition: &TopicPartition) -> Result<PartitionRange> {
        let (topic, number) = (Arc::clone(&partition.topic), partition.partition);
        let doing = format!("fetch the offsets of {partition}");
        self.ask(&doing, move |consumer| {
            let (earliest, end) = consumer.fetch_watermarks(&topic, number, METADATA_TIMEOUT)?;
            // The client caches the id.
            let cluster_id = consumer.client().fetch_cluster_id(METADATA_TIMEOUT).map(Arc::from);
            Ok(PartitionRange { beginning: Beginning { earliest, cluster_id }, end })
        })
        .await
    }

    /// Returns true if the topic is compacted, so that any of its records may be gone for good reason.
    ///
    /// # Errors
    /// Retry while the broker does not answer or denies the request.
    pub async fn is_compacted(&self, topic: &str) -> Result<bool> {
        let admin: AdminClient<DefaultClientContext> = self.settings.create().map_err(refused_settings)?;
        Ok(topics::is_compaction(&topics::cleanup_policy(&admin, topic).await?))
    }

    /// Starts to read `partition` at `offset`.
    ///
    /// # Errors
    /// Retry when the client refuses the partition, as it does while it shuts down.
    pub fn open(&self, partition: &TopicPartition, offset: i64) -> Result<PartitionReader> {
        let doing = || format!("read {partition} from offset {offset}");
        // Split before the partition is assigned, so that no record goes to the common queue.
        let queue = self
            .consumer
            .split_partition_queue(&partition.topic, partition.partition)
            .ok_or_else(|| Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing()))?;
        let mut assignment = TopicPartitionList::with_capacity(1);
        assignment
            .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.incremental_assign(&assignment))
            .map_err(|error| unavailable(doing(), error))?;
        Ok(PartitionReader { queue, partition: partition.clone(), consumer: self.clone() })
    }

    /// The end of the partition, about a second old at most; `None` until the broker first reports it.
    pub fn end(&self, partition: &TopicPartition) -> Option<i64> {
        self.consumer.context().ends.lock().unwrap_or_else(PoisonError::into_inner).get(partition).copied()
    }

    /// Commits the stored offsets to the group, for tools that show its lag. A failure is logged and has no other
    /// effect. [`CommitMode::Async`] sends in the background and does not wait.
    pub async fn show_progress(&self, offsets: Vec<(TopicPartition, i64)>, mode: CommitMode) {
        if offsets.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            // Fails only for a negative offset.
            let _ = list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset));
        }
        let committed = match mode {
            CommitMode::Async => self.consumer.commit(&list, mode),
            CommitMode::Sync => {
                let consumer = Arc::clone(&self.consumer);
                tokio::task::spawn_blocking(move || consumer.commit(&list, mode)).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = committed {
            tracing::debug!(%error, "the group's offsets were not updated; only the offsets in the store count");
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        doing: &str,
        request: impl FnOnce(&StreamConsumer<Context>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let consumer = Arc::clone(&self.consumer);
        blocking(doing, move || request(&consumer)).await
    }
}

/// Reads one partition until it is dropped.
pub struct PartitionReader {
    queue: StreamPartitionQueue<Context>,
    partition: TopicPartition,
    consumer: TopicConsumer,
}

impl PartitionReader {
    /// Waits for the next record.
    ///
    /// # Errors
    /// Fatal [`codes::OFFSET_OUT_OF_RANGE`] when the partition does not have the offset (any more); retry for all other
    /// errors.
    ///
    /// # Cancel safety
    /// Safe: a record is returned or stays in the queue.
    pub async fn next(&self) -> Result<BorrowedMessage<'_>> {
        self.queue.recv().await.map_err(|error| self.explain(error))
    }

    /// The next record, if it is prefetched.
    ///
    /// # Errors
    /// As for [`PartitionReader::next`].
    pub fn next_if_here(&self) -> Option<Result<BorrowedMessage<'_>>> {
        use futures::FutureExt as _;
        self.next().now_or_never()
    }

    fn explain(&self, error: KafkaError) -> Error {
        let doing = format!("read {}", self.partition);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => Error::fatal(
                codes::OFFSET_OUT_OF_RANGE,
                ErrorType::NotFound,
                format!("{doing}: the topic no longer has the stored offset"),
            )
            .because(error),
            _ => unavailable(doing, error),
        }
    }
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        let mut assignment = TopicPartitionList::with_capacity(1);
        assignment.add_partition(&self.partition.topic, self.partition.partition);
        // Fails only if the partition is not assigned.
        let _ = self.consumer.consumer.incremental_unassign(&assignment);
    }
}
