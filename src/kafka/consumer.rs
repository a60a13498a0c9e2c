//! Reads partitions for one sink task, each from the offset that the sink says.
//!
//! Partitions are assigned by hand and never by a consumer group: which task reads what follows from names and numbers
//! alone ([`is_mine`]), and a zombie is fenced where it would do harm, in the store. So a restart waits for no session
//! to time out. The group `connect-<connector>` only receives offsets, so that every Kafka tool shows the lag; it is
//! never read back.
//!
//! Each partition has a queue of its own: one that is not read holds no other up, and what is prefetched stays.

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

use super::{
    client::{refused_settings, unavailable},
    topics,
};

/// How long a question to the broker may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// What librdkafka may prefetch of one partition, besides the fetch that is under way (1 MiB).
const PREFETCH_KIB: u32 = 1_024;

/// Which topics a sink reads.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Those of these names.
    Names(Vec<String>),
    /// Those whose whole name the expression matches; new ones are found as they appear. Made by
    /// [`Selection::pattern`].
    Pattern(regex::Regex),
}

impl Selection {
    /// Selects by an expression for the whole name.
    ///
    /// # Errors
    /// The text is no regular expression.
    pub fn pattern(expression: &str) -> Result<Self, regex::Error> {
        regex::Regex::new(&format!("^(?:{expression})$")).map(Self::Pattern)
    }

    /// The names, where topics are selected so.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            Self::Pattern(_) => &[],
        }
    }

    /// Whether a topic of this name is read.
    pub fn includes(&self, topic: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == topic),
            Self::Pattern(pattern) => pattern.is_match(topic),
        }
    }
}

/// Whether task `task` of `tasks` reads `partition`. The partitions of one topic go round the tasks, starting at one
/// that the topic's name decides; a new topic or partition moves no other.
pub fn is_mine(partition: &TopicPartition, task: u32, tasks: u32) -> bool {
    // FNV-1a: stable across builds and machines, which the standard hasher is not.
    let hash =
        partition.topic.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let number = u32::try_from(partition.partition).unwrap_or(0);
    (hash % tasks + number % tasks) % tasks == task
}

/// What a partition has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRange {
    /// Its first offset, and the cluster that it lies in.
    pub beginning: Beginning,
    /// The offset behind its last.
    pub end: i64,
}

/// The end of each partition as the broker last told it, written by librdkafka's statistics.
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

/// One client of a sink task. Cheap to clone.
#[derive(Clone)]
pub struct TopicConsumer {
    consumer: Arc<StreamConsumer<Context>>,
    /// What all clients share, for a question that is asked once in a long while.
    settings: Arc<ClientConfig>,
}

