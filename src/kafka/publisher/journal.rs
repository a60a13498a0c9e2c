//! The journal of a source task: events and position in one Kafka transaction.
//!
//! [`KafkaJournal::open`] first fences older instances of the task, which settles their transaction, and then reads the
//! position from the compacted topic `offset.storage.topic`. In the other order an older instance could still commit
//! after the read. A position keeps its partition, also when partitions are added to the topic.

use std::sync::Arc;

use rdkafka::message::OwnedHeaders;
use towpath_api::{
    ChangeEvent, Error, ErrorType, Journal, Object, Placed, Position, PublishedRecords, Reaction, Result,
};

use super::{
    OffsetStorage, Outgoing, Router, TopicSettings,
    broker_limits::BrokerLimits,
    metrics::{ConnectorSeries, SourceMetrics},
    outgoing::{batch_of_one, check_size},
    position,
    published::PublishedTopics,
    request::Record,
    transaction::Transactions,
};
use crate::{
    avro::registry::Registry,
    kafka::{
        client::KafkaSettings,
        codes,
        compacted::{CompactedTopic, END_TIMEOUT},
    },
};

/// The settings that the journals of all tasks of a source share.
#[derive(Clone)]
pub struct JournalSettings {
    /// The brokers and the `group.id`.
    pub kafka: KafkaSettings,
    /// The registry of the events' schemas.
    pub registry: Registry,
    /// The topics of the events.
    pub topics: TopicSettings,
    /// The topic of the positions.
    pub offsets: OffsetStorage,
    /// The limits that the broker's refusals have taught.
    pub limits: BrokerLimits,
    /// Counters of events and errors.
    pub metrics: SourceMetrics,
}

/// The `transactional.id` of a source task: `towpath.<group.id>.<connector>.<task>`. ACLs have to allow it; the docs of
/// the key `offset.storage.topic` name it.
pub fn transactional_id(group: &str, connector: &str, task: u32) -> String {
    format!("towpath.{group}.{connector}.{task}")
}

/// The journal of one run of a source task.
///
/// After an error whose outcome is unknown, an abort, a slow commit, or a dropped future the journal is spent: every
/// further call fails with a retry, and the worker opens a fresh journal.
pub struct KafkaJournal {
    task: String,
    router: Router,
    series: Arc<ConnectorSeries>,
    offsets_topic: Arc<str>,
    position_key: Vec<u8>,
    /// The partition of the stored position; `None` before the first, whose key decides.
    position_partition: Option<i32>,
    position: Option<Position>,
    limits: BrokerLimits,
    published: Arc<PublishedTopics>,
    producer: Producer,
}

enum Producer {
    Usable(Transactions),
    Spent,
    /// A fresh producer would fence the rightful owner.
    Fenced,
}

