//! A topic whose records the test writes itself, and the sink that reads it.

use std::{any::Any, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
    util::Timeout,
};
use tokio_postgres::Client;
use towpath::kafka::client::KafkaSettings;

use crate::{
    stack::{alone, database, env, eventually, rows, rows_become, shared},
    worker::Worker,
};

pub(crate) const WAIT: Timeout = Timeout::After(Duration::from_secs(20));

/// Waits until a partition of `topic` waits for a person with a code; returns its error and help.
pub(crate) async fn waits_for(worker: &Worker, topic: &str, code: &str) -> String {
    let waiting = || async {
        let connectors: serde_json::Value = serde_json::from_str(&worker.get("/towpath/v1/connectors").await.1).ok()?;
        let tasks = connectors.as_array()?.iter().filter_map(|connector| connector["tasks"].as_array());
        let mut partitions = tasks.flatten().filter_map(|task| task["partitions"].as_array()).flatten();
        let found = partitions.find(|found| found["topic"] == topic && found["waiting_for"]["code"] == code)?;
        assert_eq!(found["waiting_for"]["needs_action"], true, "{found}");
        Some(format!("{} {}", found["waiting_for"]["message"], found["waiting_for"]["help"]))
    };
    let told = eventually(&format!("{topic} waits with {code}"), waiting).await;
    let labels = format!("reason=\"person\",topic=\"{topic}\"");
    assert!(worker.metric("towpath_sink_waiting_partitions", &labels).await > 0.5, "the metric shows it");
    told
}

/// A topic and a sink that reads it. Its records are undecodable bytes: each becomes a dead letter, and the next offset
/// shows the sink's progress.
pub(crate) struct Reading {
    pub(crate) worker: Worker,
    pub(crate) topic: String,
    pub(crate) database: Client,
    pub(crate) admin: AdminClient<DefaultClientContext>,
    _stack: Box<dyn Any>,
}

impl Reading {
    /// A topic whose records are all applied; the worker has ended.
    pub(crate) async fn stopped_after(theme: &str, policy: &str, records: usize) -> Self {
        let mut reading = Self::new(theme, policy, 1, "").await;
        reading.produce(0..records).await;
        reading.worker.spawn();
        reading.applied_up_to(i64::try_from(records).unwrap()).await;
        reading.worker.kill();
        reading
    }

    pub(crate) async fn new(theme: &str, policy: &str, partitions: i32, more: &str) -> Self {
        Self::holding(Box::new(shared().await), theme, policy, partitions, more).await
    }

    /// Like [`Reading::new`], for a test that restarts a part of the stack.
    pub(crate) async fn alone(theme: &str, policy: &str) -> Self {
        Self::holding(Box::new(alone().await), theme, policy, 1, "").await
    }

    /// Like [`Reading::alone`], with as many tasks as partitions.
    pub(crate) async fn alone_with_tasks(theme: &str, tasks: i32) -> Self {
        Self::holding(Box::new(alone().await), theme, "delete", tasks, &format!("tasks.max = {tasks}\n")).await
    }

    /// A second topic and sink in the test of `other`, which keeps the stack.
    pub(crate) async fn beside(_other: &Self, theme: &str) -> Self {
        Self::holding(Box::new(()), theme, "delete", 1, "").await
    }

    async fn holding(stack: Box<dyn Any>, theme: &str, policy: &str, partitions: i32, more: &str) -> Self {
        let worker = Worker::new(theme).sink(more);
        let topic = format!("{}.notes", worker.name);
        let admin = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
        let reading = Self { worker, topic, database: database().await, admin, _stack: stack };
        reading.create(policy, partitions).await;
        reading
    }

