//! Rows that refer to rows which come later: in the same partition, in another, or never.

use tokio_postgres::Client;

use crate::{
    stack::{Shared, database, eventually, rows, rows_become, shared},
    types::foreign::{Sent, Topic, null, record, some, text},
    worker::Worker,
};
use towpath_api::apache_avro::types::Value;

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;
const VALUE: &str = r#"{"type":"record","name":"Value","fields":[{"name":"parent","type":["null","int"]},
    {"name":"note","type":"string"}]}"#;

/// A table whose rows refer to each other, and its topic.
struct Tree {
    worker: Worker,
    topic: Topic,
    database: Client,
    next: [i64; 2],
    _stack: Shared,
}

impl Tree {
    /// The worker does not run yet.
    async fn new(theme: &str, more: &str) -> Self {
        let stack = shared().await;
        let worker = Worker::new(theme).sink(&format!("errors.retry.delay.max.ms = 200\n{more}"));
        let topic = Topic::with_partitions(&format!("{}.nodes", worker.name), 2).await.avro(KEY, VALUE).await;
        let database = database().await;
        let table = format!(
            "CREATE SCHEMA {0}; CREATE TABLE {0}.nodes (id integer PRIMARY KEY, parent integer REFERENCES {0}.nodes)",
            worker.name
        );
        database.batch_execute(&table).await.unwrap();
        Self { worker, topic, database, next: [0; 2], _stack: stack }
    }

    /// Writes records of a partition: id, parent, note; a note of `-` is a tombstone.
    async fn send(&mut self, partition: i32, nodes: impl IntoIterator<Item = (i32, Option<i32>, &str)>) {
        let mut sent = Vec::new();
        for (id, parent, note) in nodes {
            let next = &mut self.next[usize::try_from(partition).unwrap()];
            let parent = parent.map_or_else(null, |parent| some(Value::Int(parent)));
            let value = (note != "-").then(|| record(&[("parent", parent), ("note", text(note))]));
            sent.push(Sent { partition, offset: *next, key: Some(record(&[("id", Value::Int(id))])), value });
            *next += 1;
        }
        self.topic.send_all(sent).await;
    }

    /// Waits until the live rows are these: id, parent, note.
    async fn becomes(&self, condition: &str, expected: &[&str]) {
        let sql = format!(
            "SELECT id, parent, note FROM {}.nodes WHERE NOT _towpath_deleted AND ({condition}) ORDER BY id",
            self.worker.name
        );
        rows_become(&self.database, &sql, expected).await;
    }

    async fn waiting(&self) -> Vec<String> {
        let sql = format!(
            "SELECT partition, \"offset\" FROM towpath.waiting WHERE sink = 'pg-{}' ORDER BY 1, 2",
            self.worker.name
        );
        rows(&self.database, &sql).await
    }

    async fn waiting_becomes(&self, expected: &[&str]) {
        eventually(&format!("{expected:?} wait"), || async { (self.waiting().await == expected).then_some(()) }).await;
    }

    /// Returns `None` unless state and metric show this number of waiting records.
    async fn shows_waiting(&self, records: u32) -> Option<()> {
        let connectors: serde_json::Value =
            serde_json::from_str(&self.worker.get("/towpath/v1/connectors").await.1).unwrap();
        let partition = &connectors[0]["tasks"][0]["partitions"][0];
        let since = partition["waiting_records_since"].is_string();
        let gauge = self.worker.metric("towpath_sink_waiting_records", "topic=").await;
        let is_shown = partition["waiting_records"] == records && since == (records > 0);
        (is_shown && (gauge - f64::from(records)).abs() < 0.5).then_some(())
    }

    async fn dead_letters(&self) -> Vec<String> {
        let sql = format!(
            "SELECT partition, \"offset\", error_code FROM towpath.dead_letter WHERE sink = 'pg-{}' ORDER BY 1, 2",
            self.worker.name
        );
        rows(&self.database, &sql).await
    }

    async fn ends_right(mut self) {
        assert_eq!(self.waiting().await, [""; 0]);
        assert_eq!(self.dead_letters().await, [""; 0]);
        self.worker.must_account_for_each_record();
    }
}

