//! Topics and records beside the changes of tables: incremental snapshots, heartbeats, transactions, and a table
//! without a key.

use super::source::{Form, Source, Stream};
use crate::{
    stack::{eventually, shared},
    worker::Worker,
};

const TABLES: &str = "
    CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));
    CREATE TABLE late (id int PRIMARY KEY, v text);
    CREATE TABLE plain (id int PRIMARY KEY, v text);
    INSERT INTO late SELECT n, 'v' FROM generate_series(1, 250) n;";

const SETTINGS: [(&str, &str); 6] = [
    ("snapshot.mode", "no_data"),
    ("signal.data.collection", "public.signals"),
    ("incremental.snapshot.chunk.size", "64"),
    ("heartbeat.interval.ms", "100"),
    // Its default begins with `__`, which no `topics.regex` matches.
    ("topic.heartbeat.prefix", "heartbeats"),
    ("provide.transaction.metadata", "true"),
];

/// An expression for all topics of a connector: tables, heartbeats, transactions.
fn all_topics(stream: &Stream) -> String {
    format!("topics.regex = \"(heartbeats\\\\.)?{}(\\\\..*)?\"\n", stream.prefix())
}

/// Reads `late` by a signal while its rows change, and makes over 100 heartbeats and transactions.
async fn signalled(source: &Source) {
    let signal = r#"{"data-collections": ["public.late"], "type": "incremental"}"#;
    source.run(&format!("INSERT INTO signals VALUES ('s1', 'execute-snapshot', '{signal}')")).await;
    source.run("UPDATE late SET v = 'u' WHERE id % 7 = 0").await;
    source.run("DELETE FROM late WHERE id % 11 = 0").await;
    for n in 0..120 {
        source.run(&format!("INSERT INTO plain VALUES ({n}, 'v')")).await;
    }
}

async fn has_more_than_100(worker: &Worker, topic: &str) {
    eventually("over 100 records of the topic are read", || async {
        let read = worker.metric("towpath_sink_records_read_total", &format!("topic=\"{topic}\"")).await;
        (read > 100.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_snapshot_beside_heartbeats_and_transactions_stops_nothing() {
    let _stack = shared().await;
    let source = Source::new("dbz_signals", TABLES).await;
    let stream = source.stream(Form::Json, &SETTINGS).await;
    let worker = source.sink(&stream, "none", &all_topics(&stream)).await;
    signalled(&source).await;
    for topic in [format!("heartbeats.{}", stream.prefix()), format!("{}.transaction", stream.prefix())] {
        has_more_than_100(&worker, &topic).await;
    }
    source.run("INSERT INTO plain VALUES (1000, 'after')").await;
    for table in ["late", "plain"] {
        source.agrees(&stream, "none", table).await;
    }
    assert!(source.dead_letters(&worker).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_stops_no_other() {
    let _stack = shared().await;
    let tables = "
        CREATE TABLE keyless (v text); ALTER TABLE keyless REPLICA IDENTITY FULL;
        CREATE TABLE float_key (id float8 PRIMARY KEY, v text);
        CREATE TABLE plain (id int PRIMARY KEY, v text);
        INSERT INTO keyless SELECT 'v' FROM generate_series(1, 250);
        INSERT INTO float_key SELECT n + 0.5, 'v' FROM generate_series(1, 250) n;";
    let source = Source::new("dbz_keyless", tables).await;
    let stream = source.stream(Form::Json, &[("topic.creation.default.partitions", "1")]).await;
    let worker = source.sink(&stream, "lsn", "version.field = \"source.lsn\"\n").await;
    // Both wait, and the log names them; only then come rows of the other.
    for table in ["keyless", "float_key"] {
        let name = format!("{}.public.{table}", stream.prefix());
        eventually("the log names the table that waits", || async {
            let log = worker.log();
            let named = log.lines().any(|line| line.contains(&name) && line.contains("sink.systematic"));
            named.then_some(())
        })
        .await;
    }
    source.run("INSERT INTO plain SELECT n, 'v' FROM generate_series(1, 250) n").await;
    source.agrees(&stream, "lsn", "plain").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_the_source_lets_records_without_one_pass() {
    let _stack = shared().await;
    let source = Source::new("dbz_passed", TABLES).await;
    let stream = source.stream(Form::Avro, &SETTINGS).await;
    let keys = format!("version.field = \"source.lsn\"\n{}", all_topics(&stream));
    let worker = source.sink(&stream, "lsn", &keys).await;
    signalled(&source).await;
    for topic in [format!("heartbeats.{}", stream.prefix()), format!("{}.transaction", stream.prefix())] {
        has_more_than_100(&worker, &topic).await;
    }
    source.run("INSERT INTO plain VALUES (1000, 'after')").await;
    for table in ["late", "plain"] {
        source.agrees(&stream, "lsn", table).await;
    }
    assert!(source.dead_letters(&worker).await.is_empty());
}
