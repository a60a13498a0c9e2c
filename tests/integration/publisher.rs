//! The shared publisher against the real broker and registry: offsets, order, topics, outages.

pub(crate) mod limits;
#[cfg(feature = "failpoints")]
mod renewed;

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message as _,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{Headers as _, OwnedMessage},
};
use towpath::{
    avro::{
        codec::{Decoded, Decoder},
        registry::Registry,
    },
    kafka::{
        client::KafkaSettings,
        publisher::{KafkaPublisher, SourceMetrics, TRACE_HEADER, TopicSettings},
    },
};
use towpath_api::{
    Body, Change, ChangeEvent, EVENT_ID_HEADER, Identity, Key, Object, Op, Publisher as _, Reaction, Updates,
    apache_avro::{Schema, types::Value},
};

use crate::stack::{alone, env, eventually, shared, stack, unique};

/// A publisher with its own metrics and topic prefix.
struct Laboratory {
    prefix: String,
    publisher: KafkaPublisher,
    registry: Registry,
    metrics: prometheus::Registry,
}

impl Laboratory {
    fn new(theme: &str) -> Self {
        Self::with(theme, &[])
    }

    fn with(theme: &str, properties: &[(&str, &str)]) -> Self {
        let prefix = unique(theme);
        let metrics = prometheus::Registry::new();
        let registry = Registry::new(&env("SCHEMA_REGISTRY_URL"), &metrics).unwrap();
        let topics = TopicSettings { prefix: prefix.clone(), partitions: 3, replication: None };
        let kafka = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", properties.iter().copied());
        let source_metrics = SourceMetrics::register(&metrics).unwrap();
        let publisher = KafkaPublisher::new(&kafka, registry.clone(), topics, "lab", source_metrics).unwrap();
        Self { prefix, publisher, registry, metrics }
    }

    fn topic(&self) -> String {
        format!("{}.notes", self.prefix)
    }

    /// The sum of all series of a counter or gauge.
    fn metric(&self, name: &str) -> i64 {
        self.metric_where(name, |_| true)
    }

    #[expect(clippy::cast_possible_truncation, reason = "these counts are small and whole")]
    fn metric_where(&self, name: &str, wanted: impl Fn(&str) -> bool) -> i64 {
        let families = self.metrics.gather();
        let series = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        let wanted = series.filter(|series| series.get_label().iter().any(|label| wanted(label.value())));
        wanted.map(|series| series.get_counter().value() + series.get_gauge().value()).sum::<f64>() as i64
    }
}

