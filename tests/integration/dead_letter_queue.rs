//! Dead letters that are also written to a topic.

use std::time::{Duration, Instant};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;
use towpath::kafka::client::KafkaSettings;

use crate::{
    reading::{Reading, WAIT},
    stack::{database, env, eventually, rows, rows_become, shared, unique},
    worker::Worker,
};

const QUEUE: &str =
    "errors.deadletterqueue.topic.name = \"dlq-${NAME}\"\nerrors.deadletterqueue.topic.replication.factor = 1\n";

/// A topic with one dead letter, which has a key, a timestamp and headers of all kinds.
async fn with_a_letter(theme: &str, more: &str) -> Reading {
    let reading = Reading::new(theme, "delete", 2, more).await;
    let producer: FutureProducer =
        KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "event", value: Some("e1") })
        .insert(Header { key: "bytes", value: Some(&[0_u8, 255][..]) })
        .insert(Header { key: "event", value: None::<&str> });
    let record = FutureRecord::to(&reading.topic).partition(1).key("k\0ey").payload("no Avro").headers(headers);
    producer.send(record.timestamp(1_700_000_000_123), WAIT).await.unwrap();
    reading
}

/// Waits for `count` records in the queue and returns them.
async fn queue(reading: &Reading, records: i64) -> Vec<OwnedMessage> {
    let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
    let consumer: BaseConsumer = settings.set("group.id", unique("group")).create().unwrap();
    let topic = format!("dlq-{}", reading.worker.name);
    eventually("the letters are in the topic", || async {
        let (_, end) = consumer.fetch_watermarks(&topic, 0, Duration::from_secs(5)).ok()?;
        (end >= records).then_some(())
    })
    .await;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    (0..records).map(|_| consumer.poll(Duration::from_secs(10)).expect("a record").unwrap().detach()).collect()
}

fn header<'a>(letter: &'a OwnedMessage, name: &str) -> &'a str {
    let headers = letter.headers().unwrap();
    let found = headers.iter().find(|header| header.key == name).unwrap_or_else(|| panic!("{name}: {headers:?}"));
    std::str::from_utf8(found.value.unwrap()).unwrap()
}

async fn all_are_noted(reading: &Reading) {
    // Null while there is none.
    let all =
        format!("SELECT bool_and(published_at IS NOT NULL) FROM towpath.dead_letter WHERE topic = '{}'", reading.topic);
    rows_become(&reading.database, &all, &["t"]).await;
}

#[tokio::test]
async fn a_dead_letter_keeps_its_bytes_and_gets_the_headers_of_kafka_connect() {
    let more = format!("{QUEUE}errors.deadletterqueue.context.headers.enable = true\ntasks.max = 2\n");
    let mut reading = with_a_letter("letter", &more).await;
    reading.worker.spawn();
    let letter = queue(&reading, 1).await.remove(0);
    assert_eq!((letter.key(), letter.payload()), (Some(&b"k\0ey"[..]), Some(&b"no Avro"[..])));
    // The broker's retention deletes by the timestamp: an old one would delete the letter at once.
    assert!(letter.timestamp().to_millis().is_some_and(|now| now > 1_750_000_000_000), "{:?}", letter.timestamp());
    assert_eq!(header(&letter, "towpath.record.timestamp"), "1700000000123");
    let own: Vec<_> = letter.headers().unwrap().iter().take(3).map(|header| (header.key, header.value)).collect();
    assert_eq!(own, [("event", Some(&b"e1"[..])), ("bytes", Some(&[0, 255][..])), ("event", None)]);
    let name = format!("pg-{}", reading.worker.name);
    for (of, expected) in [
        ("topic", reading.topic.as_str()),
        ("partition", "1"),
        ("offset", "0"),
        ("connector.name", name.as_str()),
        ("stage", "KEY_CONVERTER"),
    ] {
        assert_eq!(header(&letter, &format!("__connect.errors.{of}")), expected, "{of}");
    }
    assert!(["0", "1"].contains(&header(&letter, "__connect.errors.task.id")));
    let code = header(&letter, "__connect.errors.exception.class.name");
    assert!(code.starts_with("decode."), "{code}");
    assert!(header(&letter, "__connect.errors.exception.stacktrace").starts_with(code));
    assert!(!header(&letter, "__connect.errors.exception.message").is_empty());
    assert!(header(&letter, "__connect.errors.class.name").contains("Decoder"));
    all_are_noted(&reading).await;
    reading.worker.signal("TERM");
    assert_eq!(reading.worker.ended().await.code(), Some(0));
}

