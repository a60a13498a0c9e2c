//! Records that are made to do harm: each is applied, or becomes a dead letter as it came, and the next one goes on.

use std::io::{Read as _, Write as _};

use towpath_api::apache_avro::{BigDecimal, types::Value};

use crate::{
    stack::{database, env, eventually, rows, rows_become, shared},
    types::foreign::{Topic, record},
    worker::Worker,
};

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;
const NUMBER: &str = r#"{"type":"bytes","logicalType":"big-decimal"}"#;

/// A worker that runs, and a topic of it with these fields after `id`.
async fn reading(theme: &str, fields: &str) -> (Worker, Topic) {
    let worker = Worker::new(theme).sink("").start().await;
    let value = format!(r#"{{"type":"record","name":"Zoo","fields":[{{"name":"id","type":"int"}},{fields}]}}"#);
    let topic = Topic::with_partitions(&format!("{}.zoo", worker.name), 1).await.avro(KEY, &value).await;
    (worker, topic)
}

fn key(id: i32) -> Value {
    record(&[("id", Value::Int(id))])
}

/// Appends `bytes` after their length as Avro and Kafka write it.
fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, i64::try_from(bytes.len()).unwrap());
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Produces one record by Kafka's own protocol, since clients only write headers whose names are UTF-8.
fn produce_raw(topic: &str, key: &[u8], value: &[u8], headers: &[(&[u8], &[u8])]) {
    let mut fields = vec![0, 0, 0];
    sized(&mut fields, key);
    sized(&mut fields, value);
    varint(&mut fields, i64::try_from(headers.len()).unwrap());
    for (name, value) in headers {
        sized(&mut fields, name);
        sized(&mut fields, value);
    }
    let mut record = Vec::new();
    sized(&mut record, &fields);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = u64::try_from(now).unwrap().to_be_bytes();
    // Attributes, last delta, first and last time, producer id, epoch and sequence, number of records.
    let checked = [&[0; 6][..], &now, &now, &[0xff; 14], &1_u32.to_be_bytes(), &record].concat();
    let after_length = [&[0xff; 4][..], &[2], &crc32c(&checked).to_be_bytes(), &checked].concat();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let batch = [&[0; 8][..], &length(&after_length), &after_length].concat();
    let name = [&u16::try_from(topic.len()).unwrap().to_be_bytes()[..], topic.as_bytes()].concat();
    let (one, zero) = (1_u32.to_be_bytes(), 0_u32.to_be_bytes());
    // Produce, version 3: no transaction, all replicas, 10 s, one topic, partition 0.
    let head = [0, 0, 0, 3, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0x27, 0x10];
    let request = [&head[..], &one, &name, &one, &zero, &length(&batch), &batch].concat();
    let mut broker = std::net::TcpStream::connect(env("KAFKA_BOOTSTRAP")).unwrap();
    broker.write_all(&[&length(&request)[..], &request].concat()).unwrap();
    let mut size = [0; 4];
    broker.read_exact(&mut size).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    broker.read_exact(&mut answer).unwrap();
    // Correlation, topics, name, partitions and partition precede the error.
    assert_eq!(answer[4 + 4 + name.len() + 8..][..2], [0, 0], "the broker accepts the record: {answer:?}");
}

#[tokio::test]
async fn a_header_whose_name_is_not_utf8_harms_neither_its_record_nor_the_next() {
    let _stack = shared().await;
    let mut worker = Worker::new("headers")
        .sink(
            "\"key.converter\" = \"string\"\n\"value.converter\" = \"json\"\nvalue.converter.schemas.enable = false\n",
        )
        .start()
        .await;
    let topic = Topic::with_partitions(&format!("{}.zoo", worker.name), 1).await;
    let header: (&[u8], &[u8]) = (b"\xff\xfe", b"canary-of-a-header");
    produce_raw(topic.table(), b"a", b"1", &[(b"first", b"1"), header, (b"last", b"2")]);
    produce_raw(topic.table(), b"b", b"canary, not JSON", &[(b"first", b"1"), header, (b"last", b"2")]);
    produce_raw(topic.table(), b"c", b"3", &[(b"nu\0l", b"x")]);
    produce_raw(topic.table(), b"d", b"4", &[]);
    let database = database().await;
    rows_become(&database, &format!("SELECT id, value FROM {} ORDER BY 1", topic.table()), &["a|1", "c|3", "d|4"])
        .await;
    let letter = format!(
        "SELECT \"offset\", error_code, convert_from(key, 'UTF8'), convert_from(value, 'UTF8'), headers
         FROM towpath.dead_letter WHERE topic = '{}'",
        topic.table()
    );
    let expected = "1|decode.json|b|canary, not JSON|[[\"first\", \"1\"], [\"\u{fffd}\", null], [\"last\", \"2\"]]";
    rows_become(&database, &letter, &[expected]).await;
    assert_eq!(worker.state("pg").await, "running");
    let tapped = worker.tap("zoo", &[]);
    assert_eq!(tapped[0]["headers"], serde_json::json!({"first": "1", "\u{fffd}": null, "last": "2"}));
    worker.signal("TERM");
    worker.ended().await;
    let log = worker.log();
    assert!(!log.contains("canary") && !log.contains("panick"), "{log}");
}

