//! Shows progress in the consumer group of a sink, `connect-<connector>`.
//!
//! A sink of Kafka Connect with this connector's name has the same group, and reads its offsets back. So each of our
//! commits is marked, and an offset without the mark is never overwritten.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::KafkaError,
    topic_partition_list::TopicPartitionListElem,
};
use towpath_api::TopicPartition;

use super::{codes, reading_client::Context};

/// The metadata of our commits.
const MARK: &str = "towpath";
const TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between looks at an offset that another program has committed.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The group of one sink task.
#[derive(Default)]
pub(super) struct Group {
    /// Partitions with an offset of another program, and the time at which it was last seen.
    foreign: Mutex<HashMap<TopicPartition, Instant>>,
}

impl Group {
    /// Commits offsets, except where the group has another program's offset. Blocks for some seconds at most. Returns
    /// the offsets that are known to be committed.
    pub(super) fn commit(
        &self,
        consumer: &StreamConsumer<Context>,
        offsets: Vec<(TopicPartition, i64)>,
    ) -> Vec<(TopicPartition, i64)> {
        let mut by_topic: BTreeMap<Arc<str>, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for (partition, offset) in offsets {
            if !self.was_foreign(&partition) {
                by_topic.entry(Arc::clone(&partition.topic)).or_default().push((partition, offset));
            }
        }
        let mut committed = Vec::new();
        // A topic that is deleted meanwhile fails its own commit only.
        for offsets in by_topic.into_values() {
            match self.commit_topic(consumer, offsets) {
                Ok(done) => committed.extend(done),
                Err(error) => {
                    tracing::debug!(%error, "the group's offsets were not updated; only the store's offsets count");
                }
            }
        }
        committed
    }

    fn commit_topic(
        &self,
        consumer: &StreamConsumer<Context>,
        mut offsets: Vec<(TopicPartition, i64)>,
    ) -> Result<Vec<(TopicPartition, i64)>, KafkaError> {
        let mut asked = TopicPartitionList::with_capacity(offsets.len());
        for (partition, _) in &offsets {
            asked.add_partition(&partition.topic, partition.partition);
        }
        let present = consumer.committed_offsets(asked, TIMEOUT)?;
        for element in present.elements() {
            element.error()?;
            if is_foreign(&element) {
                self.note_foreign(element.topic(), element.partition());
            }
        }
        offsets.retain(|(partition, _)| !self.was_foreign(partition));
        if offsets.is_empty() {
            return Ok(offsets);
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in &offsets {
            let mut element = list.add_partition(&partition.topic, partition.partition);
            element.set_offset(Offset::Offset(*offset))?;
            element.set_metadata(MARK);
        }
        consumer.commit(&list, CommitMode::Sync)?;
        Ok(offsets)
    }

    fn was_foreign(&self, partition: &TopicPartition) -> bool {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = foreign.get(partition).map(Instant::elapsed);
        if seen.is_some_and(|seen| seen > LOOK_AGAIN) {
            foreign.remove(partition);
        }
        seen.is_some_and(|seen| seen <= LOOK_AGAIN)
    }

    fn note_foreign(&self, topic: &str, partition: i32) {
        tracing::warn!(
            topic,
            partition,
            code = codes::GROUP_TAKEN,
            help = "if no Kafka Connect sink of this name is to go on from these offsets, delete them with \
                    `kafka-consumer-groups.sh --delete-offsets`, or give this connector another name",
            "the consumer group has an offset of {topic}[{partition}] that another program has committed; it stays, \
             and the group does not show this connector's progress. The connector reads on: only the store's offset \
             counts"
        );
        let partition = TopicPartition { topic: topic.into(), partition };
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, Instant::now());
    }
}

/// Returns true if another program has committed this offset.
fn is_foreign(element: &TopicPartitionListElem<'_>) -> bool {
    // The client panics if the metadata is not UTF-8; ours is.
    matches!(element.offset(), Offset::Offset(_))
        && catch_unwind(AssertUnwindSafe(|| element.metadata() == MARK)).map_or(true, |is_ours| !is_ours)
}
