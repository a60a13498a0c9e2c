//! Reads back what a source task has published: the other direction of `journal.rs`.
//!
//! A call is complete in the sense of `committed.rs`, and holds one fetch of each partition in memory, whatever the
//! size of the topic. Records that a source of ours does not write are left out with a warning.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apache_avro::Schema;
use rdkafka::{
    Message as _, Offset,
    consumer::{BaseConsumer, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::time::Instant;
use towpath_api::{Depth, EVENT_ID_HEADER, Error, ErrorType, Published, PublishedRecords, Reading, Result};

use crate::{
    avro::{
        codec::published::{PublishedDecoder, ReadBack},
        registry::{Registry, latest_record},
    },
    kafka::{
        client::{KafkaSettings, blocking, refused_settings},
        codes,
        committed::{self, QuietAtEnd, REQUEST_TIMEOUT, Watermarks},
        compacted::END_TIMEOUT,
        headers,
    },
};

/// The amount that librdkafka prefetches, besides the fetch in flight.
const PREFETCH_KIB: u32 = 8 * 1_024;
/// A partition that is read gives a record or its end within this time.
const IDLE: Duration = Duration::from_secs(30);
/// Records between two pauses in which other work of the thread runs.
const STRETCH: u32 = 256;

/// The topics of one source connector.
pub(super) struct PublishedTopics {
    kafka: KafkaSettings,
    registry: Registry,
    connector: String,
    prefix: String,
    /// Replaced after an error, by which a client may be lost (`reach.rs`).
    lookups: Mutex<Option<Arc<Lookups>>>,
}

/// Two clients that fetch no record.
struct Lookups {
    /// Its end of a partition is the last stable offset.
    committed: Arc<BaseConsumer<QuietAtEnd>>,
    /// Its end of a partition is the high watermark.
    uncommitted: Arc<BaseConsumer<QuietAtEnd>>,
}

impl PublishedTopics {
    pub(super) fn new(kafka: &KafkaSettings, registry: &Registry, connector: &str, prefix: &str) -> Self {
        let (kafka, registry, lookups) = (kafka.clone(), registry.clone(), Mutex::default());
        Self { kafka, registry, connector: connector.to_owned(), prefix: prefix.to_owned(), lookups }
    }

    fn topic(&self, object: &str) -> Arc<str> {
        format!("{}.{object}", self.prefix).into()
    }

    /// Makes requests with the shared clients.
    async fn look_up<T>(&self, requests: impl AsyncFnOnce(&Lookups) -> Result<T>) -> Result<T> {
        let lookups = self.lookups()?;
        let answer = requests(&lookups).await;
        if answer.is_err() {
            *self.lookups.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    fn lookups(&self) -> Result<Arc<Lookups>> {
        let mut known = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookups) = &*known {
            lookups.serve_events();
            return Ok(Arc::clone(lookups));
        }
        let client = |isolation: &str, role: &str| {
            let settings = committed::settings(&self.kafka, &format!("{}-{role}", self.connector), isolation);
            settings.create_with_context(QuietAtEnd).map(Arc::new).map_err(refused_settings)
        };
        let committed = client("read_committed", "ends")?;
        let lookups = Arc::new(Lookups { committed, uncommitted: client("read_uncommitted", "watermarks")? });
        *known = Some(Arc::clone(&lookups));
        Ok(lookups)
    }

    async fn read(
        &self,
        topic: &Arc<str>,
        from: &[i64],
        depth: Depth,
        each: &mut (dyn FnMut(Published) + Send),
    ) -> Result<()> {
        let ends = self.look_up(async |lookups| lookups.stable_ends(topic).await).await?;
        let parts: Vec<_> = ends.iter().filter_map(|end| Part::new(*end, from)).collect();
        if parts.is_empty() {
            return Ok(());
        }
        let mut settings =
            committed::settings(&self.kafka, &format!("{}-{topic}-reader", self.connector), "read_committed");
        settings
            // Retention may remove records after the beginning was fetched.
            .set("auto.offset.reset", "earliest")
            // The end of a partition is reported after a fetch that has waited in vain.
            .set("fetch.wait.max.ms", "10")
            .set("queued.max.messages.kbytes", PREFETCH_KIB.to_string())
            // The small queue fills often; the default looks at it only once a second.
            .set("fetch.queue.backoff.ms", "5");
        let client: StreamConsumer<QuietAtEnd> = settings.create_with_context(QuietAtEnd).map_err(refused_settings)?;
        committed::assign(&client, topic, parts.iter().map(|part| (part.partition, Offset::Offset(part.from))))?;
        let decoder = PublishedDecoder::new(self.registry.clone());
        let mut reader = TopicReader { topic, client: &client, parts, decoder, depth, foreign: Foreign::default() };
        reader.read_to_end(each).await?;
        reader.foreign.report(topic);
        Ok(())
    }
}

impl PublishedRecords for PublishedTopics {
    fn ends<'a>(&'a self, object: &'a str) -> Reading<'a, Vec<i64>> {
        Box::pin(async move {
            let topic = self.topic(object);
            self.look_up(async |lookups| {
                let partitions = lookups.partitions(&topic).await?;
                let found = committed::watermarks(&lookups.committed, &topic, &partitions).await?;
                Ok(found.into_iter().map(|watermarks| watermarks.end).collect())
            })
            .await
        })
    }

    fn read<'a>(
        &'a self,
        object: &'a str,
        from: &'a [i64],
        depth: Depth,
        each: &'a mut (dyn FnMut(Published) + Send),
    ) -> Reading<'a, ()> {
        Box::pin(async move { self.read(&self.topic(object), from, depth, each).await })
    }

    fn schema<'a>(&'a self, object: &'a str) -> Reading<'a, Option<Arc<Schema>>> {
        Box::pin(async move { latest_record(&self.registry, &self.topic(object)).await })
    }
}

impl Lookups {
    /// Takes the events that the clients have reported; nothing else waits for them.
    fn serve_events(&self) {
        for client in [&self.committed, &self.uncommitted] {
            while client.poll(Duration::ZERO).is_some() {}
        }
    }

    /// The partitions of a topic, in ascending order; none if the topic does not exist.
    async fn partitions(&self, topic: &Arc<str>) -> Result<Vec<i32>> {
        let doing = format!("list the partitions of topic `{topic}`");
        let (client, name) = (Arc::clone(&self.uncommitted), Arc::clone(topic));
        let found = blocking(&doing, move || {
            let metadata = client.fetch_metadata(Some(&name), REQUEST_TIMEOUT)?;
            let Some(topic) = metadata.topics().first() else { return Ok(Vec::new()) };
            match topic.error().map(RDKafkaErrorCode::from) {
                None => {}
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    return Ok(Vec::new());
                }
                // A topic that must not be described is not an absent topic.
                Some(code) => return Err(KafkaError::MetadataFetch(code)),
            }
            Ok(topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
        });
        let mut partitions: Vec<i32> = found.await?;
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// The beginning and the end of each partition. No open transaction hides a record before that end.
    async fn stable_ends(&self, topic: &Arc<str>) -> Result<Vec<Watermarks>> {
        let partitions = self.partitions(topic).await?;
        let ends = committed::watermarks(&self.uncommitted, topic, &partitions).await?;
        let deadline = Instant::now() + END_TIMEOUT;
        committed::wait_until_stable(&self.committed, topic, &ends, END_TIMEOUT, deadline).await?;
        Ok(ends)
    }
}

/// A partition that is not yet read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    partition: i32,
    from: i64,
    end: i64,
}

impl Part {
    /// `None` if there is nothing to read.
    fn new(Watermarks { partition, low, end }: Watermarks, from: &[i64]) -> Option<Self> {
        let asked = usize::try_from(partition).ok().and_then(|partition| from.get(partition)).copied();
        // An offset that retention has removed, or of an earlier topic of the same name.
        let from = asked.filter(|from| (low..=end).contains(from)).unwrap_or(low);
        (from < end).then_some(Self { partition, from, end })
    }
}

struct TopicReader<'a> {
    topic: &'a Arc<str>,
    client: &'a StreamConsumer<QuietAtEnd>,
    /// The partitions that are not at their end.
    parts: Vec<Part>,
    decoder: PublishedDecoder,
    depth: Depth,
    foreign: Foreign,
}