#[tokio::test]
async fn letters_unsent_before_a_kill_are_sent_once_after_it() {
    let mut reading = with_a_letter("later", QUEUE).await;
    reading.worker.spawn();
    let letter = queue(&reading, 1).await.remove(0);
    assert_eq!(letter.headers().unwrap().count(), 4, "no further headers unless they are enabled");
    all_are_noted(&reading).await;
    reading.worker.kill();
    // The state after a kill between the batch and the topic.
    let copy = format!(
        "INSERT INTO towpath.dead_letter (sink, topic, partition, \"offset\", stage, error_code, error_text, value)
         SELECT sink, topic, partition, 77, stage, error_code, error_text, 'left' FROM towpath.dead_letter
         WHERE topic = '{}'",
        reading.topic
    );
    assert_eq!(reading.database.execute(&copy, &[]).await.unwrap(), 1);
    reading.worker.spawn();
    let letters = queue(&reading, 2).await;
    assert_eq!(letters[1].payload(), Some(&b"left"[..]));
    all_are_noted(&reading).await;
    // A second letter, from the running worker.
    reading.produce_large(10).await;
    assert_eq!(queue(&reading, 3).await.len(), 3);
}

#[tokio::test]
async fn a_queue_that_cannot_be_created_is_reported_and_loses_no_letter() {
    let mut reading = with_a_letter("unmade", &QUEUE.replace("factor = 1", "factor = 3")).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    eventually("the task is degraded", || async { (reading.worker.state("pg").await == "degraded").then_some(()) })
        .await;
    let log = reading.worker.log();
    assert!(
        log.contains("kafka.topic_refused") && log.contains("errors.deadletterqueue.topic.replication.factor"),
        "{log}"
    );
    let open = format!("SELECT published_at IS NULL FROM towpath.dead_letter WHERE topic = '{}'", reading.topic);
    let letters = rows(&reading.database, &open).await;
    assert!(letters.iter().all(|letter| letter == "t"), "{letters:?}");
    reading.produce(1..2).await;
    eventually("the partitions go on", || async { (reading.applied().await == 2).then_some(()) }).await;
}

#[tokio::test]
async fn letters_of_a_table_with_another_shape_are_sent_at_once() {
    let _stack = shared().await;
    let more = format!("{QUEUE}schema.mismatch = \"dead_letter\"\n");
    let worker = Worker::new("misfit").webhook("").sink(&more);
    let database = database().await;
    let table = format!("CREATE SCHEMA {0}; CREATE TABLE {0}.deals (id text PRIMARY KEY, title boolean)", worker.name);
    database.batch_execute(&table).await.unwrap();
    let worker = worker.start().await;
    let sent = format!(
        "SELECT count(*) FROM towpath.dead_letter WHERE sink = 'pg-{}' AND published_at IS NOT NULL",
        worker.name
    );
    // By then the sending task has looked once, and sleeps.
    worker.accept("deals", "create", "d0", json!({"title": "text"})).await;
    rows_become(&database, &sent, &["1"]).await;
    let begun = Instant::now();
    for number in 1..4 {
        worker.accept("deals", "create", format!("d{number}"), json!({"title": "text"})).await;
        rows_become(&database, &sent, &[&(number + 1).to_string()]).await;
    }
    // Without a wake-up the task looks every ten seconds: three times would take at least twenty seconds.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Creates the topic for dead letters before the worker does.
async fn create_queue(reading: &Reading, config: &[(&str, &str)]) {
    let topic = format!("dlq-{}", reading.worker.name);
    let mut new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    new.config = config.to_vec();
    reading.admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

/// Adds records that become dead letters, with this key, value and header.
async fn poison(reading: &Reading, records: &[(Option<&str>, usize, usize)]) {
    let producer: FutureProducer =
        KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
    for (key, value, header) in records {
        let (value, header) = (vec![b'v'; *value], vec![b'h'; *header]);
        let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some(&header) });
        let mut record = FutureRecord::<str, _>::to(&reading.topic).partition(0).payload(&value).headers(headers);
        record.key = *key;
        producer.send(record, WAIT).await.unwrap();
    }
}

