//! The limits of topics: a refusal of a batch says nothing about its records, and one of a record is true.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use rdkafka::{
    Message as _,
    admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    producer::{FutureProducer, FutureRecord},
};
use towpath::{
    avro::registry::Registry,
    kafka::{
        client::KafkaSettings,
        dead_letter_queue::DeadLetterQueue,
        publisher::{KafkaPublisher, SourceMetrics, TopicSettings},
    },
};
use towpath_api::{ChangeEvent, Object, Op, Publisher as _, Reaction};

use super::{Laboratory, admin, everything, notes, topic_config};
use crate::stack::{env, eventually, shared};

/// The key of records by which [`set_limit`] tries the limit.
pub(crate) const PROBE: &str = "probe";

async fn create(topic: &str, config: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, 3, TopicReplication::Fixed(1));
    new.config = config.to_vec();
    admin().create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

/// Changes a setting of a topic.
pub(crate) async fn set_topic(topic: &str, name: &str, value: &str) {
    let altered = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    admin().alter_configs([&altered], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    eventually("the setting is known", || async { (topic_config(topic, name).await == value).then_some(()) }).await;
}

/// Sets `max.message.bytes`, and waits until the broker refuses records by it.
pub(crate) async fn set_limit(topic: &str, bytes: usize) {
    set_topic(topic, "max.message.bytes", &bytes.to_string()).await;
    let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
    let producer: FutureProducer = settings.set("message.max.bytes", "10000000").create().unwrap();
    let value = vec![b'x'; bytes];
    eventually("the limit holds", || async {
        let record = FutureRecord::to(topic).key(PROBE).payload(&value);
        producer.send(record, Duration::from_secs(10)).await.is_err().then_some(())
    })
    .await;
}

/// An event whose text is in its record once.
fn event(object: &Arc<Object>, op: Op, id: &str, text: &str) -> ChangeEvent {
    ChangeEvent { event_id: id.into(), ..super::event(object, op, id, text) }
}

/// Texts that do not compress.
fn noise(bytes: usize) -> String {
    (0..bytes).map(|_| char::from(rand::random_range(b'!'..=b'~'))).collect()
}

/// The keys and values of events of ours, in the order of their partition.
async fn published(lab: &Laboratory) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = everything(&lab.topic()).await.into_iter().filter(|message| message.key() != Some(PROBE.as_bytes()));
    all.map(|message| (message.key().unwrap().to_vec(), message.payload().unwrap_or_default().to_vec())).collect()
}

/// 40 calls at once, each of an event that is small enough for the topic.
async fn all_fit(lab: &Laboratory) {
    let object = notes();
    let calls =
        (0..40).map(|n| lab.publisher.publish(vec![event(&object, Op::Create, &format!("k{n}"), &noise(5_000))]));
    let refused: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::err).map(|e| e.chain()).collect();
    assert_eq!(refused, [""; 0]);
    assert_eq!(published(lab).await.len(), 40);
}

#[tokio::test]
async fn events_that_fit_are_published_although_their_batch_is_too_large() {
    let _stack = shared().await;
    for codec in ["none", "lz4"] {
        let lab = Laboratory::with("batch", &[("compression.type", codec), ("linger.ms", "20")]);
        create(&lab.topic(), &[("max.message.bytes", "20000")]).await;
        all_fit(&lab).await;
    }
}

#[tokio::test]
async fn events_that_fit_are_published_after_the_limit_was_lowered() {
    let _stack = shared().await;
    let lab = Laboratory::with("lowered", &[("linger.ms", "20")]);
    create(&lab.topic(), &[]).await;
    lab.publisher.prepare(&notes()).await.unwrap();
    set_limit(&lab.topic(), 20_000).await;
    all_fit(&lab).await;
    assert!(lab.metric_where("towpath_kafka_errors_total", |label| label == "MessageSizeTooLarge") > 0);
}

#[tokio::test]
async fn events_of_a_key_end_in_their_order_after_a_refused_batch() {
    let _stack = shared().await;
    // Batches of at most ten records, of which only those with a large record are refused.
    let lab = Laboratory::with("order", &[("linger.ms", "20"), ("batch.num.messages", "10")]);
    create(&lab.topic(), &[]).await;
    lab.publisher.prepare(&notes()).await.unwrap();
    set_limit(&lab.topic(), 20_000).await;
    let object = notes();
    let size = |n: usize| if n < 30 { 5_000 } else { 10 };
    let events: Vec<_> = (0..90)
        .map(|n| event(&object, Op::Update, &format!("k{}", n % 3), &format!("{n:02}{}", noise(size(n)))))
        .collect();
    let placed = lab.publisher.publish(events).await.unwrap();
    assert_eq!(placed.len(), 90);
    let found = published(&lab).await;
    for key in 0..3 {
        let of_key = found.iter().filter(|(found, _)| found.ends_with(format!("k{key}").as_bytes()));
        let last = of_key.map(|(_, value)| value).next_back().unwrap();
        let newest = format!("{}", 87 + key);
        assert!(last.windows(2).any(|part| part == newest.as_bytes()), "k{key} ends with another event");
    }
    // Each event is where the answer says.
    let all = everything(&lab.topic()).await;
    for (n, place) in placed.iter().enumerate() {
        let at = all.iter().find(|it| (it.partition(), it.offset()) == (place.partition, place.offset)).unwrap();
        assert!(at.payload().unwrap().windows(2).any(|part| part == format!("{n:02}").as_bytes()), "{n}");
    }
}

