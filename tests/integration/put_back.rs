//! `towpath.dead_letter` suffices to put a record back: its bytes, headers and offset are read from the table, decoded
//! and applied as the sink would have done originally, whatever has been applied to its key since.

use std::time::Duration;

use serde_json::Value as Json;
use tokio_postgres::Client;
use towpath::avro::{
    codec::{Decoded, Decoder, Reading, ReadingSettings, SchemaHeaders, VersionField},
    registry::Registry,
};
use towpath_api::{
    Applied, Arena, Batch, Body, OpenSink as _, Payload, Record, Sink as _, TopicPartition, apache_avro::types::Value,
};
use towpath_keys::{Flat, read};
use towpath_postgres::{OpenPostgresSink, PostgresSinkConfig, SinkSettings};

use crate::{
    laboratory::beginning,
    stack::{database, env, rows, rows_become, shared},
    types::foreign::{Topic, null, record, some, text},
    worker::Worker,
};

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;
const VALUE: &str = r#"{"type":"record","name":"Value","fields":[{"name":"v","type":"long"},
    {"name":"n","type":["null","int"]},
    {"name":"note","type":["null","string"]}]}"#;

/// A worker whose table refuses a negative `n` until the table is fixed.
struct Refusing {
    worker: Worker,
    topic: Topic,
    database: Client,
    by_version: bool,
}

impl Refusing {
    async fn start(theme: &str, by_version: bool) -> Self {
        let keys = if by_version { "\"version.field\" = \"v\"\n" } else { "" };
        let worker = Worker::new(theme).sink(keys).start().await;
        let topic = Topic::with_partitions(&format!("{}.notes", worker.name), 1).await.avro(KEY, VALUE).await;
        let refusing = Self { worker, topic, database: database().await, by_version };
        refusing.send(9, Some((1, 1))).await;
        refusing.reads_up_to(1).await;
        refusing.sql("ALTER TABLE {n}.notes ADD CONSTRAINT positive CHECK (n >= 0)").await;
        refusing
    }

    async fn sql(&self, sql: &str) {
        self.database.batch_execute(&sql.replace("{n}", &self.worker.name)).await.unwrap();
    }

    /// A record about `id` with its version and `n`, or a tombstone.
    async fn send(&self, id: i32, content: Option<(i64, i32)>) {
        self.topic.send(Some(key(id)), content.map(value)).await;
    }

    /// Waits until the sink has caught up, so that the next records are another batch.
    async fn reads_up_to(&self, offset: i64) {
        let sql = format!("SELECT next_offset FROM towpath.sink_partition WHERE sink = 'pg-{}'", self.worker.name);
        rows_become(&self.database, &sql, &[&offset.to_string()]).await;
    }

    /// The table as `id|n|deleted|offset`.
    async fn table(&self) -> Vec<String> {
        let sql =
            format!("SELECT id, n, _towpath_deleted, _towpath_offset FROM {}.notes ORDER BY id", self.worker.name);
        rows(&self.database, &sql).await
    }

    /// Applies each dead letter, in order, from the table `towpath.dead_letter` alone.
    async fn put_back(&self) -> Vec<(i64, Applied)> {
        let sql = "SELECT topic, partition, \"offset\", key, value, headers FROM towpath.dead_letter WHERE sink = $1
                   ORDER BY 1, 2, 3";
        let letters = self.database.query(sql, &[&format!("pg-{}", self.worker.name)]).await.unwrap();
        let registry = Registry::new(&env("SCHEMA_REGISTRY_URL"), &prometheus::Registry::new()).unwrap();
        let version = self.by_version.then(|| VersionField::parse("v"));
        let mut decoder =
            Decoder::reading(registry, Reading::new(ReadingSettings { version, ..ReadingSettings::default() }));
        let mut done = Vec::new();
        for letter in letters {
            let (topic, offset): (&str, i64) = (letter.get(0), letter.get(2));
            let (key, value): (Option<&[u8]>, Option<&[u8]>) = (letter.get(3), letter.get(4));
            let headers = headers(&letter.get(5));
            let header =
                |wanted: &str| headers.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.as_deref());
            let schemas = SchemaHeaders {
                key: header(SchemaHeaders::KEY),
                value: header(SchemaHeaders::VALUE),
                ..SchemaHeaders::default()
            };
            let body = loop {
                match decoder.decode_with(key, value, schemas) {
                    Decoded::Body(body) => break body,
                    Decoded::NeedsSchema(id) => decoder.learn(id).await.unwrap(),
                }
            };
            assert!(matches!(body, Body::Change(_)), "{body:?}");
            let mut arena = Arena::default();
            let payload = Payload {
                key: key.map(|key| arena.push(key)),
                value: value.map(|value| arena.push(value)),
                headers: arena.push_headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))),
            };
            let partition = TopicPartition { topic: topic.into(), partition: letter.get(1) };
            let records = vec![Record { offset, timestamp_ms: 0, body, payload }];
            let batch = Batch { partition, from: offset, to: offset + 1, anchor: None, records, arena };
            done.push((offset, self.apply(&batch).await));
        }
        done
    }

    /// Uses a sink of another name at the offset of the record; the worker's sink continues meanwhile.
    async fn apply(&self, batch: &Batch) -> Applied {
        let url = env("DATABASE_URL");
        let (config, _) = read::<PostgresSinkConfig>(&Flat::from_strings([("connection.url", url.as_str())])).unwrap();
        let settings = SinkSettings {
            name: format!("again-{}-{}", batch.from, self.worker.name),
            owner: "put back".to_owned(),
            tolerate_poison: false,
            retry_timeout: Some(Duration::ZERO),
        };
        let mut sink = OpenPostgresSink::new(settings, config).open().await.unwrap();
        let beginning = towpath_api::Beginning { earliest: batch.from, ..beginning() };
        let claim = sink.claim(&batch.partition, &beginning, None).await.unwrap();
        sink.apply(&claim, batch).await.unwrap_or_else(|error| panic!("{}", error.error.chain()))
    }
}