impl KafkaJournal {
    /// Fences older instances of the task, and reads its position.
    ///
    /// # Errors
    /// Retry while no broker answers, or while another transaction keeps the end of the offsets topic from being read.
    /// Fatal when a setting is refused, the offsets topic is not compacted, or the position cannot be read.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn open(settings: &JournalSettings, connector: &str, task: u32) -> Result<Self> {
        let JournalSettings { kafka, registry, topics, offsets, limits, metrics } = settings;
        let series = Arc::new(metrics.clone().connector(connector));
        let name = format!("{connector}-{task}");
        let storage = CompactedTopic::new(kafka, &offsets.topic, offsets.partitions, offsets.replication)?;
        storage.ensure().await?;
        let id = transactional_id(kafka.group(), connector, task);
        let producer = Transactions::open(kafka, &name, &id, limits.clone(), Arc::clone(&series)).await?;
        let mut journal = Self {
            router: Router::new(kafka, registry.clone(), topics.clone(), connector, Arc::clone(&series))?,
            offsets_topic: offsets.topic.as_str().into(),
            position_key: position::key(connector, task),
            position_partition: None,
            position: None,
            limits: limits.clone(),
            published: Arc::new(PublishedTopics::new(kafka, registry, connector, &topics.prefix)),
            producer: Producer::Usable(producer),
            task: name,
            series,
        };
        journal.read_position(&storage).await?;
        if let Some(Position(position)) = &journal.position {
            tracing::info!(connector, task, "source task {connector}-{task} resumes at its stored position");
            let position = serde_json::Value::from(position.clone());
            tracing::debug!(connector, task, "the position of source task {connector}-{task} is {position}");
        } else {
            tracing::info!(connector, task, "source task {connector}-{task} has no stored position and begins");
        }
        Ok(journal)
    }

    async fn read_position(&mut self, storage: &CompactedTopic) -> Result<()> {
        let mut found = None;
        let mut reader = storage.reader().await?;
        let newest = |record: crate::kafka::compacted::Record| {
            if record.key == self.position_key {
                found = Some(record);
            }
        };
        reader.read_to_end(END_TIMEOUT, newest).await?;
        let Some(found) = found else { return Ok(()) };
        self.position_partition = Some(found.partition);
        self.position = found.value.map(|value| position::decode(&self.task, &value)).transpose()?;
        Ok(())
    }

    /// # Errors
    /// Retry, or fenced, when the journal is spent.
    fn check_usable(&self) -> Result<()> {
        let doing = || format!("publish for task {}", self.task);
        match self.producer {
            Producer::Usable(_) => Ok(()),
            Producer::Spent => {
                let doing = format!("{}: the journal is spent, and a fresh one has to be opened", doing());
                Err(Error::retry(codes::PRODUCER_RENEWED, ErrorType::Unavailable, doing))
            }
            Producer::Fenced => {
                let doing = format!("{}: another instance of the task has taken over", doing());
                Err(Error::fenced(codes::FENCED, doing))
            }
        }
    }

    /// Encodes events. An error has sent nothing and leaves the journal usable.
    async fn outgoing<'a>(&self, events: &'a [ChangeEvent]) -> Result<Vec<Outgoing<'a>>> {
        let outgoing = Outgoing::prepare(&self.router, events).await?;
        for outgoing in &outgoing {
            self.limits.check(&outgoing.route.topic, &outgoing.event.event_id, outgoing.size())?;
        }
        Ok(outgoing)
    }

    /// The records of a transaction: changes, tombstones after deletes, and the position last.
    fn transaction(&self, outgoing: &[Outgoing<'_>], position: Vec<u8>) -> Vec<Record> {
        let mut records = Vec::with_capacity(outgoing.len() + 1);
        for outgoing in outgoing {
            let record = |value, headers: OwnedHeaders| Record {
                topic: Arc::clone(&outgoing.route.topic),
                partition: None,
                key: outgoing.encoded.key.clone(),
                value,
                headers: Some(headers),
                batch_limit: outgoing.route.batch_limit,
            };
            records.push(record(Some(outgoing.encoded.value.clone()), outgoing.headers()));
            if outgoing.needs_tombstone() {
                records.push(record(None, outgoing.headers()));
            }
        }
        records.push(Record {
            topic: Arc::clone(&self.offsets_topic),
            partition: self.position_partition,
            key: self.position_key.clone(),
            value: Some(position),
            headers: None,
            batch_limit: None,
        });
        records
    }

    /// Counts the acknowledged records, and gives the place of each event.
    fn placed(&mut self, outgoing: &[Outgoing<'_>], delivered: &[(i32, i64)]) -> Vec<Placed> {
        let mut delivered = delivered.iter().copied();
        let mut placed = Vec::with_capacity(outgoing.len());
        for outgoing in outgoing {
            let Some((partition, offset)) = delivered.next() else { break };
            placed.push(outgoing.placed(partition, offset));
            outgoing.route.written.inc();
            if outgoing.needs_tombstone() {
                delivered.next();
                outgoing.route.written.inc();
            }
            self.series.acknowledged(outgoing.event.source_time_ms);
        }
        self.position_partition = delivered.next().map(|(partition, _)| partition).or(self.position_partition);
        placed
    }
}

impl Journal for KafkaJournal {
    async fn prepare(&mut self, object: &Arc<Object>) -> Result<()> {
        self.check_usable()?;
        self.router.route(object).await.map(drop)
    }

    async fn position(&mut self) -> Result<Option<Position>> {
        self.check_usable()?;
        Ok(self.position.clone())
    }

    fn records(&self) -> Arc<dyn PublishedRecords> {
        Arc::<PublishedTopics>::clone(&self.published)
    }

    async fn check(&mut self, event: &ChangeEvent) -> Result<()> {
        self.check_usable()?;
        self.outgoing(std::slice::from_ref(event)).await.map(drop)
    }

    async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
        self.check_usable()?;
        let _active = self.series.active(events.len());
        let outgoing = self.outgoing(events).await?;
        let encoded = position::encode(&position);
        check_size(
            &self.offsets_topic,
            batch_of_one(self.position_key.len(), encoded.len(), [].into_iter()),
            self.router.max_record(),
        )?;
        let records = self.transaction(&outgoing, encoded);
        // Spent, if this future is dropped before the outcome is known.
        let Producer::Usable(producer) = std::mem::replace(&mut self.producer, Producer::Spent) else {
            return self.check_usable().map(|()| Vec::new());
        };
        let ended = producer.commit(records).await;
        if ended.reusable {
            self.producer = Producer::Usable(producer);
        }
        match ended.result {
            Ok(places) => {
                self.position = Some(position);
                Ok(self.placed(&outgoing, &places))
            }
            Err(error) => {
                if error.reaction == Reaction::Fenced {
                    self.producer = Producer::Fenced;
                }
                Err(error)
            }
        }
    }
}