/// The size of the smallest text that is refused, and the number of bytes that its request needs.
async fn first_refused(lab: &Laboratory, texts: std::ops::Range<usize>) -> (usize, String) {
    let object = notes();
    for bytes in texts {
        if let Err(error) = lab.publisher.publish(vec![event(&object, Op::Create, "a", &"x".repeat(bytes))]).await {
            assert_eq!((error.reaction, error.code), (Reaction::Poison, "kafka.record_too_large"));
            return (bytes, error.chain());
        }
    }
    panic!("each is accepted");
}

#[tokio::test]
async fn a_record_is_too_large_from_the_first_byte_over_its_topics_limit() {
    let _stack = shared().await;
    let lab = Laboratory::new("exact");
    create(&lab.topic(), &[("max.message.bytes", "20000")]).await;
    let (bytes, text) = first_refused(&lab, 19_700..20_000).await;
    assert!(text.contains("20001 bytes") && text.contains("Nothing of the call was published"), "{text}");
    let before = published(&lab).await.len();
    // The same size by the broker's own measure: one byte less is refused by the broker.
    set_limit(&lab.topic(), 19_999).await;
    let object = notes();
    let largest = || vec![event(&object, Op::Create, "a", &"x".repeat(bytes - 1))];
    let error = lab.publisher.publish(largest()).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Poison, "kafka.record_too_large"));
    assert!(error.chain().contains("the broker refuses a record by itself"), "{}", error.chain());
    assert_eq!(published(&lab).await.len(), before);
    // By then the publisher knows the new limit.
    let text = lab.publisher.publish(largest()).await.unwrap_err().chain();
    assert!(text.contains("20000 bytes, and 19999 are allowed"), "{text}");
}

#[tokio::test]
async fn a_call_with_a_record_that_the_broker_refuses_says_what_was_published() {
    let _stack = shared().await;
    let lab = Laboratory::new("partly");
    create(&lab.topic(), &[]).await;
    lab.publisher.prepare(&notes()).await.unwrap();
    set_limit(&lab.topic(), 20_000).await;
    let object = notes();
    let call = || -> Vec<ChangeEvent> {
        [("a", 10), ("b", 30_000), ("c", 10)].map(|(id, bytes)| event(&object, Op::Create, id, &noise(bytes))).into()
    };
    let error = lab.publisher.publish(call()).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Poison, "kafka.record_too_large"));
    assert!(error.chain().contains("The other 2 of 3 records of the call were published"), "{}", error.chain());
    let ids: std::collections::BTreeSet<_> = published(&lab).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(ids.len(), 2);
    // The limit is known now: nothing of the next call is published.
    let before = published(&lab).await.len();
    let error = lab.publisher.publish(call()).await.unwrap_err();
    assert!(error.chain().contains("Nothing of the call was published"), "{}", error.chain());
    assert_eq!(published(&lab).await.len(), before);
}

#[tokio::test]
async fn a_record_above_the_default_of_librdkafka_fits_a_topic_that_allows_it() {
    let _stack = shared().await;
    let lab = Laboratory::new("above");
    create(&lab.topic(), &[("max.message.bytes", "5000000")]).await;
    let object = notes();
    lab.publisher.publish(vec![event(&object, Op::Create, "a", &noise(4_000_000))]).await.unwrap();
}

#[tokio::test]
async fn a_timestamp_out_of_bounds_is_a_retry_and_names_the_clocks() {
    let _stack = shared().await;
    let lab = Laboratory::new("clock");
    create(&lab.topic(), &[("message.timestamp.before.max.ms", "0")]).await;
    let error = lab.publisher.publish(vec![event(&notes(), Op::Create, "a", "x")]).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Retry, "kafka.unavailable"), "{}", error.chain());
    assert!(error.help().is_some_and(|help| help.contains("clocks")), "{:?}", error.help());
}

#[tokio::test]
async fn nothing_is_in_flight_after_a_tombstone_that_cannot_be_queued() {
    let _stack = shared().await;
    // The queue has room for the delete and not for its tombstone; the delete waits in it for a while.
    let lab = Laboratory::with("tombstone", &[("queue.buffering.max.messages", "1"), ("linger.ms", "500")]);
    lab.publisher.prepare(&notes()).await.unwrap();
    let error = lab.publisher.publish(vec![event(&notes(), Op::Delete, "a", "")]).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Retry, "kafka.queue_full"));
    assert_eq!(lab.metric("towpath_source_records_written_total"), 1);
    assert_eq!(published(&lab).await.len(), 1);
}

#[tokio::test]
async fn no_property_weakens_an_acknowledgement_of_any_producer() {
    // Ours are refused by name; librdkafka refuses the others because the producer is idempotent.
    for (name, value) in [("acks", "1"), ("enable.idempotence", "false"), ("max.in.flight", "100"), ("retries", "0")] {
        let kafka = KafkaSettings::new("127.0.0.1:1", "lab", [(name, value)]);
        let metrics = prometheus::Registry::new();
        let registry = Registry::new("http://127.0.0.1:1", &metrics).unwrap();
        let topics = TopicSettings { prefix: "p".into(), partitions: 1, replication: None };
        let source = SourceMetrics::register(&metrics).unwrap();
        let publisher = KafkaPublisher::new(&kafka, registry, topics, "lab", source).err();
        let queue = DeadLetterQueue::new(&kafka, "lab", "dlq", 1, None).err();
        for error in [publisher, queue] {
            let error = error.unwrap_or_else(|| panic!("{name}={value} is accepted"));
            assert_eq!((error.reaction, error.code), (Reaction::Fatal, "kafka.config"), "{name}: {}", error.chain());
        }
    }
}