impl TopicConsumer {
    /// Makes the client for connector `connector` from the settings that all clients share. Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(mut settings: ClientConfig, connector: &str) -> Result<Self> {
        let shared = Arc::new(settings.clone());
        settings
            .set("group.id", format!("connect-{connector}"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The stored offset decides; where it is out of range a person has to.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("queued.max.messages.kbytes", PREFETCH_KIB.to_string())
            // The small queue fills often; it must not be looked at once a second only.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", "1000");
        let consumer = settings.create_with_context::<_, StreamConsumer<Context>>(Context::default());
        let consumer = Arc::new(consumer.map_err(refused_settings)?);
        // Serves callbacks and collects errors of the client as a whole; records never come this way. Ends with the
        // last clone.
        let main = Arc::downgrade(&consumer);
        tokio::spawn(async move {
            while let Some(consumer) = main.upgrade() {
                let event = tokio::time::timeout(Duration::from_secs(1), consumer.recv()).await;
                if let Ok(Err(error)) = event {
                    tracing::debug!(%error, "the Kafka client reports");
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

    /// What the partition has, and in which cluster.
    ///
    /// # Errors
    /// Retry while the broker does not answer or the partition is not there.
    pub async fn range(&self, partition: &TopicPartition) -> Result<PartitionRange> {
        let (topic, number) = (Arc::clone(&partition.topic), partition.partition);
        let doing = format!("ask for the offsets of {partition}");
        self.ask(&doing, move |consumer| {
            let (earliest, end) = consumer.fetch_watermarks(&topic, number, METADATA_TIMEOUT)?;
            // Known from the first metadata on, and kept by the client.
            let cluster_id = consumer.client().fetch_cluster_id(METADATA_TIMEOUT).map(Arc::from);
            Ok(PartitionRange { beginning: Beginning { earliest, cluster_id }, end })
        })
        .await
    }

    /// Whether the topic is compacted, so that any of its records may rightly be gone.
    ///
    /// # Errors
    /// Retry while the broker does not answer, or does not allow the question.
    pub async fn is_compacted(&self, topic: &str) -> Result<bool> {
        let admin: AdminClient<DefaultClientContext> = self.settings.create().map_err(refused_settings)?;
        Ok(topics::is_compaction(&topics::cleanup_policy(&admin, topic).await?))
    }

    /// Starts to read `partition` at `offset`.
    ///
    /// # Errors
    /// Retry when the client refuses the partition, which it does while it is torn down.
    pub fn open(&self, partition: &TopicPartition, offset: i64) -> Result<PartitionReader> {
        let doing = || format!("read {partition} from offset {offset}");
        // The queue is split off before the partition is assigned, so that no record goes to the common queue.
        let queue = self
            .consumer
            .split_partition_queue(&partition.topic, partition.partition)
            .ok_or_else(|| Error::retry("kafka.unavailable", ErrorType::Unavailable, doing()))?;
        let mut assignment = TopicPartitionList::with_capacity(1);
        assignment
            .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.incremental_assign(&assignment))
            .map_err(|error| unavailable(doing(), error))?;
        Ok(PartitionReader { queue, partition: partition.clone(), consumer: self.clone() })
    }

    /// The end of the partition as the broker told it within the last second or so; `None` until it first has.
    pub fn end(&self, partition: &TopicPartition) -> Option<i64> {
        self.consumer.context().ends.lock().unwrap_or_else(PoisonError::into_inner).get(partition).copied()
    }

    /// Tells the group how far the store is, for the tools that show its lag. A failure is logged and of no
    /// consequence.
    ///
    /// In [`CommitMode::Async`] it is sent in the background and nothing waits.
    pub async fn show_progress(&self, offsets: Vec<(TopicPartition, i64)>, mode: CommitMode) {
        if offsets.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            // Fails only for an offset that is no number of a record.
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
            tracing::debug!(%error, "the group's offsets were not updated; the stored ones are what counts");
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        doing: &str,
        question: impl FnOnce(&StreamConsumer<Context>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let consumer = Arc::clone(&self.consumer);
        match tokio::task::spawn_blocking(move || question(&consumer)).await {
            Ok(answer) => answer.map_err(|error| unavailable(doing, error)),
            Err(panic) => Err(Error::fatal("internal.panic", ErrorType::Internal, doing).because(panic)),
        }
    }
}

/// Reads one partition until it is dropped.
pub struct PartitionReader {
    queue: StreamPartitionQueue<Context>,
    partition: TopicPartition,
    consumer: TopicConsumer,
}

impl PartitionReader {
    /// The next record.
    ///
    /// # Errors
    /// Fatal when the offset is not in the partition (any more); retry for everything that the broker may recover from.
    ///
    /// # Cancel safety
    /// Safe: a record is returned or stays in the queue.
    pub async fn next(&self) -> Result<BorrowedMessage<'_>> {
        self.queue.recv().await.map_err(|error| self.explain(error))
    }

    /// The next record if it is here already.
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
                "kafka.offset_out_of_range",
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
        // It fails only when the partition is not assigned, which is what is wanted.
        let _ = self.consumer.consumer.incremental_unassign(&assignment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    #[test]
    fn each_partition_has_one_task_and_the_tasks_share_a_topic_evenly() {
        for tasks in 1..=5 {
            let mut shares = vec![0; tasks as usize];
            for number in 0..10 * i32::try_from(tasks).unwrap() {
                let owners: Vec<_> =
                    (0..tasks).filter(|task| is_mine(&partition("acme.deals", number), *task, tasks)).collect();
                assert_eq!(owners.len(), 1);
                shares[owners[0] as usize] += 1;
            }
            assert!(shares.iter().all(|share| *share == 10), "{shares:?}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        let selection = Selection::pattern(r"acme\.deals|acme\.deals2").unwrap();
        assert!(selection.includes("acme.deals") && selection.includes("acme.deals2"));
        assert!(!selection.includes("old.acme.deals"));
        assert!(!Selection::Names(vec!["a".into()]).includes("ab"));
    }
}
