//! Topics that are no longer what they were: deleted and made anew, cut, compacted, in another cluster. The sink goes on where nothing can
//! be missing, and stops with the name of the trouble where something may.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord, Producer as _},
    util::Timeout,
};
use tokio_postgres::Client;
use towpath::kafka::client::KafkaSettings;

use crate::{
    stack::{Shared, database, env, eventually, rows, rows_become, shared},
    worker::Worker,
};

const WAIT: Timeout = Timeout::After(Duration::from_secs(20));

/// A topic of one partition with a sink that reads it. Its records are bytes that nobody can read: each becomes a dead letter, and the next
/// offset tells how far the sink is.
struct Reading {
    worker: Worker,
    topic: String,
    database: Client,
    admin: AdminClient<DefaultClientContext>,
    _stack: Shared,
}

impl Reading {
    /// A topic with records, all of them applied, and the worker gone.
    async fn stopped_after(theme: &str, policy: &str, records: usize) -> Self {
        let mut reading = Self::new(theme, policy).await;
        reading.produce(0..records).await;
        reading.worker.spawn();
        reading.applied_up_to(i64::try_from(records).unwrap()).await;
        reading.worker.kill();
        reading
    }

    async fn new(theme: &str, policy: &str) -> Self {
        let stack = shared().await;
        let worker = Worker::new(theme).sink("");
        let topic = format!("{}.notes", worker.name);
        let admin = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
        let reading = Self { worker, topic, database: database().await, admin, _stack: stack };
        reading.create(policy).await;
        reading
    }

    async fn create(&self, policy: &str) {
        let new = || NewTopic::new(&self.topic, 1, TopicReplication::Fixed(1)).set("cleanup.policy", policy);
        eventually("the topic can be made", || async {
            let made = self.admin.create_topics([&new()], &AdminOptions::new()).await.ok()?;
            made[0].is_ok().then_some(())
        })
        .await;
    }