    pub(crate) async fn create(&self, policy: &str, partitions: i32) {
        let new = || NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1)).set("cleanup.policy", policy);
        eventually("the topic can be created", || async {
            let made = self.admin.create_topics([&new()], &AdminOptions::new()).await.ok()?;
            made[0].is_ok().then_some(())
        })
        .await;
    }

    pub(crate) async fn delete(&self) {
        self.admin.delete_topics(&[&self.topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    pub(crate) async fn produce(&self, numbers: std::ops::Range<usize>) {
        let producer: FutureProducer =
            KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
        for number in numbers {
            let value = format!("no Avro {number}");
            producer.send(FutureRecord::<(), _>::to(&self.topic).payload(&value), WAIT).await.unwrap();
        }
    }

    /// Adds a single record of this size in bytes.
    pub(crate) async fn produce_large(&self, bytes: usize) {
        let producer: FutureProducer =
            KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test").create().unwrap();
        producer.send(FutureRecord::<(), _>::to(&self.topic).payload(&vec![b'x'; bytes]), WAIT).await.unwrap();
    }

    /// Like [`Reading::produce`], in a transaction that is committed or aborted. Its marker also takes an offset.
    pub(crate) async fn transact(&self, numbers: std::ops::Range<usize>, commit: bool) {
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
    pub(crate) async fn remove_before(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset)).unwrap();
        self.admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    }

    pub(crate) async fn applied_up_to(&self, offset: i64) {
        let sql = format!("SELECT next_offset FROM towpath.sink_partition WHERE topic = '{}'", self.topic);
        rows_become(&self.database, &sql, &[&offset.to_string()]).await;
    }

    pub(crate) async fn set(&self, assignment: &str) {
        let sql = format!("UPDATE towpath.sink_partition SET {assignment} WHERE topic = '{}'", self.topic);
        assert_eq!(self.database.execute(&sql, &[]).await.unwrap(), 1);
    }

    /// Starts the worker; the partition must wait for a person with a code, and the error must have each text of
    /// `told`. The stored offset stays unchanged.
    pub(crate) async fn fails_with(&mut self, code: &str, told: &[&str]) {
        let row = format!(
            "SELECT next_offset, anchor_offset, cluster_id FROM towpath.sink_partition WHERE topic = '{}'",
            self.topic
        );
        let before = rows(&self.database, &row).await;
        self.worker.spawn();
        self.worker.is_ready().await;
        let waiting_for = waits_for(&self.worker, &self.topic, code).await;
        for told in told {
            assert!(waiting_for.contains(told), "`{told}` is missing in {waiting_for}");
        }
        assert_eq!(self.worker.state("pg").await, "failed", "the task has no other partition");
        let log = self.worker.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("waits until a person acts")).collect();
        assert!(lines.len() == 1 && lines[0].contains(code), "the log tells it once as an error: {lines:?}");
        assert_eq!(rows(&self.database, &row).await, before);
        self.worker.kill();
    }

    /// Waits until the running sink has stopped before `offset` with a code; its log must have each text of `told`.
    pub(crate) async fn stops_at(&self, offset: i64, code: &str, told: &[&str]) {
        eventually(&format!("the sink stops with {code}"), || async {
            let log = self.worker.log();
            let line = log.lines().find(|line| line.contains(code))?;
            told.iter().for_each(|told| assert!(line.contains(told), "`{told}` is missing in {line}"));
            (self.worker.state("pg").await == "failed").then_some(())
        })
        .await;
        self.applied_up_to(offset).await;
        assert_eq!(self.dead_letters().await, [offset.to_string()]);
    }

    /// The offset and the metadata that the sink's consumer group has for the topic.
    pub(crate) fn group_offset(&self) -> (Offset, String) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let committed = self.group().committed_offsets(list, WAIT).unwrap();
        let element = committed.elements().remove(0);
        (element.offset(), element.metadata().to_owned())
    }

    /// A client of the sink's consumer group.
    pub(crate) fn group(&self) -> BaseConsumer {
        let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
        settings.set("group.id", format!("connect-pg-{}", self.worker.name)).create().unwrap()
    }

    /// Starts the worker, which must read to the end.
    pub(crate) async fn goes_on_to(&mut self, offset: i64) {
        self.worker.spawn();
        self.applied_up_to(offset).await;
    }

    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let sql = format!("SELECT count(*) FROM towpath.dead_letter WHERE topic = '{}'", self.topic);
        rows(&self.database, &sql).await
    }
}

impl Reading {
    /// Adds `count` tombstones without a key, which are quickly applied without an effect, to a partition.
    pub(crate) async fn tombstones(&self, partition: i32, records: usize) {
        self.tombstones_with(partition, records, None).await;
    }

    /// Like [`Reading::tombstones`], with a header in each, for a size of at least 11 bytes.
    pub(crate) async fn tombstones_of(&self, partition: i32, records: usize, bytes: usize) {
        // The header has a name of three bytes and two lengths.
        let value = vec![0; bytes - 11];
        let header = Header { key: "pad", value: Some(&value) };
        self.tombstones_with(partition, records, Some(OwnedHeaders::new().insert(header))).await;
    }

    async fn tombstones_with(&self, partition: i32, records: usize, headers: Option<OwnedHeaders>) {
        let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
        let producer: FutureProducer = settings.set("linger.ms", "5").create().unwrap();
        let sent = (0..records).map(|_| {
            let mut record = FutureRecord::<(), ()>::to(&self.topic).partition(partition);
            record.headers.clone_from(&headers);
            producer.send(record, WAIT)
        });
        for sent in futures::future::join_all(sent).await {
            sent.unwrap();
        }
    }

    /// The sum of the next offsets of all partitions.
    pub(crate) async fn applied(&self) -> u32 {
        let sql =
            format!("SELECT coalesce(sum(next_offset), 0) FROM towpath.sink_partition WHERE topic = '{}'", self.topic);
        if self.database.simple_query(&sql).await.is_err() {
            return 0;
        }
        rows(&self.database, &sql).await[0].parse().unwrap()
    }
}