fn key(id: i32) -> Value {
    record(&[("id", Value::Int(id))])
}

fn value((v, n): (i64, i32)) -> Value {
    let note = if n % 2 == 0 { null() } else { some(text("odd")) };
    record(&[("v", Value::Long(v)), ("n", some(Value::Int(n))), ("note", note)])
}

/// Decodes headers in the format of the column's comment.
fn headers(pairs: &Json) -> Vec<(String, Option<Vec<u8>>)> {
    let pairs = pairs.as_array().expect("an array of pairs");
    let bytes =
        |hex: &str| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let value = |value: &Json| match value {
        Json::Null => None,
        Json::String(text) => Some(text.as_bytes().to_vec()),
        other => Some(bytes(other["hex"].as_str().expect("text or hex").trim_start_matches("\\x"))),
    };
    pairs.iter().map(|pair| (pair[0].as_str().expect("a name").to_owned(), value(&pair[1]))).collect()
}

#[tokio::test]
async fn a_dead_letter_can_be_put_back_if_its_row_is_not_newer() {
    let _stack = shared().await;
    let refusing = Refusing::start("putback", false).await;
    // 1 is followed by a newer record, 2 by none, 4 by a delete of its earlier row.
    refusing.send(4, Some((1, 4))).await;
    refusing.send(1, Some((1, -1))).await;
    refusing.send(2, Some((1, -2))).await;
    refusing.send(4, Some((2, -4))).await;
    // A header that is not text has the id of its schema.
    refusing.topic.send_by_header(key(5), value((1, -5)), &[("trace", Some(b"a text")), ("none", None)]).await;
    refusing.reads_up_to(6).await;
    refusing.send(1, Some((2, 11))).await;
    refusing.send(4, None).await;
    refusing.reads_up_to(8).await;
    assert_eq!(refusing.table().await, ["1|11|f|6", "4|4|t|7", "9|1|f|0"]);

    refusing.sql("ALTER TABLE {n}.notes DROP CONSTRAINT positive").await;
    let done = refusing.put_back().await;
    let told: Vec<_> =
        done.iter().map(|(offset, applied)| (*offset, applied.inserted, applied.stale, applied.total())).collect();
    assert_eq!(told, [(2, 0, 1, 1), (3, 1, 0, 1), (4, 0, 1, 1), (5, 1, 0, 1)]);
    let stored = ["1|11|f|6", "2|-2|f|3", "4|4|t|7", "5|-5|f|5", "9|1|f|0"];
    assert_eq!(refusing.table().await, stored);
    // A repetition changes nothing, and later records replace the row.
    refusing.sql("DELETE FROM towpath.sink_partition WHERE sink LIKE 'again-%-{n}'").await;
    for (offset, applied) in refusing.put_back().await {
        assert_eq!((applied.stale, applied.total()), (1, 1), "offset {offset}");
    }
    assert_eq!(refusing.table().await, stored);
    refusing.send(2, Some((3, 22))).await;
    refusing.reads_up_to(9).await;
    assert_eq!(refusing.table().await, ["1|11|f|6", "2|22|f|8", "4|4|t|7", "5|-5|f|5", "9|1|f|0"]);
}

#[tokio::test]
async fn a_record_that_is_put_back_has_its_own_version() {
    let _stack = shared().await;
    let refusing = Refusing::start("putversion", true).await;
    refusing.send(1, Some((30, -1))).await;
    refusing.send(2, Some((50, -2))).await;
    refusing.reads_up_to(3).await;
    refusing.send(1, Some((40, 1))).await;
    refusing.send(2, Some((40, 2))).await;
    refusing.reads_up_to(5).await;
    assert_eq!(refusing.table().await, ["1|1|f|3", "2|2|f|4", "9|1|f|0"]);
    refusing.sql("ALTER TABLE {n}.notes DROP CONSTRAINT positive").await;
    refusing.put_back().await;
    assert_eq!(
        refusing.table().await,
        ["1|1|f|3", "2|-2|f|2", "9|1|f|0"],
        "the greater version wins, whatever was applied later"
    );
}

#[tokio::test]
async fn a_record_that_is_put_back_stays_deleted_if_it_was_deleted_since() {
    let _stack = shared().await;
    let refusing = Refusing::start("putdeleted", false).await;
    refusing.send(3, Some((1, -3))).await;
    refusing.reads_up_to(2).await;
    // A plain topic: the tombstone is the delete. The table has no row for it to end.
    refusing.send(3, None).await;
    refusing.reads_up_to(3).await;
    refusing.sql("ALTER TABLE {n}.notes DROP CONSTRAINT positive").await;
    refusing.put_back().await;
    let live = format!("SELECT id FROM {}.notes_live ORDER BY id", refusing.worker.name);
    assert_eq!(rows(&refusing.database, &live).await, ["9"], "a later record of the topic deletes it");
}