#[tokio::test]
async fn a_parent_behind_a_full_batch_of_its_partition_arrives() {
    let mut tree = Tree::new("behind", "batch.max.rows = 5000\n").await;
    let others = (10..5_010).map(|id| (id, None, "other"));
    tree.send(0, [(1, Some(2), "child")].into_iter().chain(others).chain([(2, None, "parent")])).await;
    tree.worker.spawn();
    tree.worker.is_ready().await;
    tree.becomes("id < 10", &["1|2|child", "2||parent"]).await;
    tree.becomes("id > 5008", &["5009||other"]).await;
    tree.ends_right().await;
}

#[tokio::test]
async fn partitions_that_wait_for_each_other_both_go_on() {
    let mut tree = Tree::new("crossing", "batch.max.rows = 2\n").await;
    tree.send(0, [(1, Some(12), "child"), (3, None, "x"), (4, None, "x"), (2, None, "parent")]).await;
    tree.send(1, [(11, Some(2), "child"), (13, None, "x"), (14, None, "x"), (12, None, "parent")]).await;
    tree.worker.spawn();
    tree.worker.is_ready().await;
    tree.becomes("note <> 'x'", &["1|12|child", "2||parent", "11|2|child", "12||parent"]).await;
    tree.becomes("note = 'x'", &["3||x", "4||x", "13||x", "14||x"]).await;
    tree.ends_right().await;
}

#[tokio::test]
async fn later_records_of_a_waiting_key_keep_their_order_even_across_kills() {
    let mut tree = Tree::new("order", "").await;
    tree.worker.spawn();
    tree.worker.is_ready().await;
    tree.send(0, [(5, None, "x")]).await;
    tree.send(0, [(1, Some(2), "first"), (6, None, "x")]).await;
    tree.waiting_becomes(&["0|1"]).await;
    tree.becomes("true", &["5||x", "6||x"]).await;
    tree.worker.kill();
    tree.worker.spawn();
    tree.worker.is_ready().await;
    // Of key 1: an update, a delete with nothing to delete yet, and a new beginning, all of which refer to row 2.
    tree.send(0, [(1, Some(2), "second"), (7, None, "x"), (1, None, "-"), (1, Some(2), "third")]).await;
    tree.becomes("true", &["5||x", "6||x", "7||x"]).await;
    tree.worker.kill();
    // Dies in a transaction: the first is that of row 2, the second probably ends the wait.
    tree.worker.failpoints("before_commit=1*off->1*return(kill)");
    tree.send(1, [(2, None, "parent")]).await;
    tree.worker.spawn();
    tree.worker.ended().await;
    tree.worker.failpoints("");
    tree.worker.spawn();
    tree.worker.is_ready().await;
    tree.becomes("id < 5", &["1|2|third", "2||parent"]).await;
    tree.waiting_becomes(&[]).await;
    tree.ends_right().await;
}

#[tokio::test]
async fn a_reference_to_nothing_becomes_a_dead_letter_at_its_time_and_holds_up_nothing() {
    let mut tree = Tree::new("nowhere", "errors.retry.timeout = 4000\n").await;
    tree.worker.spawn();
    tree.worker.is_ready().await;
    tree.send(0, [(1, Some(99), "nowhere"), (5, None, "x")]).await;
    tree.waiting_becomes(&["0|0"]).await;
    tree.becomes("true", &["5||x"]).await;
    assert_eq!(tree.dead_letters().await, [""; 0], "its time has not come");
    eventually("the wait is shown", || tree.shows_waiting(1)).await;
    // Refers to nothing as well; and one of the waiting key that refers to nothing.
    tree.send(0, [(2, Some(98), "nowhere"), (1, None, "corrected")]).await;
    tree.becomes("id = 1", &["1||corrected"]).await;
    let both = || async { (tree.dead_letters().await == ["0|2|postgres.foreign_key"]).then_some(()) };
    eventually("the reference to nothing is a dead letter", both).await;
    assert_eq!(tree.waiting().await, [""; 0]);
    eventually("no wait is shown", || tree.shows_waiting(0)).await;
    tree.worker.must_account_for_each_record();
}
