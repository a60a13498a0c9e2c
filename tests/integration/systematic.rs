//! Topics whose records would all become dead letters: the cause is systematic, and the partition waits instead of
//! emptying the topic.

use crate::{
    reading::{Reading, waits_for},
    stack::eventually,
};

/// A partition of undecodable records, read in batches of `batch` records, and the error for which it waits.
async fn waiting_at(theme: &str, records: usize, batch: usize) -> (Reading, String) {
    // An incomplete batch waits, so all batches except the last are full.
    let mut reading = Reading::new(theme, "delete", 1, &format!("batch.max.rows = {batch}\nlinger.ms = 60000\n")).await;
    reading.produce(0..records).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    let told = waits_for(&reading.worker, &reading.topic, "sink.systematic").await;
    (reading, told)
}

#[tokio::test]
async fn a_hundred_dead_letters_in_one_batch_are_refused_unwritten() {
    let (reading, told) = waiting_at("at_once", 150, 100).await;
    for text in ["notes[0]", "100 records in a row up to offset 99", "decode.", "nothing from offset 0 on"] {
        assert!(told.contains(text), "`{text}` is missing in {told}");
    }
    assert!(!reading.worker.log().contains("no Avro"), "no value is quoted");
    assert_eq!(reading.dead_letters().await, ["0"]);
    assert_eq!(reading.applied().await, 0);
}

#[tokio::test]
async fn a_hundred_dead_letters_in_several_batches_are_refused_at_each_retry() {
    let (mut reading, told) = waiting_at("bit_by_bit", 180, 60).await;
    for text in ["notes[0]", "100 records in a row up to offset 99", "nothing from offset 60 on", "consecutive.limit"] {
        assert!(told.contains(text), "`{text}` is missing in {told}");
    }
    let retries = || async { (reading.worker.metric("towpath_retries_total", "pg-").await > 2.5).then_some(()) };
    eventually("the same records are tried again", retries).await;
    assert_eq!(
        (reading.dead_letters().await, reading.applied().await),
        (vec!["60".to_owned()], 60),
        "a retry dead-letters nothing more"
    );
    reading.worker.kill();
    // The operator has examined the dead letters, and raises the limit.
    let text = std::fs::read_to_string(reading.worker.path("postgres.toml")).unwrap();
    std::fs::write(reading.worker.path("postgres.toml"), format!("{text}errors.consecutive.limit = 0\n")).unwrap();
    reading.goes_on_to(180).await;
    assert_eq!(reading.dead_letters().await, ["180"]);
}
