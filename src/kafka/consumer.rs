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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::AdminClient,
    client::DefaultClientContext,
    consumer::{Consumer as _, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use towpath_api::{Beginning, Error, ErrorType, Result, TopicPartition};

use super::{
    client::{blocking, refused_settings, unavailable},
    codes,
    group::Group,
    incarnation::{Incarnation, Incarnations},
    reading_client::{Context, ReadingClient},
    topics,
    witness::Witness,
};
pub use super::{
    reach::{End, Unreachable},
    share::is_mine,
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

/// The clients of a sink task. Cheap to clone.
#[derive(Clone)]
pub struct TopicConsumer {
    clients: Arc<Clients>,
}

struct Clients {
    /// For the rare request that needs a client with other settings.
    settings: ClientConfig,
    reading: ClientConfig,
    incarnations: Arc<Incarnations>,
    /// The client of the other topics. Replaced when it is lost.
    first: Mutex<Arc<ReadingClient>>,
    /// The clients of topics that were re-created. A client that knew the topic before ignores a leader epoch that is
    /// smaller than that of the earlier topic, and would never read the new one.
    renewed: Mutex<HashMap<Arc<str>, Renewed>>,
    /// The incarnation of a topic that the stored offset of a partition was last recognized in.
    recognized: Mutex<HashMap<TopicPartition, Incarnation>>,
    witness: Witness,
    group: Group,
}

/// A client, and the incarnation of the topic that it was made for.
type Renewed = (Incarnation, Arc<ReadingClient>);

impl TopicConsumer {
    /// `settings` are those that all clients share. Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(settings: ClientConfig, connector: &str) -> Result<Self> {
        let mut reading = settings.clone();
        reading
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
        let incarnations = Arc::new(Incarnations::default());
        let first = ReadingClient::new(reading.clone(), Arc::clone(&incarnations))?;
        let clients = Clients {
            settings,
            witness: Witness::new(reading.clone()),
            reading,
            incarnations,
            first: Mutex::new(first),
            renewed: Mutex::default(),
            recognized: Mutex::default(),
            group: Group::default(),
        };
        Ok(Self { clients: Arc::new(clients) })
    }

    /// All partitions of the selected topics, in order.
    ///
    /// # Errors
    /// Retry while no broker answers.
    pub async fn partitions(&self, selection: &Selection) -> Result<Vec<TopicPartition>> {
        let first = self.clients.first()?;
        let fetched = ask(&first, "list the topics", |consumer| consumer.fetch_metadata(None, METADATA_TIMEOUT));
        let metadata = fetched.await?;
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
        ask(&self.client(&partition.topic)?, &doing, move |consumer| {
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
        let admin: AdminClient<DefaultClientContext> = self.clients.settings.create().map_err(refused_settings)?;
        Ok(topics::is_compaction(&topics::cleanup_policy(&admin, topic).await?))
    }

    /// Starts to read `partition` at `offset`.
    ///
    /// # Errors
    /// Retry when the client refuses the partition, as it does while it shuts down.
    pub fn open(&self, partition: &TopicPartition, offset: i64) -> Result<PartitionReader> {
        let doing = || format!("read {partition} from offset {offset}");
        let client = self.client(&partition.topic)?;
        client.handle_events();
        let incarnation = client.incarnations().of(&partition.topic);
        // Split before the partition is assigned, so that no record goes to the common queue.
        let queue = client
            .consumer()
            .split_partition_queue(&partition.topic, partition.partition)
            .ok_or_else(|| Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing()))?;
        let mut assignment = TopicPartitionList::with_capacity(1);
        assignment
            .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))
            .and_then(|()| client.consumer().incremental_assign(&assignment))
            .map_err(|error| unavailable(doing(), error))?;
        Ok(PartitionReader { queue, partition: partition.clone(), client, incarnation })
    }

    /// The client that reads a topic.
    fn client(&self, topic: &Arc<str>) -> Result<Arc<ReadingClient>> {
        let Clients { incarnations, renewed, reading, .. } = &*self.clients;
        let incarnation = incarnations.of(topic);
        if incarnation == Incarnation::default() {
            return self.clients.first();
        }
        let mut renewed = lock(renewed);
        if let Some((_, client)) = renewed.get(topic).filter(|(of, client)| *of == incarnation && !client.is_lost()) {
            return Ok(Arc::clone(client));
        }
        let client = ReadingClient::new(reading.clone(), Arc::clone(incarnations))?;
        renewed.insert(Arc::clone(topic), (incarnation, Arc::clone(&client)));
        Ok(client)
    }

    /// Returns true unless the topic was re-created since the stored offset was last recognized in it.
    pub fn is_recognized(&self, reader: &PartitionReader) -> bool {
        lock(&self.clients.recognized).get(&reader.partition).is_none_or(|known| *known == reader.incarnation)
    }

    /// Notes that the stored offset belongs to the topic that `reader` reads.
    pub fn recognize(&self, reader: &PartitionReader) {
        lock(&self.clients.recognized).insert(reader.partition.clone(), reader.incarnation);
    }

    /// Forgets the topic that the stored offset was from: somebody has set another offset.
    pub fn forget(&self, partition: &TopicPartition) {
        lock(&self.clients.recognized).remove(partition);
    }

    /// The end of the partition, a few seconds old at most; `None` while its leader does not answer.
    pub fn end(&self, partition: &TopicPartition) -> Option<End> {
        self.client(&partition.topic).ok()?.reach().end(partition)
    }

    /// The trouble with the leader of a partition that waits for records.
    pub fn unreachable(&self, partition: &TopicPartition) -> Option<Unreachable> {
        self.client(&partition.topic).ok()?.reach().unreachable(partition)
    }

    /// The end of the partition, if the topic has no record from `from` up to there that can be read: only transaction
    /// markers and aborted records.
    ///
    /// # Errors
    /// Retry while the broker does not answer.
    pub async fn empty_until(&self, partition: &TopicPartition, from: i64) -> Result<Option<i64>> {
        // Asked first: the reader then sees at least this much.
        let end = self.range(partition).await?.end;
        if end <= from {
            return Ok(None);
        }
        let is_empty = self.clients.witness.finds_nothing(partition, from, end).await?;
        Ok(is_empty.then_some(end))
    }

    /// Commits stored offsets to the group, for tools that show its lag. Returns the partitions whose offsets are
    /// known to be committed. A failure has no other effect.
    pub async fn show_progress(&self, offsets: Vec<(TopicPartition, i64)>) -> Vec<(TopicPartition, i64)> {
        let clients = Arc::clone(&self.clients);
        let Ok(first) = clients.first() else { return Vec::new() };
        let committed = tokio::task::spawn_blocking(move || clients.group.commit(first.consumer(), offsets));
        committed.await.unwrap_or_default()
    }
}

