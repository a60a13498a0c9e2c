//! The order of two records of a key, if a field has the version.

use towpath_api::apache_avro::types::Value;

use super::{KEY, columns::Column, envelope, event, foreign::Topic, key, with_body};
use crate::{
    stack::{database, eventually, rows, rows_become, shared},
    worker::Worker,
};

#[tokio::test]
async fn a_named_field_decides_which_record_is_newer() {
    let _stack = shared().await;
    let worker = Worker::new("version").sink("\"version.field\" = \"source.lsn\"\n").start().await;
    let topic = numbers(&worker).await;
    for (n, lsn) in [(5, 50), (3, 30), (4, 40)] {
        topic.send(Some(key(1)), Some(numbered("u", n, lsn))).await;
    }
    topic.send_bytes(b"no framing", b"no framing", &[]).await;
    let database = database().await;
    rows_become(&database, &topic.dead_letters(), &["3|decode.framing"]).await;
    assert_eq!(rows(&database, &format!("SELECT n, _towpath_ts FROM {}", topic.table())).await, ["5|51"]);
    stale_are(&worker, "2").await;
}

/// A topic of rows with a number, and changes of one of them.
async fn numbers(worker: &Worker) -> Topic {
    let columns: Vec<Column> = vec![("n", r#""int""#.into(), Value::Int(0), "", "")];
    Topic::new(&format!("{}.zoo", worker.name)).await.avro(KEY, &envelope(&columns)).await
}

fn numbered(op: &str, n: i32, lsn: i64) -> Value {
    let columns: Vec<Column> = vec![("n", String::new(), Value::Int(n), "", "")];
    event(op, Some(with_body(&columns, "b")), lsn)
}

#[tokio::test]
async fn a_delete_ends_its_row_whatever_version_the_record_before_it_has() {
    let _stack = shared().await;
    let worker = Worker::new("ended").sink("\"version.field\" = \"n\"\n").start().await;
    let topic = numbers(&worker).await;
    let database = database().await;
    for id in 1..5 {
        topic.send(Some(key(id)), Some(numbered("c", 5, 1))).await;
    }
    // With the default replica identity of Postgres, `before` has defaults of the columns apart from the key.
    for (id, n) in [(1, 5), (2, 0), (3, 4)] {
        topic.send(Some(key(id)), Some(numbered("d", n, 1))).await;
        topic.send(Some(key(id)), None).await;
    }
    topic.send_bytes(b"no framing", b"no framing", &[]).await;
    rows_become(&database, &topic.dead_letters(), &["10|decode.framing"]).await;
    let table = format!("SELECT id, n, _towpath_deleted FROM {} ORDER BY id", topic.table());
    assert_eq!(rows(&database, &table).await, ["1|5|t", "2|5|t", "3|5|t", "4|5|f"]);
    // An older version does not come back. The row may be created again within the tick of its version.
    for (id, n) in [(1, 4), (2, 5), (3, 6)] {
        topic.send(Some(key(id)), Some(numbered("c", n, 1))).await;
    }
    rows_become(&database, &table, &["1|5|t", "2|5|f", "3|6|f", "4|5|f"]).await;
    stale_are(&worker, "1").await;
}

#[tokio::test]
async fn of_two_records_of_one_version_the_later_one_wins() {
    let _stack = shared().await;
    let worker = Worker::new("ticks").sink("\"version.field\" = \"source.lsn\"\n").start().await;
    let topic = numbers(&worker).await;
    for n in 1..4 {
        topic.send(Some(key(1)), Some(numbered("u", n, 50))).await;
    }
    rows_become(&database().await, &format!("SELECT n, _towpath_ts FROM {}", topic.table()), &["3|51"]).await;
}

#[tokio::test]
async fn a_truncate_has_a_version_if_the_source_gives_one() {
    let _stack = shared().await;
    let settings = "\"version.field\" = \"source.lsn\"\n\"truncate.enabled\" = true\n";
    let worker = Worker::new("truncate").sink(settings).start().await;
    let topic = numbers(&worker).await;
    let database = database().await;
    for (id, op, lsn) in [(1, "c", 10), (2, "c", 30)] {
        topic.send(Some(key(id)), Some(numbered(op, 0, lsn))).await;
    }
    let table = format!("SELECT id, _towpath_ts, _towpath_deleted FROM {} ORDER BY id", topic.table());
    rows_become(&database, &table, &["1|11|f", "2|31|f"]).await;
    // Its position in the log is after the first row and before the second.
    topic.send(None, Some(event("t", None, 20))).await;
    rows_become(&database, &table, &["1|21|t", "2|31|f"]).await;
    // The rows that it ended do not come back.
    topic.send(Some(key(1)), Some(numbered("u", 0, 15))).await;
    topic.send_bytes(b"no framing", b"no framing", &[]).await;
    rows_become(&database, &topic.dead_letters(), &["4|decode.framing"]).await;
    assert_eq!(rows(&database, &table).await, ["1|21|t", "2|31|f"]);
    stale_are(&worker, "1").await;
}

#[tokio::test]
async fn a_truncate_without_a_version_ends_earlier_rows() {
    let _stack = shared().await;
    let worker = Worker::new("truncated").sink("\"truncate.enabled\" = true\n").start().await;
    let topic = numbers(&worker).await;
    for (id, op) in [(1, "c"), (2, "c")] {
        topic.send(Some(key(id)), Some(numbered(op, id, 1))).await;
    }
    topic.send(None, Some(event("t", None, 2))).await;
    topic.send(Some(key(2)), Some(numbered("c", 7, 3))).await;
    let table = format!("SELECT id, n, _towpath_deleted FROM {} ORDER BY id", topic.table());
    rows_become(&database().await, &table, &["1|1|t", "2|7|f"]).await;
}

/// Waits until the worker has counted `expected` records as older than their rows. The end of the worker checks that it
/// counts no others.
async fn stale_are(worker: &Worker, expected: &str) {
    eventually(&format!("{expected} records are stale"), || async {
        let counted = worker.metric("towpath_sink_records_skipped_total", "reason=\"stale\"").await;
        (counted.to_string() == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_redelivered_delete_with_its_tombstone_keeps_a_newer_row() {
    let _stack = shared().await;
    let worker = Worker::new("again").sink("\"version.field\" = \"source.lsn\"\n").start().await;
    let topic = numbers(&worker).await;
    let database = database().await;
    let table = format!("SELECT id, n, _towpath_deleted FROM {} ORDER BY id", topic.table());
    // Debezium's connector writes these again after a crash: from the delete on.
    for round in 0..2 {
        topic.send(Some(key(1)), Some(numbered("d", 4, 40))).await;
        topic.send(Some(key(1)), None).await;
        if round == 0 {
            topic.send(Some(key(1)), Some(numbered("c", 5, 50))).await;
            rows_become(&database, &table, &["1|5|f"]).await;
        }
    }
    topic.send_bytes(b"no framing", b"no framing", &[]).await;
    rows_become(&database, &topic.dead_letters(), &["5|decode.framing"]).await;
    assert_eq!(rows(&database, &table).await, ["1|5|f"]);
}

#[tokio::test]
async fn a_restart_between_deletes_and_their_tombstones_keeps_newer_rows() {
    let _stack = shared().await;
    let mut worker = Worker::new("between").sink("\"version.field\" = \"source.lsn\"\n").start().await;
    let topic = numbers(&worker).await;
    let database = database().await;
    let table = format!("SELECT id, n, _towpath_deleted FROM {} ORDER BY id", topic.table());
    for id in 1..=3 {
        topic.send(Some(key(id)), Some(numbered("c", 5, 50))).await;
    }
    // The deletes of two producers that write to one partition, older than the rows.
    for id in 1..=2 {
        topic.send(Some(key(id)), Some(numbered("d", 4, 40))).await;
    }
    stale_are(&worker, "2").await;
    worker.kill();
    for id in 1..=3 {
        topic.send(Some(key(id)), None).await;
    }
    worker.spawn();
    topic.send_bytes(b"no framing", b"no framing", &[]).await;
    rows_become(&database, &topic.dead_letters(), &["8|decode.framing"]).await;
    assert_eq!(rows(&database, &table).await, ["1|5|f", "2|5|f", "3|5|t"], "a tombstone without a delete deletes");
}