fn object(fields: &str, updates: Updates) -> Arc<Object> {
    let schema = format!(r#"{{"type":"record","name":"Note","fields":[{{"name":"id","type":"string"}}{fields}]}}"#);
    Arc::new(Object::new("notes", Schema::parse_str(&schema).unwrap(), updates).unwrap())
}

fn notes() -> Arc<Object> {
    object(r#",{"name":"text","type":["null","string"],"default":null}"#, Updates::Whole)
}

fn event(object: &Arc<Object>, op: Op, id: &str, text: &str) -> ChangeEvent {
    let fields = [("id", Value::String(id.into())), ("text", Value::String(text.into()))];
    let after = fields.into_iter().take(object.fields().len()).map(|(name, value)| (name.to_owned(), value));
    ChangeEvent {
        object: Arc::clone(object),
        key: Key::Text(id.into()),
        op,
        after: (op != Op::Delete).then(|| after.collect()),
        changed: None,
        version: None,
        event_id: format!("{id}:{text}"),
        source_time_ms: None,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

fn admin() -> AdminClient<DefaultClientContext> {
    KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap()
}

async fn topic_config(topic: &str, name: &str) -> String {
    let described = admin().describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await.unwrap();
    described[0].as_ref().unwrap().get(name).unwrap().value.clone().unwrap()
}

/// All records of a topic, by partition and offset.
async fn everything(topic: &str) -> Vec<OwnedMessage> {
    let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
    settings.set("group.id", unique("group")).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = settings.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let mut assignment = rdkafka::TopicPartitionList::new();
    let mut left = 0;
    for partition in metadata.topics()[0].partitions() {
        let watermarks = || consumer.fetch_watermarks(topic, partition.id(), Duration::from_secs(10));
        // A broker that has just started may not be the leader of its partitions yet.
        let (low, high) = eventually("the broker leads the partition", || async { watermarks().ok() }).await;
        left += high - low;
        assignment.add_partition_offset(topic, partition.id(), rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut messages: Vec<_> =
        (0..left).map(|_| consumer.poll(Duration::from_secs(10)).expect("a record").unwrap().detach()).collect();
    messages.sort_by_key(|message| (message.partition(), message.offset()));
    messages
}

/// The changes in a topic, decoded as a sink task decodes them, without tombstones.
async fn changes(lab: &Laboratory) -> Vec<Change> {
    let mut decoder = Decoder::new(lab.registry.clone());
    let mut changes = Vec::new();
    for message in everything(&lab.topic()).await {
        let body = loop {
            match decoder.decode(message.key(), message.payload()) {
                Decoded::Body(body) => break body,
                Decoded::NeedsSchema(id) => decoder.learn(id).await.unwrap(),
            }
        };
        match body {
            Body::Change(change) => changes.push(*change),
            Body::Tombstone(_) | Body::Filtered => {}
            Body::Undecodable { code, reason, .. } => panic!("{code}: {reason}"),
        }
    }
    changes
}

fn texts(changes: &[Change], id: &str) -> Vec<String> {
    let of_the_record = changes
        .iter()
        .filter(|change| change.key.as_ref().is_some_and(|key| key.identity == Identity::Text(id.into())));
    let text = |change: &Change| match &change.after.as_ref()?[1] {
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    of_the_record.filter_map(text).collect()
}

#[tokio::test]
async fn each_event_is_at_its_reported_place_and_in_order() {
    let _stack = shared().await;
    let lab = Laboratory::new("place");
    let object = notes();
    let events: Vec<_> = (0..300).map(|n| event(&object, Op::Update, &format!("k{}", n % 7), &n.to_string())).collect();
    let placed = lab.publisher.publish(events.clone()).await.unwrap();
    let messages = everything(&lab.topic()).await;
    assert_eq!((placed.len(), messages.len()), (300, 300));
    for (placed, event) in placed.iter().zip(&events) {
        let at = |message: &&OwnedMessage| (message.partition(), message.offset()) == (placed.partition, placed.offset);
        let message = messages.iter().find(at).expect("a record at that offset");
        let headers: Vec<_> =
            message.headers().unwrap().iter().map(|header| (header.key, header.value.unwrap())).collect();
        let trace = event.traceparent.as_ref().unwrap().as_bytes();
        assert_eq!(headers, [(EVENT_ID_HEADER, event.event_id.as_bytes()), (TRACE_HEADER, trace)]);
    }
    let changes = changes(&lab).await;
    for key in 0..7 {
        let expected: Vec<_> = (0..300).filter(|n| n % 7 == key).map(|n: i32| n.to_string()).collect();
        assert_eq!(texts(&changes, &format!("k{key}")), expected);
    }
    assert_eq!(lab.metric("towpath_source_records_written_total"), 300);
    assert_eq!(lab.metric("towpath_source_records_active"), 0);
}

#[tokio::test]
async fn a_delete_is_placed_at_its_change_and_a_tombstone_follows() {
    let _stack = shared().await;
    let lab = Laboratory::new("delete");
    let object = notes();
    let placed = lab.publisher.publish(vec![event(&object, Op::Delete, "a", "")]).await.unwrap();
    let messages = everything(&lab.topic()).await;
    let kinds: Vec<_> = messages.iter().map(|message| (message.offset(), message.payload().is_some())).collect();
    assert_eq!(kinds, [(placed[0].offset, true), (placed[0].offset + 1, false)]);
    assert_eq!(messages[0].key(), messages[1].key());
}

#[tokio::test]
async fn concurrent_first_events_create_topic_and_subjects_once() {
    let _stack = shared().await;
    let lab = Laboratory::new("first");
    let object = notes();
    let calls = (0..40).map(|n| lab.publisher.publish(vec![event(&object, Op::Create, &n.to_string(), "x")]));
    let placed = futures::future::join_all(calls).await;
    assert!(placed.iter().all(Result::is_ok), "{placed:?}");
    assert_eq!(everything(&lab.topic()).await.len(), 40);
    assert_eq!(lab.metric_where("towpath_schema_registry_requests_total", |label| label == "register"), 2);
    assert_eq!(topic_config(&lab.topic(), "cleanup.policy").await, "compact");
    assert_eq!(topic_config(&lab.topic(), "min.compaction.lag.ms").await, "604800000");
    let level = reqwest::get(format!("{}/config/{}-value", env("SCHEMA_REGISTRY_URL"), lab.topic())).await.unwrap();
    assert_eq!(level.text().await.unwrap(), r#"{"compatibilityLevel":"BACKWARD_TRANSITIVE"}"#);
}

#[tokio::test]
async fn a_compacted_topic_is_refused_for_partial_updates_only() {
    let _stack = shared().await;
    let lab = Laboratory::new("compact");
    let topic = lab.topic();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact,delete");
    admin().create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let partial = object("", Updates::Partial);
    let error = lab.publisher.prepare(&partial).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Fatal, "kafka.compacted_topic"), "{}", error.chain());
    lab.publisher.prepare(&notes()).await.unwrap();

    let other = Laboratory::new("kept");
    other.publisher.prepare(&partial).await.unwrap();
    assert_eq!(topic_config(&other.topic(), "cleanup.policy").await, "delete");
    assert_eq!(topic_config(&other.topic(), "retention.ms").await, "-1");
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_with_its_subject() {
    let _stack = shared().await;
    let lab = Laboratory::new("evolve");
    lab.publisher.publish(vec![event(&object("", Updates::Whole), Op::Create, "a", "")]).await.unwrap();
    lab.publisher.publish(vec![event(&notes(), Op::Update, "a", "later")]).await.unwrap();
    let changes = changes(&lab).await;
    assert_eq!(changes.iter().map(|change| change.after.as_ref().unwrap().len()).collect::<Vec<_>>(), [1, 2]);
    let error = lab.publisher.prepare(&object(r#",{"name":"text","type":"long"}"#, Updates::Whole)).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Fatal, "registry.incompatible"));
    assert!(error.chain().contains(&format!("{}-value", lab.topic())), "{}", error.chain());
}

#[tokio::test]
async fn an_unknown_schema_id_is_undecodable_and_a_wrong_url_is_of_the_environment() {
    let _stack = shared().await;
    let lab = Laboratory::new("unknown");
    let framed = [0, 0x7f, 0xff, 0xff, 0xff, 0];
    let mut decoder = Decoder::new(lab.registry.clone());
    decoder.learn(0x7fff_ffff).await.unwrap();
    let outcome = decoder.decode(Some(&framed), Some(&framed));
    assert!(matches!(outcome, Decoded::Body(Body::Undecodable { code: "registry.unknown_schema", .. })), "{outcome:?}");

    let wrong = env("SCHEMA_REGISTRY_URL").replace("/ccompat/", "/nothing/");
    let mut decoder = Decoder::new(Registry::new(&wrong, &prometheus::Registry::new()).unwrap());
    let error = decoder.learn(0x7fff_ffff).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Retry, "registry.refused"), "{}", error.chain());
}

#[tokio::test]
async fn a_record_that_is_too_large_is_poison_and_the_next_is_accepted() {
    let _stack = shared().await;
    let lab = Laboratory::new("large");
    let object = notes();
    let error = lab.publisher.publish(vec![event(&object, Op::Create, "a", &"x".repeat(2_000_000))]).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Poison, "kafka.record_too_large"));
    lab.publisher.publish(vec![event(&object, Op::Create, "a", "small")]).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_a_retry_and_nothing_hangs() {
    let _stack = shared().await;
    let lab = Laboratory::with("full", &[("queue.buffering.max.messages", "100")]);
    let object = notes();
    let many = (0..5_000).map(|n| event(&object, Op::Create, &n.to_string(), "x")).collect();
    let error = lab.publisher.publish(many).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Retry, "kafka.queue_full"));
}

#[tokio::test]
async fn a_deleted_topic_is_created_again() {
    let _stack = shared().await;
    let lab = Laboratory::new("deleted");
    let object = notes();
    lab.publisher.publish(vec![event(&object, Op::Create, "a", "first")]).await.unwrap();
    admin().delete_topics(&[&lab.topic()], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while let Err(error) = lab.publisher.publish(vec![event(&object, Op::Create, "a", "second")]).await {
        assert_eq!(error.reaction, Reaction::Retry, "{}", error.chain());
        assert!(tokio::time::Instant::now() < deadline, "{}", error.chain());
    }
    assert_eq!(texts(&changes(&lab).await, "a"), ["second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_broker_is_reported_within_five_seconds() {
    let _stack = alone().await;
    let lab = Laboratory::new("outage");
    let object = notes();
    lab.publisher.publish(vec![event(&object, Op::Create, "a", "before")]).await.unwrap();
    stack(&["kill", "kafka"]);
    let mut answers = Vec::new();
    for attempt in 0..2 {
        let begun = tokio::time::Instant::now();
        let lost = event(&object, Op::Update, "a", &format!("lost {attempt}"));
        answers.push((lab.publisher.publish(vec![lost]).await, begun.elapsed()));
    }
    // First events fail together instead of one after the other.
    let new = Laboratory::new("outage");
    let begun = tokio::time::Instant::now();
    let first = (0..40).map(|n| new.publisher.publish(vec![event(&object, Op::Create, &n.to_string(), "lost")]));
    let first = futures::future::join_all(first).await;
    answers.extend(first.into_iter().map(|answer| (answer, begun.elapsed())));
    stack(&["start", "kafka"]);
    for (answer, took) in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.reaction, Reaction::Retry, "{}", error.chain());
        assert!(took < Duration::from_secs(5), "{took:?}: {}", error.chain());
    }
    let begun = tokio::time::Instant::now();
    while let Err(error) = lab.publisher.publish(vec![event(&object, Op::Update, "a", "after")]).await {
        assert_eq!(error.reaction, Reaction::Retry, "{}", error.chain());
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", error.chain());
    }
    let texts = texts(&changes(&lab).await, "a");
    assert_eq!((texts.first().unwrap().as_str(), texts.last().unwrap().as_str()), ("before", "after"));
    assert_eq!(lab.metric("towpath_source_records_written_total"), 2);
}
