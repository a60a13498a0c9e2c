//! Databases that an earlier version has created.

use tokio_postgres::NoTls;
use towpath_api::{Anchor, Arena, Batch, Beginning, Body, OpenSink as _, Payload, Record, Sink as _, TopicPartition};
use towpath_keys::{Flat, read};
use towpath_postgres::{OpenPostgresSink, PostgresSinkConfig, SinkSettings};

use crate::stack::{database, env, rows, shared, unique};

/// Schema `towpath` as the first version created it, with a partition in use.
const FIRST_VERSION: &str = r#"
CREATE SCHEMA towpath;
CREATE TABLE towpath.sink_partition (
    sink text NOT NULL, topic text NOT NULL, partition integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0), epoch bigint NOT NULL CHECK (epoch > 0), owner text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (sink, topic, partition))
    WITH (fillfactor = 50);
CREATE TABLE towpath.dead_letter (
    sink text NOT NULL, topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL, stage text NOT NULL,
    error_code text NOT NULL, error_text text NOT NULL, key bytea, value bytea, headers jsonb NOT NULL DEFAULT '[]',
    record_time timestamptz, first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (sink, topic, partition, "offset"));
CREATE TABLE towpath.tables (
    table_schema text NOT NULL, table_name text NOT NULL, topic text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (table_schema, table_name));
CREATE TABLE towpath.columns (
    table_schema text NOT NULL, table_name text NOT NULL, field text NOT NULL, column_name text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (table_schema, table_name, field),
    UNIQUE (table_schema, table_name, column_name));
INSERT INTO towpath.sink_partition (sink, topic, partition, next_offset, epoch, owner) 
VALUES ('pg', 'acme.deals', 0, 7, 3, 'old');
INSERT INTO towpath.dead_letter (sink, topic, partition, "offset", stage, error_code, error_text)
VALUES ('pg', 'acme.deals', 0, 6, 'decode', 'decode.framing', 'kept')"#;

#[tokio::test]
async fn a_database_of_the_first_version_is_continued_at_its_offset() {
    let _stack = shared().await;
    let (name, observer) = (unique("upgrade"), database().await);
    observer.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let url = env("DATABASE_URL");
    let url = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
    let (old, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    old.batch_execute(FIRST_VERSION).await.unwrap();

    let keys = Flat::from_strings([("connection.url", url.as_str())]);
    let (config, _) = read::<PostgresSinkConfig>(&keys).unwrap();
    let settings = SinkSettings { name: "pg".into(), owner: "new".into(), tolerate_poison: true, retry_timeout: None };
    let mut sink = OpenPostgresSink::new(settings, config).open().await.unwrap();
    let partition = TopicPartition { topic: "acme.deals".into(), partition: 0 };
    let beginning = Beginning { earliest: 0, cluster_id: Some("here".into()) };
    let claim = sink.claim(&partition, &beginning, None).await.unwrap();
    assert_eq!((claim.next_offset, claim.epoch, claim.anchor), (7, 4, None));

    let anchor = Some(Anchor { offset: 7, hash: [9; 32] });
    let tombstone = Record { offset: 7, timestamp_ms: 1, body: Body::Tombstone(None), payload: Payload::default() };
    let batch = Batch {
        partition: partition.clone(),
        from: 7,
        to: 8,
        anchor,
        records: vec![tombstone],
        arena: Arena::default(),
    };
    assert_eq!(sink.apply(&claim, &batch).await.unwrap().total(), 1);
    let again = sink.claim(&partition, &beginning, Some(&claim)).await.unwrap();
    assert_eq!((again.next_offset, again.anchor), (8, anchor));
    let kept = "SELECT sink, next_offset, cluster_id, anchor_offset FROM towpath.sink_partition";
    assert_eq!(rows(&old, kept).await, ["pg|8|here|7"]);
    let next = "INSERT INTO towpath.dead_letter (sink, topic, partition, \"offset\", stage, error_code, error_text,
                  generation)
                SELECT sink, topic, partition, \"offset\", stage, error_code, 'new', generation + 1
                FROM towpath.dead_letter";
    old.batch_execute(next).await.unwrap();
    let letters = "SELECT \"offset\", generation, error_text FROM towpath.dead_letter ORDER BY generation";
    assert_eq!(rows(&old, letters).await, ["6|0|kept", "6|1|new"]);
    drop((sink, old));
    observer.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
}