    async fn delete(&self) {
        self.admin.delete_topics(&[&self.topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    async fn produce(&self, numbers: std::ops::Range<usize>) {
        let producer: FutureProducer = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
        for number in numbers {
            let value = format!("no Avro {number}");
            producer.send(FutureRecord::<(), _>::to(&self.topic).payload(&value), WAIT).await.unwrap();
        }
    }

    /// As [`Reading::produce`], in a transaction that is committed or aborted. Its marker takes an offset as well.
    async fn transact(&self, numbers: std::ops::Range<usize>, commit: bool) {
        let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
        let producer: FutureProducer = settings.set("transactional.id", &self.topic).create().unwrap();
        producer.init_transactions(WAIT).unwrap();
        producer.begin_transaction().unwrap();
        for number in numbers {
            let value = format!("no Avro {number}");
            producer.send(FutureRecord::<(), _>::to(&self.topic).payload(&value), WAIT).await.unwrap();
        }
        if commit { producer.commit_transaction(WAIT).unwrap() } else { producer.abort_transaction(WAIT).unwrap() }
    }

    /// Removes all records before `offset`, as retention would.
    async fn remove_before(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset)).unwrap();
        self.admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    }

    async fn applied_up_to(&self, offset: i64) {
        let sql = format!("SELECT next_offset FROM towpath.sink_partition WHERE topic = '{}'", self.topic);
        rows_become(&self.database, &sql, &[&offset.to_string()]).await;
    }

    async fn set(&self, assignment: &str) {
        let sql = format!("UPDATE towpath.sink_partition SET {assignment} WHERE topic = '{}'", self.topic);
        assert_eq!(self.database.execute(&sql, &[]).await.unwrap(), 1);
    }

    /// Starts the worker; the sink must fail with a code, and the log must say each of `told`. What was stored stays as it was.
    async fn fails_with(&mut self, code: &str, told: &[&str]) {
        let row =
            format!("SELECT next_offset, anchor_offset, cluster_id FROM towpath.sink_partition WHERE topic = '{}'", self.topic);
        let before = rows(&self.database, &row).await;
        self.worker.spawn();
        self.worker.is_ready().await;
        eventually(&format!("the sink fails with {code}"), || async {
            (self.worker.state("pg").await == "failed").then_some(())
        })
        .await;
        let log = self.worker.log();
        let line = log.lines().find(|line| line.contains("the task has failed")).unwrap();
        assert!(line.contains(code), "{line}");
        for told in told {
            assert!(line.contains(told), "`{told}` is missing in {line}");
        }
        assert_eq!(rows(&self.database, &row).await, before);
        self.worker.kill();
    }

    /// Starts the worker, which must go on to the end.
    async fn goes_on_to(&mut self, offset: i64) {
        self.worker.spawn();
        self.applied_up_to(offset).await;
    }

    async fn dead_letters(&self) -> Vec<String> {
        let sql = format!("SELECT count(*) FROM towpath.dead_letter WHERE topic = '{}'", self.topic);
        rows(&self.database, &sql).await
    }
}

#[tokio::test]
async fn a_topic_made_anew_with_more_records_than_were_applied_is_noticed() {
    let mut reading = Reading::stopped_after("anew", "delete", 5).await;
    reading.delete().await;
    reading.create("delete").await;
    reading.produce(100..120).await;
    reading
        .fails_with("kafka.truncated_or_recreated", &["from offset 5", "offset 4 holds another record", "docs/operations.md"])
        .await;
    // An operator has looked: what is there is to be read from its beginning.
    reading.set("next_offset = 0, anchor_offset = NULL, anchor_hash = NULL").await;
    reading.goes_on_to(20).await;
}

#[tokio::test]
async fn a_topic_made_anew_with_fewer_records_than_were_applied_is_noticed() {
    let mut reading = Reading::stopped_after("shorter", "delete", 5).await;
    reading.delete().await;
    reading.create("delete").await;
    reading.fails_with("kafka.truncated_or_recreated", &["from offset 5", "only 0..0"]).await;
}

#[tokio::test]
async fn records_removed_before_they_were_applied_are_a_gap_and_removed_after_it_are_none() {
    let mut reading = Reading::stopped_after("gap", "delete", 5).await;
    reading.produce(5..10).await;
    reading.remove_before(5).await;
    reading.goes_on_to(10).await;
    assert_eq!(reading.dead_letters().await, ["10"], "the anchor is gone and nothing is missing");
    reading.worker.kill();
    reading.produce(10..20).await;
    reading.remove_before(13).await;
    reading.fails_with("kafka.retention_gap", &["from offset 10", "begins at offset 13", "3 offsets"]).await;
}

#[tokio::test]
async fn markers_and_aborted_records_are_no_hole_and_a_lost_anchor_is_one_unless_the_topic_is_compacted() {
    let mut reading = Reading::stopped_after("hole", "delete", 2).await;
    // Records 2 and 3, the marker 4, aborted 5 and 6, the marker 7, and 8 with its marker 9.
    reading.transact(2..4, true).await;
    reading.transact(4..6, false).await;
    reading.transact(6..7, true).await;
    reading.goes_on_to(9).await;
    assert_eq!(reading.dead_letters().await, ["5"]);
    reading.worker.kill();
    reading.produce(7..8).await;
    reading.goes_on_to(11).await;
    assert_eq!(reading.dead_letters().await, ["6"], "neither the record before the marker nor any other comes twice");
    reading.worker.kill();

    // As if compaction had removed the anchor: no reader gets to see a marker.
    let reset = "next_offset = 5, anchor_offset = 4, anchor_hash = sha256('')";
    reading.set(reset).await;
    reading.fails_with("kafka.anchor_missing", &["from offset 5", "at offset 4", "goes on at 8"]).await;
    reading.set("owner = ''").await;
    let compacted = rdkafka::admin::AlterConfig::new(rdkafka::admin::ResourceSpecifier::Topic(&reading.topic))
        .set("cleanup.policy", "compact");
    reading.admin.alter_configs([&compacted], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    reading.goes_on_to(11).await;
    assert!(reading.worker.log().contains("compaction has removed the last applied record"), "{}", reading.worker.log());
    assert_eq!(reading.dead_letters().await, ["6"]);
}

#[tokio::test]
async fn another_cluster_is_refused_before_the_partition_is_claimed() {
    let mut reading = Reading::stopped_after("cluster", "delete", 3).await;
    reading.set("cluster_id = 'somewhere else'").await;
    let epoch = format!("SELECT epoch FROM towpath.sink_partition WHERE topic = '{}'", reading.topic);
    let before = rows(&reading.database, &epoch).await;
    reading.fails_with("kafka.other_cluster", &["somewhere else", "notes[0]", "docs/operations.md"]).await;
    assert_eq!(rows(&reading.database, &epoch).await, before, "whoever reads the right cluster is not fenced");
    // The way out that the documentation names.
    reading.set("cluster_id = NULL").await;
    reading.goes_on_to(3).await;
    eventually("the cluster is noted again", || async {
        let noted = format!("SELECT cluster_id IS NOT NULL FROM towpath.sink_partition WHERE topic = '{}'", reading.topic);
        (rows(&reading.database, &noted).await == ["t"]).then_some(())
    })
    .await;
}
