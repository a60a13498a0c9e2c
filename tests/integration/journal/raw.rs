//! Kafka without Towpath: records of a foreign producer, and records as a foreign consumer sees them.

use std::time::Duration;

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::Headers as _,
    producer::{BaseProducer, Producer as _},
};
use towpath::kafka::client::KafkaSettings;
use towpath_api::EVENT_ID_HEADER;

use crate::stack::{env, unique};

const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn client() -> rdkafka::ClientConfig {
    KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test")
}

pub(super) fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

/// An initialized transactional producer.
pub(super) fn producer(transactional_id: &str) -> BaseProducer {
    let producer: BaseProducer = client().set("transactional.id", transactional_id).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer
}

pub(super) async fn create_topic(topic: &str, config: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, 3, TopicReplication::Fixed(1));
    new.config = config.to_vec();
    admin().create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

/// A record as a consumer sees it; `number` is its event id, or 0 without one.
pub(super) struct Found {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) number: u64,
}

/// All records of a topic, in the order of their offsets within each partition.
pub(super) fn read(topic: &str, isolation: &str) -> Vec<Found> {
    let consumer: BaseConsumer = client()
        .set("group.id", unique("group"))
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    let mut left = assignment.count();
    consumer.assign(&assignment).unwrap();
    let mut found = Vec::new();
    while left > 0 {
        match consumer.poll(TIMEOUT).expect("a record or the end") {
            Err(KafkaError::PartitionEOF(_)) => left -= 1,
            Err(error) => panic!("{error}"),
            Ok(message) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let id = message.headers().and_then(|headers| {
                    let header = headers.iter().find(|header| header.key == EVENT_ID_HEADER)?;
                    text(header.value?).parse().ok()
                });
                found.push(Found {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: text(message.key().unwrap_or_default()),
                    value: message.payload().map(text),
                    number: id.unwrap_or(0),
                });
            }
        }
    }
    found
}