impl Clients {
    /// The client of the topics that were not re-created; a fresh client if the earlier one is lost.
    fn first(&self) -> Result<Arc<ReadingClient>> {
        let mut first = lock(&self.first);
        if first.is_lost() {
            *first = ReadingClient::new(self.reading.clone(), Arc::clone(&self.incarnations))?;
        }
        Ok(Arc::clone(&first))
    }
}

/// Makes a blocking request.
async fn ask<T: Send + 'static>(
    client: &Arc<ReadingClient>,
    doing: &str,
    request: impl FnOnce(&StreamConsumer<Context>) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T> {
    let client = Arc::clone(client);
    blocking(doing, move || request(client.consumer())).await
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one partition until it is dropped.
pub struct PartitionReader {
    queue: StreamPartitionQueue<Context>,
    partition: TopicPartition,
    client: Arc<ReadingClient>,
    incarnation: Incarnation,
}

impl PartitionReader {
    /// Returns true if all records that were returned until now are of the topic that the reader was opened for: the
    /// topic was not re-created meanwhile.
    pub fn is_of_the_same_topic(&self) -> bool {
        // The client reports the new topic before it fetches from it.
        self.client.handle_events();
        self.client.incarnations().of(&self.partition.topic) == self.incarnation
    }

    /// Waits until the topic is re-created.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn topic_recreated(&self) {
        let incarnations = self.client.incarnations();
        let mut changes = incarnations.changes();
        while incarnations.of(&self.partition.topic) == self.incarnation {
            // The sender lives as long as the client.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for the next record.
    ///
    /// # Errors
    /// Fatal [`codes::OFFSET_OUT_OF_RANGE`] when the partition does not have the offset (any more); retry for all other
    /// errors.
    ///
    /// # Cancel safety
    /// Safe: a record is returned or stays in the queue.
    pub async fn next(&self) -> Result<BorrowedMessage<'_>> {
        tokio::select! {
            biased;
            message = self.queue.recv() => message.map_err(|error| self.explain(error)),
            () = self.client.reach().lost().cancelled() => {
                let doing = format!("read {}: the client has lost all brokers, and is replaced", self.partition);
                Err(Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing))
            }
        }
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
        let _ = self.client.consumer().incremental_unassign(&assignment);
    }
}
