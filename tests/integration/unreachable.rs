//! Brokers that do not answer: nothing looks fresh, and the state says which partitions wait.

use std::process::Command;

use rdkafka::{
    mocking::MockCluster,
    producer::{FutureProducer, FutureRecord},
};
use towpath::kafka::client::KafkaSettings;

use crate::{
    reading::{Reading, WAIT},
    stack::{database, env, eventually, rows_become, shared},
    worker::Worker,
};

/// A broker that is stopped without a word until this is dropped: its connections stay open, and nothing answers.
struct Frozen(String);

impl Frozen {
    fn kafka() -> Self {
        let file = format!("{}/run/kafka.pid", env("DEV_DIR"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let frozen = Self(text.split_whitespace().next().expect("a process id").to_owned());
        frozen.signal("STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([&format!("-{signal}"), &self.0]).status().unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

/// Each task has a client of its own, and each client may lose its brokers when the broker answers again.
const TASKS: usize = 8;

/// The series of the lag of `topic`.
async fn lags(worker: &Worker, topic: &str) -> Vec<String> {
    let (_, text) = worker.get("/metrics").await;
    let lag = "towpath_kafka_consumer_lag_records{";
    text.lines().filter(|line| line.starts_with(lag) && line.contains(topic)).map(str::to_owned).collect()
}

async fn caught_up(worker: &Worker, topic: &str) -> f64 {
    worker.metric("towpath_sink_caught_up_timestamp_seconds", &format!("topic=\"{topic}\"")).await
}

async fn connectors(worker: &Worker) -> String {
    worker.get("/towpath/v1/connectors").await.1
}

impl Reading {
    /// Adds a record to each partition.
    async fn produce_to_each(&self, partitions: usize) {
        for partition in 0..partitions {
            self.tombstones(i32::try_from(partition).unwrap(), 1).await;
        }
    }

    async fn all_applied(&self, records: usize) {
        let is_applied = || async { (self.applied().await as usize == records).then_some(()) };
        eventually(&format!("{records} records are applied"), is_applied).await;
    }
}

#[tokio::test]
async fn nothing_looks_fresh_while_the_broker_does_not_answer() {
    let mut reading = Reading::alone_with_tasks("frozen", i32::try_from(TASKS).unwrap()).await;
    reading.produce_to_each(TASKS).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    reading.all_applied(TASKS).await;
    let (worker, topic) = (&reading.worker, &reading.topic);
    eventually("all lags are known", || async { (lags(worker, topic).await.len() == TASKS).then_some(()) }).await;
    let frozen = Frozen::kafka();
    eventually("the lag is unknown", || async { lags(worker, topic).await.is_empty().then_some(()) }).await;
    let before = caught_up(worker, topic).await;
    eventually("the state says that the partition waits for its leader", || async {
        let all = connectors(worker).await;
        (all.contains("kafka.leader_unreachable") && worker.state("pg").await == "retrying").then_some(())
    })
    .await;
    assert!(lags(worker, topic).await.is_empty());
    let after = caught_up(worker, topic).await;
    assert!((after - before).abs() < f64::EPSILON, "{before} became {after} without an answer of the broker");
    drop(frozen);
    eventually("the sink runs and is caught up", || async {
        let is_fresh = caught_up(worker, topic).await > before && lags(worker, topic).await.len() == TASKS;
        (is_fresh && worker.state("pg").await == "running").then_some(())
    })
    .await;
    reading.produce_to_each(TASKS).await;
    reading.all_applied(2 * TASKS).await;
}

#[tokio::test]
async fn one_leader_of_two_that_is_away_is_reported_and_stops_no_other_partition() {
    let _stack = shared().await;
    let brokers = MockCluster::new(2).unwrap();
    let mut worker = Worker::new("leaders").setting("bootstrap.servers", &brokers.bootstrap_servers()).sink("");
    let topic = format!("{}.notes", worker.name);
    brokers.create_topic(&topic, 2, 1).unwrap();
    for partition in 0..2 {
        brokers.partition_leader(&topic, partition, Some(partition + 1)).unwrap();
    }
    let producer: FutureProducer =
        KafkaSettings::new(&brokers.bootstrap_servers(), "lab", []).client("test").create().unwrap();
    let send = |partition| {
        let record = FutureRecord::<(), _>::to(&topic).partition(partition).payload("no Avro");
        let sent = producer.send(record, WAIT);
        async { sent.await.map(|_| ()).unwrap() }
    };
    send(0).await;
    send(1).await;
    worker.spawn();
    worker.is_ready().await;
    let database = database().await;
    let applied =
        format!("SELECT partition, next_offset FROM towpath.sink_partition WHERE topic = '{topic}' ORDER BY 1");
    rows_become(&database, &applied, &["0|1", "1|1"]).await;
    eventually("both lags are known", || async { (lags(&worker, &topic).await.len() == 2).then_some(()) }).await;
    brokers.broker_down(2).unwrap();
    eventually("only the lag of the other partition is known", || async {
        let known = lags(&worker, &topic).await;
        (known.len() == 1 && known[0].contains("partition=\"0\"")).then_some(())
    })
    .await;
    let before = caught_up(&worker, &topic).await;
    eventually("the state names the partition that waits", || async {
        let all = connectors(&worker).await;
        let waits = all.contains("kafka.leader_unreachable") && all.contains(&format!("read {topic}[1]"));
        (waits && worker.state("pg").await == "retrying").then_some(())
    })
    .await;
    send(0).await;
    rows_become(&database, &applied, &["0|2", "1|1"]).await;
    let after = caught_up(&worker, &topic).await;
    assert!((after - before).abs() < f64::EPSILON, "the topic is not caught up while a leader is away");
    brokers.broker_up(2).unwrap();
    eventually("the sink runs again", || async { (worker.state("pg").await == "running").then_some(()) }).await;
    send(1).await;
    rows_become(&database, &applied, &["0|2", "1|2"]).await;
}
