//! How fast a sink writes: limits, and batches that wait to be filled.

use std::time::Instant;

use crate::{reading::Reading, stack::eventually};

#[tokio::test]
async fn a_limit_in_rows_holds_for_all_tasks_together() {
    const LIMIT: f64 = 1_000.0;
    const RECORDS: u32 = 2_000;
    let more = "tasks.max = 2\nwrite.rows.per.second = 1000\n";
    let mut reading = Reading::new("limit", "delete", 2, more).await;
    for partition in 0..2 {
        reading.tombstones(partition, RECORDS as usize).await;
    }
    reading.worker.spawn();
    eventually("the sink begins", || async { (reading.applied().await > 0).then_some(()) }).await;
    let (begun, before) = (Instant::now(), reading.applied().await);
    eventually("all is applied", || async { (reading.applied().await == 2 * RECORDS).then_some(()) }).await;
    let seconds = begun.elapsed().as_secs_f64();
    let rate = f64::from(2 * RECORDS - before) / seconds;
    assert!(rate <= LIMIT * 1.05, "{rate} a second");
    assert!(rate >= LIMIT * 0.8, "{rate} a second");
    assert!(reading.worker.metric("towpath_sink_rate_limit_wait_seconds_total", "pg-").await > seconds / 2.0);
    assert_eq!(reading.worker.state("pg").await, "running", "it makes progress");
    let limit = reading.worker.metric("towpath_sink_batch_limit_records", "pg-").await;
    assert!((limit - 50.0).abs() < 0.5, "a twentieth of a second's worth: {limit}");
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_a_limit() {
    let mut reading = Reading::new("waiting", "delete", 1, "write.bytes.per.second = \"10B\"\n").await;
    reading.produce_large(100_000).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    eventually("the record waits to be stored", || async {
        (reading.worker.metric("towpath_sink_records_active", "pg-").await > 0.5).then_some(())
    })
    .await;
    reading.worker.signal("TERM");
    // 75 would mean that the drain ran out of time.
    assert_eq!(reading.worker.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_batch_lingers_until_it_is_full_and_a_stop_ends_the_wait() {
    let mut reading = Reading::new("linger", "delete", 1, "linger.ms = 60000\nbatch.max.rows = 8\n").await;
    reading.worker.spawn();
    eventually("the partition is claimed", || async { reading.worker.log().contains("claimed").then_some(()) }).await;
    for _ in 0..8 {
        reading.tombstones(0, 1).await;
    }
    eventually("the full batch is stored", || async { (reading.applied().await == 8).then_some(()) }).await;
    let committed = || reading.worker.metric("towpath_sink_transactions_total", "outcome=\"committed\"");
    assert!((committed().await - 1.0).abs() < 0.1, "{} transactions", committed().await);
    reading.tombstones(0, 3).await;
    reading.worker.signal("TERM");
    assert_eq!(reading.worker.ended().await.code(), Some(0));
    assert_eq!(reading.applied().await, 8, "what was not full is left for the next start");
}
