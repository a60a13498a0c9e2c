//! Topics whose records would all become dead letters: the cause is systematic, and the task stops instead of emptying
//! the topic.

use crate::{
    reading::Reading,
    stack::{eventually, rows},
};

/// A partition of undecodable records, read in batches of `batch` records, and the line of the log with which the task
/// has failed.
async fn failed_at(theme: &str, records: usize, batch: usize) -> (Reading, String) {
    // An incomplete batch waits, so all batches except the last are full.
    let mut reading = Reading::new(theme, "delete", 1, &format!("batch.max.rows = {batch}\nlinger.ms = 60000\n")).await;
    reading.produce(0..records).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    eventually("the task fails", || async { (reading.worker.state("pg").await == "failed").then_some(()) }).await;
    let log = reading.worker.log();
    let line = log.lines().find(|line| line.contains("the task has failed")).unwrap().to_owned();
    (reading, line)
}

#[tokio::test]
async fn a_hundred_dead_letters_in_one_batch_stop_the_task_unwritten() {
    let (reading, line) = failed_at("at_once", 150, 100).await;
    for told in
        ["sink.systematic", "notes[0]", "100 records in a row up to offset 99", "decode.", "nothing from offset 0 on"]
    {
        assert!(line.contains(told), "`{told}` is missing in {line}");
    }
    assert!(!line.contains("no Avro"), "no value is quoted: {line}");
    assert_eq!(reading.dead_letters().await, ["0"]);
    assert_eq!(reading.applied().await, 0);
}

#[tokio::test]
async fn a_hundred_dead_letters_in_several_batches_stop_the_task_until_restarted() {
    let (mut reading, line) = failed_at("bit_by_bit", 180, 60).await;
    for told in
        ["sink.systematic", "notes[0]", "the last 120 records", "(decode)", "find the common cause in the dead letters"]
    {
        assert!(line.contains(told), "`{told}` is missing in {line}");
    }
    assert_eq!(
        (reading.dead_letters().await, reading.applied().await),
        (vec!["120".to_owned()], 120),
        "the rest is not read"
    );
    reading.worker.kill();
    // The operator has examined the dead letters and restarts the task.
    reading.goes_on_to(180).await;
    assert_eq!(reading.dead_letters().await, ["180"]);
    let twice = format!(
        "SELECT 1 FROM towpath.dead_letter WHERE topic = '{}' GROUP BY \"offset\" HAVING count(*) > 1",
        reading.topic
    );
    assert_eq!(rows(&reading.database, &twice).await, [""; 0]);
}