#[tokio::test]
async fn letters_that_fit_keep_their_value_however_many_are_sent_together() {
    let mut reading = Reading::new("fit", "delete", 1, QUEUE).await;
    create_queue(&reading, &[("max.message.bytes", "20000")]).await;
    poison(&reading, &[(Some("k"), 5_000, 1); 20]).await;
    reading.worker.spawn();
    let letters = queue(&reading, 20).await;
    assert!(letters.iter().all(|letter| letter.payload().is_some_and(|value| value.len() == 5_000)));
    all_are_noted(&reading).await;
}

#[tokio::test]
async fn a_letter_that_its_topic_never_accepts_is_marked_and_blocks_no_other() {
    let mut reading = Reading::new("never", "delete", 1, QUEUE).await;
    create_queue(&reading, &[("max.message.bytes", "20000"), ("cleanup.policy", "compact")]).await;
    // No key for a compacted topic; headers that are too large; a value that is too large; one that fits.
    poison(&reading, &[(None, 10, 1), (Some("k"), 10, 30_000), (Some("large"), 30_000, 1), (Some("fits"), 10, 1)])
        .await;
    reading.worker.spawn();
    let mut letters = queue(&reading, 2).await;
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.key().map(<[u8]>::to_vec)));
    let found: Vec<_> = letters.iter().map(|letter| (letter.key(), letter.payload().map(<[u8]>::len))).collect();
    assert_eq!(found, [(Some(&b"large"[..]), None), (Some(&b"fits"[..]), Some(10))]);
    assert!(header(&letters[0], "towpath.error.value").contains("too large"));
    let marks = format!(
        "SELECT \"offset\", published_at IS NOT NULL, publish_error IS NOT NULL FROM towpath.dead_letter
         WHERE topic = '{}' ORDER BY 1",
        reading.topic
    );
    rows_become(&reading.database, &marks, &["0|f|t", "1|f|t", "2|t|f", "3|t|f"]).await;
    let reasons = format!(
        "SELECT publish_error FROM towpath.dead_letter WHERE topic = '{}' AND publish_error IS NOT NULL
         ORDER BY \"offset\"",
        reading.topic
    );
    for (reason, code) in rows(&reading.database, &reasons).await.iter().zip(["InvalidRecord", "MessageSizeTooLarge"]) {
        assert!(reason.contains(code) && reason.contains("kept in the store"), "{reason}");
    }
    assert!(reading.worker.log().contains("a dead letter is not in its topic"));
    let labels = format!("connector=\"pg-{}\"", reading.worker.name);
    assert!((reading.worker.metric("towpath_dlq_write_failures_total", &labels).await - 2.0).abs() < 0.1);
    // A person may send it again.
    let again = format!("UPDATE towpath.dead_letter SET publish_error = NULL WHERE topic = '{}'", reading.topic);
    reading.admin.delete_topics(&[&format!("dlq-{}", reading.worker.name)], &AdminOptions::new()).await.unwrap();
    reading.database.execute(&again, &[]).await.unwrap();
    all_are_noted(&reading).await;
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_named_as_such() {
    let more = format!("{QUEUE}errors.deadletterqueue.context.headers.enable = true\n");
    let mut reading = Reading::new("value", "delete", 1, &more).await;
    poison(&reading, &[(None, 10, 1)]).await;
    reading.worker.spawn();
    let letters = queue(&reading, 1).await;
    assert_eq!(header(&letters[0], "__connect.errors.stage"), "VALUE_CONVERTER");
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_producer_that_delivers_no_letter_is_replaced() {
    let mut reading = with_a_letter("stuck", QUEUE).await;
    reading.worker.failpoints("producer_opened=1*return(error)");
    reading.worker.spawn();
    queue(&reading, 1).await;
    all_are_noted(&reading).await;
    assert!(reading.worker.log().contains("the producer is renewed"), "{}", reading.worker.log());
}
