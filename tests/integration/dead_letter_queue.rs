//! Dead letters that are also written to a topic.

use std::time::{Duration, Instant};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
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
    let open =
        format!("SELECT count(*) FROM towpath.dead_letter WHERE topic = '{}' AND published_at IS NULL", reading.topic);
    rows_become(&reading.database, &open, &["0"]).await;
}

#[tokio::test]
async fn a_dead_letter_keeps_its_bytes_and_gets_the_headers_of_kafka_connect() {
    let more = format!("{QUEUE}errors.deadletterqueue.context.headers.enable = true\ntasks.max = 2\n");
    let mut reading = with_a_letter("letter", &more).await;
    reading.worker.spawn();
    let letter = queue(&reading, 1).await.remove(0);
    assert_eq!((letter.key(), letter.payload()), (Some(&b"k\0ey"[..]), Some(&b"no Avro"[..])));
    assert_eq!(letter.timestamp().to_millis(), Some(1_700_000_000_123));
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
    assert_eq!(letter.headers().unwrap().count(), 3, "no further headers unless they are enabled");
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
    eventually("the task fails", || async { (reading.worker.state("pg").await == "failed").then_some(()) }).await;
    let log = reading.worker.log();
    assert!(
        log.contains("kafka.topic_refused") && log.contains("errors.deadletterqueue.topic.replication.factor"),
        "{log}"
    );
    let open = format!("SELECT published_at IS NULL FROM towpath.dead_letter WHERE topic = '{}'", reading.topic);
    let letters = rows(&reading.database, &open).await;
    assert!(letters.iter().all(|letter| letter == "t"), "{letters:?}");
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