#[tokio::test]
async fn numbers_of_absurd_scale_are_dead_letters_and_take_no_memory() {
    let _stack = shared().await;
    let fields = format!(
        r#"{{"name":"plain","type":["null",{NUMBER}]}},{{"name":"many","type":{{"type":"array","items":{NUMBER}}}}}"#
    );
    let (worker, topic) = reading("scales", &fields).await;
    let number = |scale: i64| Value::BigDecimal(BigDecimal::new(1.into(), scale));
    let of = |id: i32, plain: Value, many: Value| {
        record(&[("id", Value::Int(id)), ("plain", plain), ("many", Value::Array(vec![many]))])
    };
    let (none, some) = (|| Value::Union(0, Box::new(Value::Null)), |value| Value::Union(1, Box::new(value)));
    let mut id = 0;
    for scale in [-20_000_000_000, 20_000_000_000, 1 << 62, i64::MIN, i64::MAX, 16_384, -16_384] {
        topic.send(Some(key(id)), Some(of(id, some(number(scale)), number(0)))).await;
        topic.send(Some(key(id + 1)), Some(of(id + 1, none(), number(scale)))).await;
        id += 2;
    }
    topic.send(Some(key(id)), Some(of(id, some(number(16_383)), number(-3)))).await;
    let database = database().await;
    let stored = format!("SELECT id, scale(plain), many FROM {}", topic.table());
    rows_become(&database, &stored, &[&format!("{id}|16383|[\"1000\"]")]).await;
    let letters =
        format!("SELECT error_code, count(*) FROM towpath.dead_letter WHERE topic = '{}' GROUP BY 1", topic.table());
    rows_become(&database, &letters, &["decode.out_of_range|14"]).await;
    assert_eq!(worker.state("pg").await, "running");
    assert!(worker.memory() < 200 * 1_024, "{} KiB", worker.memory());
}

#[tokio::test]
async fn arrays_that_inflate_stay_within_the_memory_and_one_beyond_it_is_a_dead_letter() {
    const RECORDS: i32 = 200;
    let _stack = shared().await;
    let names: Vec<_> = (0..100).map(|at| format!(r#"{{"name":"field_{at}","type":"null"}}"#)).collect();
    let fields = format!(
        r#"{{"name":"nulls","type":{{"type":"array","items":"null"}}}},{{"name":"wide","type":{{"type":"array",
           "items":{{"type":"record","name":"wide","fields":[{}]}}}}}}"#,
        names.join(",")
    );
    let (worker, topic) = reading("inflate", &fields).await;
    let wide = record(&(0..100).map(|_| ("", Value::Null)).collect::<Vec<_>>());
    let Value::Record(nulls) = wide else { panic!("a record") };
    let wide = Value::Record((0..).zip(nulls).map(|(at, (_, null))| (format!("field_{at}"), null)).collect());
    let of = |id: i32, nulls: usize, wides: usize| {
        record(&[
            ("id", Value::Int(id)),
            ("nulls", Value::Array(vec![Value::Null; nulls])),
            ("wide", Value::Array(vec![wide.clone(); wides])),
        ])
    };
    topic.send(Some(key(-1)), Some(of(-1, 0, 30_000))).await;
    for id in 0..RECORDS {
        topic.send(Some(key(id)), Some(of(id, 65_536, 0))).await;
    }
    let database = database().await;
    let (mut peak, stored) = (0, format!("SELECT count(*) FROM {}", topic.table()));
    let peak = eventually("all records are stored", || {
        peak = worker.memory().max(peak);
        let (peak, database, stored) = (peak, &database, &stored);
        async move {
            let exists = database.simple_query(stored).await.is_ok();
            (exists && rows(database, stored).await == [RECORDS.to_string()]).then_some(peak)
        }
    })
    .await;
    // The values alone would take 730 MiB.
    assert!(peak < 200 * 1_024, "{peak} KiB");
    rows_become(&database, &topic.dead_letters(), &["0|decode.too_large"]).await;
    assert_eq!(worker.state("pg").await, "running");
}
