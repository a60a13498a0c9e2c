//! Reads partitions up to their ends at the time of opening.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
};
use towpath_api::{Error, ErrorType, Result};

use crate::kafka::{
    client::{refused_settings, unavailable},
    codes,
};

/// The timeout of a request to the broker.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum time without a record from a partition that has records.
const SILENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub(in crate::cli) struct Range {
    pub(in crate::cli) topic: String,
    /// `None` for all partitions.
    pub(in crate::cli) partition: Option<i32>,
    /// `None` for the earliest offset.
    pub(in crate::cli) offset: Option<i64>,
}

/// Reads the records of a range, once.
pub(in crate::cli) struct BoundedReader {
    consumer: Arc<StreamConsumer>,
    topic: String,
    /// The end of each partition that is not read to its end yet.
    ends: HashMap<i32, i64>,
}

impl BoundedReader {
    /// Looks up the offsets of the partitions and starts to read them.
    ///
    /// # Errors
    /// Retry while no broker answers; fatal if the topic, partition or offset does not exist.
    pub(in crate::cli) async fn open(mut settings: ClientConfig, range: Range) -> Result<Self> {
        // librdkafka wants a group's name although none is joined.
        settings
            .set("group.id", "towpath-tap")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error");
        let consumer: Arc<StreamConsumer> = Arc::new(settings.create().map_err(refused_settings)?);
        let asking = Arc::clone(&consumer);
        let topic = range.topic.clone();
        let spans = tokio::task::spawn_blocking(move || spans(&asking, &range)).await;
        let spans =
            spans.map_err(|panic| Error::fatal(codes::PANIC, ErrorType::Internal, "ask Kafka").because(panic))??;

        let mut assignment = TopicPartitionList::new();
        for span in &spans {
            assignment
                .add_partition_offset(&topic, span.partition, Offset::Offset(span.from))
                .map_err(|error| unavailable(format!("read topic `{topic}`"), error))?;
        }
        consumer.assign(&assignment).map_err(|error| unavailable(format!("read topic `{topic}`"), error))?;
        let ends = spans.into_iter().map(|span| (span.partition, span.to)).collect();
        Ok(Self { consumer, topic, ends })
    }

    /// The next record; `None` after the end of every partition.
    ///
    /// # Errors
    /// Retry if the broker becomes unavailable.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<OwnedMessage>> {
        let doing = || format!("read topic `{}`", self.topic);
        while !self.ends.is_empty() {
            let message = match tokio::time::timeout(SILENCE, self.consumer.recv()).await {
                Ok(Ok(message)) => message,
                // The end may be after the last record: transaction markers take offsets, too.
                Ok(Err(KafkaError::PartitionEOF(partition))) => {
                    self.ends.remove(&partition);
                    continue;
                }
                Ok(Err(error)) => return Err(unavailable(doing(), error)),
                Err(_) => {
                    let doing = format!("{}: no record for {} s", doing(), SILENCE.as_secs());
                    return Err(Error::retry(codes::TIMEOUT, ErrorType::Timeout, doing));
                }
            };
            let partition = message.partition();
            let Some(end) = self.ends.get(&partition).copied() else { continue };
            let is_newer = message.offset() >= end;
            if message.offset() + 1 >= end {
                self.ends.remove(&partition);
            }
            if !is_newer {
                return Ok(Some(message.detach()));
            }
        }
        Ok(None)
    }
}

/// Offsets `[from, to)` of a partition; not empty.
struct Span {
    partition: i32,
    from: i64,
    to: i64,
}

/// Asks the broker. Blocks.
fn spans(consumer: &StreamConsumer, range: &Range) -> Result<Vec<Span>> {
    let topic = &range.topic;
    let doing = format!("look up topic `{topic}`");
    let metadata =
        consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT).map_err(|error| unavailable(&*doing, error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.ok_or_else(|| not_found(format!("{doing}: the topic does not exist")))?;
    if let Some(error) = found.error() {
        let code = RDKafkaErrorCode::from(error);
        if code == RDKafkaErrorCode::UnknownTopicOrPartition {
            return Err(not_found(format!("{doing}: the topic does not exist")));
        }
        return Err(unavailable(doing, KafkaError::MetadataFetch(code)));
    }
    let mut partitions: Vec<i32> = found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
    if let Some(wanted) = range.partition {
        if !partitions.contains(&wanted) {
            return Err(not_found(format!(
                "{doing}: the topic has {} partitions, and none is {wanted}",
                partitions.len()
            )));
        }
        partitions = vec![wanted];
    }
    partitions.sort_unstable();
    let mut spans = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let doing = format!("fetch the offsets of {topic}[{partition}]");
        let (earliest, to) =
            consumer.fetch_watermarks(topic, partition, METADATA_TIMEOUT).map_err(|error| unavailable(doing, error))?;
        let from = range.offset.unwrap_or(earliest);
        if !(earliest..=to).contains(&from) {
            return Err(not_found(format!(
                "read {topic}[{partition}] from offset {from}: the topic has {earliest}..{to}"
            )));
        }
        if from < to {
            spans.push(Span { partition, from, to });
        }
    }
    Ok(spans)
}

fn not_found(doing: String) -> Error {
    Error::fatal(codes::NOT_FOUND, ErrorType::NotFound, doing)
}
