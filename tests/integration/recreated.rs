//! Topics that are deleted and re-created while the sink reads them. No record of the new topic may be applied before
//! it is known that the stored offset belongs to that topic.

use crate::{
    reading::Reading,
    stack::{database, eventually, stack},
};

impl Reading {
    async fn started(theme: &str, policy: &str, records: usize) -> Self {
        let mut reading = Self::new(theme, policy, 1, "").await;
        reading.starts_with(records).await;
        reading
    }

    async fn starts_with(&mut self, records: usize) {
        self.produce(0..records).await;
        self.worker.spawn();
        self.worker.is_ready().await;
        self.applied_up_to(i64::try_from(records).unwrap()).await;
    }

    async fn recreate(&self, policy: &str, records: std::ops::Range<usize>) {
        self.delete().await;
        self.create(policy, 1).await;
        self.produce(records).await;
    }
}

#[tokio::test]
async fn a_longer_topic_in_place_of_the_read_one_is_noticed_in_time() {
    for round in 0..3 {
        let reading = Reading::started(&format!("longer{round}"), "delete", 5).await;
        reading.recreate("delete", 100..120).await;
        reading.stops_at(5, "kafka.truncated_or_recreated", &["offset 4 holds another record"]).await;
    }
}

#[tokio::test]
async fn a_topic_recreated_while_the_store_is_busy_is_noticed_after_its_last_old_record() {
    let reading = Reading::started("busy", "delete", 5).await;
    let other = database().await;
    let lock = format!("BEGIN; SELECT FROM towpath.sink_partition WHERE topic = '{}' FOR UPDATE", reading.topic);
    other.batch_execute(&lock).await.unwrap();
    reading.produce(5..6).await;
    let labels = format!("connector=\"pg-{}\"", reading.worker.name);
    eventually("a batch waits for the lock", || async {
        (reading.worker.metric("towpath_sink_records_active", &labels).await > 0.5).then_some(())
    })
    .await;
    reading.recreate("delete", 100..150).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    reading.stops_at(6, "kafka.truncated_or_recreated", &["offset 5 holds another record"]).await;
}

#[tokio::test]
async fn a_recreated_topic_without_a_record_to_compare_is_not_guessed_at() {
    let reading = Reading::started("guess", "delete", 5).await;
    // As if an operator had set the offset.
    reading.set("anchor_offset = NULL, anchor_hash = NULL").await;
    reading.recreate("delete", 100..120).await;
    reading.stops_at(5, "kafka.truncated_or_recreated", &["earliest --new-records"]).await;
}

#[tokio::test]
async fn an_unread_topic_that_is_recreated_is_read_from_its_beginning() {
    let mut reading = Reading::new("unread", "delete", 1, "").await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    reading.applied_up_to(0).await;
    reading.recreate("delete", 0..7).await;
    reading.applied_up_to(7).await;
    assert_eq!(reading.dead_letters().await, ["7"]);
}

#[tokio::test]
async fn a_recreated_topic_with_a_smaller_leader_epoch_is_noticed_and_read() {
    let mut unread = Reading::alone("epochs", "delete").await;
    let mut read = Reading::beside(&unread, "epoch").await;
    for _ in 0..2 {
        stack(&["restart", "kafka"]);
    }
    unread.worker.spawn();
    unread.worker.is_ready().await;
    unread.applied_up_to(0).await;
    read.starts_with(5).await;
    for reading in [&unread, &read] {
        reading.recreate("delete", 100..110).await;
    }
    unread.applied_up_to(10).await;
    // The sink may look before the new records are there: then the offset is out of range.
    read.stops_at(5, "kafka.truncated_or_recreated", &[]).await;
    read.worker.kill();
    read.set("next_offset = 0, anchor_offset = NULL, anchor_hash = NULL").await;
    read.goes_on_to(10).await;
}
