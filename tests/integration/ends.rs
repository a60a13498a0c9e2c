//! The end of a topic: transaction markers and aborted records after the last record are neither a gap nor lag. The
//! consumer group shows the progress, and another program's offsets stay.

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use towpath::kafka::client::KafkaSettings;

use crate::{
    reading::{Reading, WAIT},
    stack::{env, eventually, rows},
};

impl Reading {
    async fn has_no_lag(&self) {
        let labels = format!("connector=\"pg-{}\"", self.worker.name);
        eventually("the lag is 0 and the topic is caught up", || async {
            let (_, text) = self.worker.get("/metrics").await;
            let lag = text
                .lines()
                .find(|line| line.starts_with("towpath_kafka_consumer_lag_records{") && line.contains(&labels))?;
            let caught_up = self.worker.metric("towpath_sink_caught_up_timestamp_seconds", &labels).await;
            (lag.ends_with(" 0") && caught_up > 0.0).then_some(())
        })
        .await;
    }

    async fn group_has(&self, offset: i64) {
        eventually("the consumer group has the offset", || async {
            (self.group_offset() == (Offset::Offset(offset), "towpath".to_owned())).then_some(())
        })
        .await;
    }

    async fn anchor(&self) -> Vec<String> {
        let sql = format!("SELECT anchor_offset FROM towpath.sink_partition WHERE topic = '{}'", self.topic);
        rows(&self.database, &sql).await
    }
}

#[tokio::test]
async fn markers_and_aborted_records_at_the_end_are_neither_gap_nor_lag() {
    let mut reading = Reading::new("markers", "delete", 1, "").await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    reading.transact(0..3, true).await;
    reading.applied_up_to(4).await;
    reading.has_no_lag().await;
    // Aborted 4 to 6, and a marker.
    reading.transact(3..6, false).await;
    reading.applied_up_to(8).await;
    reading.has_no_lag().await;
    reading.group_has(8).await;
    assert_eq!(reading.anchor().await, ["2"], "the last record still identifies the topic");
    reading.worker.kill();
    reading.remove_before(8).await;
    reading.produce(6..8).await;
    reading.goes_on_to(10).await;
    assert_eq!(reading.dead_letters().await, ["5"]);
}

#[tokio::test]
async fn records_of_an_open_transaction_are_not_passed() {
    let mut reading = Reading::new("open", "delete", 1, "").await;
    // Aborted 0 and 1, and a marker.
    reading.transact(0..2, false).await;
    let mut settings = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", []).client("test");
    let producer: FutureProducer =
        settings.set("transactional.id", format!("{}-open", reading.topic)).create().unwrap();
    producer.init_transactions(WAIT).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(FutureRecord::<(), _>::to(&reading.topic).payload("no Avro"), WAIT).await.unwrap();
    reading.produce(4..6).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    // The end of the aborted records, which is the beginning of the open transaction.
    reading.applied_up_to(3).await;
    let labels = format!("connector=\"pg-{}\"", reading.worker.name);
    eventually("the records behind the open transaction are lag", || async {
        let lag = reading.worker.metric("towpath_kafka_consumer_lag_records", &labels).await;
        ((lag - 3.0).abs() < 0.5).then_some(())
    })
    .await;
    producer.commit_transaction(WAIT).unwrap();
    reading.applied_up_to(7).await;
    assert_eq!(reading.dead_letters().await, ["3"]);
    reading.has_no_lag().await;
}

#[tokio::test]
async fn another_programs_offsets_in_the_consumer_group_stay() {
    let mut reading = Reading::new("group", "delete", 1, "").await;
    reading.produce(0..5).await;
    let mut theirs = TopicPartitionList::new();
    theirs.add_partition_offset(&reading.topic, 0, Offset::Offset(2)).unwrap();
    reading.group().commit(&theirs, CommitMode::Sync).unwrap();
    reading.worker.spawn();
    reading.worker.is_ready().await;
    reading.applied_up_to(5).await;
    eventually("the log names the offset", || async {
        let log = reading.worker.log();
        (log.contains("kafka.group_taken") && log.contains(&format!("{}[0]", reading.topic))).then_some(())
    })
    .await;
    reading.worker.signal("TERM");
    assert!(reading.worker.ended().await.success());
    assert_eq!(reading.group_offset(), (Offset::Offset(2), String::new()));
}