impl TopicReader<'_> {
    async fn read_to_end(&mut self, each: &mut (dyn FnMut(Published) + Send)) -> Result<()> {
        let mut stretch = 0;
        while !self.parts.is_empty() {
            let received = tokio::time::timeout(IDLE, self.client.recv()).await.map_err(|_| self.is_idle())?;
            match received {
                Ok(message) => {
                    if let Some(published) = self.take(&message).await? {
                        each(published);
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => self.is_at_end(partition),
                Err(error) => return Err(committed::failed(self.topic, error)),
            }
            stretch += 1;
            if stretch == STRETCH {
                stretch = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn is_at_end(&mut self, partition: i32) {
        self.parts.retain(|part| part.partition != partition);
    }

    /// The record in a message; `None` if it is left out.
    async fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<Option<Published>> {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(part) = self.parts.iter().find(|part| part.partition == partition) else { return Ok(None) };
        if offset + 1 >= part.end {
            let is_later = offset >= part.end;
            self.is_at_end(partition);
            if is_later {
                return Ok(None);
            }
        }
        // A tombstone follows its delete, and a record without a key is not one of ours.
        let (Some(key), Some(value)) = (message.key(), message.payload()) else { return Ok(None) };
        let content = loop {
            match self.decoder.decode(key, value, self.depth) {
                ReadBack::Record(content) => break content,
                ReadBack::NeedsSchema(id) => self.decoder.learn(id).await?,
                ReadBack::Foreign { reason } => {
                    self.foreign.add(partition, offset, reason);
                    return Ok(None);
                }
            }
        };
        let event_id = message.headers().and_then(|found| {
            let (_, id) = headers::read(found).find(|(name, _)| *name == EVENT_ID_HEADER)?;
            std::str::from_utf8(id?).ok().map(str::to_owned)
        });
        Ok(Some(Published {
            partition,
            offset,
            key: content.key,
            event_id,
            op: content.op,
            after: content.after,
            version: content.version,
        }))
    }

    fn is_idle(&self) -> Error {
        let doing = format!("read topic `{}`: no record and no end for {IDLE:?}", self.topic);
        Error::retry(codes::TIMEOUT, ErrorType::Timeout, doing)
    }
}

/// The records of one call that a source of ours does not write.
#[derive(Debug, Default)]
struct Foreign {
    records: u64,
    /// Partition, offset and reason.
    first: Option<(i32, i64, String)>,
}

impl Foreign {
    fn add(&mut self, partition: i32, offset: i64, reason: String) {
        self.records += 1;
        self.first.get_or_insert((partition, offset, reason));
    }

    fn report(&self, topic: &str) {
        let Some((partition, offset, reason)) = &self.first else { return };
        tracing::warn!(
            topic,
            partition,
            offset,
            records = self.records,
            reason,
            "{} records of topic `{topic}` were left out when it was read back, since no source of ours writes such \
             records; the first is at offset {offset} of partition {partition}: {reason}",
            self.records
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_read_from_the_offset_that_it_still_has() {
        let part = |low, end, from: &[i64]| Part::new(Watermarks { partition: 1, low, end }, from);
        let read = |from| Some(Part { partition: 1, from, end: 9 });
        assert_eq!(part(0, 9, &[4, 5]), read(5));
        assert_eq!(part(0, 9, &[4]), read(0), "a partition that was added");
        assert_eq!(part(6, 9, &[4, 5]), read(6), "retention has removed the offset");
        assert_eq!(part(0, 9, &[4, 10]), read(0), "the topic was re-created");
        assert_eq!(part(0, 9, &[4, 9]), None);
        assert_eq!(part(9, 9, &[]), None);
        assert_eq!(part(0, 9, &[4, -1]), read(0));
    }
}
