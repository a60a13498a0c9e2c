//! The write rate of a sink: limits, and batches that linger until they are full.

use std::time::Instant;

use serde_json::json;

use crate::{
    reading::Reading,
    stack::{database, eventually, shared},
    worker::Worker,
};

/// Starts the sink and returns the rate of applied records per second, from the first records up to `records`.
async fn rate(reading: &mut Reading, records: u32) -> (f64, f64) {
    reading.worker.spawn();
    let (before, begun) = eventually("the sink has started", || async {
        let applied = reading.applied().await;
        (applied > 0).then(|| (applied, Instant::now()))
    })
    .await;
    eventually("all records are applied", || async { (reading.applied().await == records).then_some(()) }).await;
    let seconds = begun.elapsed().as_secs_f64();
    (f64::from(records - before) / seconds, seconds)
}

#[tokio::test]
async fn a_limit_in_rows_applies_to_all_tasks_together() {
    const LIMIT: f64 = 1_000.0;
    const RECORDS: u32 = 5_500;
    let more = "tasks.max = 2\nwrite.rows.per.second = 1000\n";
    let mut reading = Reading::new("limit", "delete", 2, more).await;
    for partition in 0..2 {
        reading.tombstones(partition, RECORDS as usize).await;
    }
    let (rate, seconds) = rate(&mut reading, 2 * RECORDS).await;
    assert!(seconds > 10.0, "{seconds}");
    // The first look may miss records that were admitted but not stored: one batch per partition.
    assert!(rate <= LIMIT * 1.01, "{rate} a second");
    // The benchmark has at least 0.97; a busy machine may have less.
    assert!(rate >= LIMIT * 0.85, "{rate} a second");
    assert!(reading.worker.metric("towpath_sink_rate_limit_wait_seconds_total", "pg-").await > seconds / 2.0);
    assert_eq!(reading.worker.state("pg").await, "running", "it makes progress");
    let limit = reading.worker.metric("towpath_sink_batch_limit_records", "pg-").await;
    assert!((limit - 50.0).abs() < 0.5, "a twentieth of a second's worth: {limit}");
}

#[tokio::test]
async fn a_limit_in_bytes_covers_keys_values_and_headers() {
    const RECORDS: u32 = 1_000;
    let mut reading = Reading::new("bytes", "delete", 1, "write.bytes.per.second = \"200000B\"\n").await;
    reading.tombstones_of(0, RECORDS as usize, 1_000).await;
    let (rate, seconds) = rate(&mut reading, RECORDS).await;
    assert!(seconds > 4.0, "{seconds}");
    assert!((160.0..=200.0 * 1.03).contains(&rate), "{rate} records of 1,000 bytes a second");
}

#[tokio::test]
async fn a_database_slower_than_the_target_gets_smaller_batches_until_it_recovers() {
    let _stack = shared().await;
    let worker =
        Worker::new("slow").webhook("").sink("write.latency.target.ms = 200\nbatch.max.rows = 1000\n").start().await;
    let (database, name) = (database().await, worker.name.clone());
    let deal = async |id: String| worker.accept("deals", "create", id, json!({"title": "a deal"})).await;
    let limit = || worker.metric("towpath_sink_batch_limit_records", "pg-");
    deal("first".to_owned()).await;
    let sleeps = |seconds| {
        format!(
            "CREATE OR REPLACE FUNCTION {name}.wait() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;"
        )
    };
    let trigger = format!(
        "{} CREATE TRIGGER slow BEFORE INSERT ON {name}.deals FOR EACH ROW EXECUTE FUNCTION {name}.wait()",
        sleeps(0.3)
    );
    eventually("there is a table to slow down", || async { database.batch_execute(&trigger).await.ok() }).await;
    for number in 0..6 {
        deal(format!("slow{number}")).await;
    }
    eventually("batches become smaller", || async { (limit().await < 800.0).then_some(()) }).await;
    database.batch_execute(&sleeps(0.0)).await.unwrap();
    let number = std::cell::Cell::new(0);
    eventually("batches may be full again", || async {
        deal(format!("fast{}", number.replace(number.get() + 1))).await;
        (limit().await > 999.0).then_some(())
    })
    .await;
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
    // 75 would mean that the drain timed out.
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
    assert_eq!(reading.applied().await, 8, "the incomplete batch is left for the next start");
}
