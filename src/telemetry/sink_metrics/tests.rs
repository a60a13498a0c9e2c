//! Tests of the sink's metrics on the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use towpath_api::{Applied, TopicPartition};

use super::*;
use crate::telemetry::Metrics;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: "acme.transactions".into(), partition: number }
}

fn assign(sink: &SinkMetrics, number: i32) -> PartitionMetrics {
    sink.partition(&partition(number), "acme.transactions", "transactions")
}

fn has(metrics: &Metrics, line: &str) -> bool {
    metrics.encode().lines().any(|found| found == line)
}

#[test]
fn a_committed_batch_is_counted_by_table_and_outcome() {
    let metrics = Metrics::new();
    let sink = metrics.sink("postgres");
    let handle = assign(&sink, 0);
    handle.read(9);
    let mut applied = Applied::default();
    (applied.inserted, applied.updated, applied.deleted) = (3, 2, 1);
    (applied.folded, applied.stale, applied.tombstones) = (1, 1, 1);
    handle.committed(&applied, 1_700_000_000_500);
    sink.transaction(TransactionOutcome::Committed, Duration::from_millis(20));

    let of_table = r#"connector="postgres",op="insert",table="acme.transactions""#;
    assert!(has(&metrics, &format!("towpath_sink_records_applied_total{{{of_table}}} 3")));
    for reason in ["stale", "tombstone", "folded"] {
        let labels = format!(r#"connector="postgres",reason="{reason}",table="acme.transactions""#);
        assert!(has(&metrics, &format!("towpath_sink_records_skipped_total{{{labels}}} 1")), "{reason}");
    }
    let of_topic = r#"connector="postgres",topic="acme.transactions""#;
    assert!(has(&metrics, &format!("towpath_sink_records_read_total{{{of_topic}}} 9")));
    assert!(has(&metrics, &format!("towpath_sink_last_record_timestamp_seconds{{{of_topic}}} 1700000000.5")));
    assert!(has(&metrics, r#"towpath_sink_transactions_total{connector="postgres",outcome="committed"} 1"#));
    assert!(has(&metrics, r#"towpath_sink_transactions_total{connector="postgres",outcome="unknown"} 0"#));
}

#[test]
fn an_older_batch_does_not_move_the_newest_time_back() {
    let metrics = Metrics::new();
    let sink = metrics.sink("postgres");
    let handle = assign(&sink, 0);
    handle.committed(&Applied::default(), 2_000);
    handle.committed(&Applied::default(), 1_000);
    let line = r#"towpath_sink_last_record_timestamp_seconds{connector="postgres",topic="acme.transactions"} 2"#;
    assert!(has(&metrics, line));
}

#[test]
fn a_topic_is_caught_up_when_its_slowest_partition_is() {
    let metrics = Metrics::new();
    let sink = metrics.sink("postgres");
    let (first, second) = (assign(&sink, 0), assign(&sink, 1));
    let line = |seconds: u64| {
        format!(
            "towpath_sink_caught_up_timestamp_seconds{{connector=\"postgres\",topic=\"acme.transactions\"}} {seconds}"
        )
    };
    first.caught_up(at(100));
    assert!(has(&metrics, &line(0)));
    second.caught_up(at(200));
    assert!(has(&metrics, &line(100)));
    first.caught_up(at(300));
    assert!(has(&metrics, &line(200)));
}

#[test]
fn a_released_partition_loses_its_series_and_keeps_the_counters() {
    let metrics = Metrics::new();
    let sink = metrics.sink("postgres");
    let (first, second) = (assign(&sink, 0), assign(&sink, 1));
    first.read(7);
    first.lag(5);
    second.lag(6);
    assert!(has(&metrics, r#"towpath_kafka_assigned_partitions{connector="postgres"} 2"#));

    drop(first);
    let text = metrics.encode();
    assert!(!text.contains(r#"partition="0""#));
    assert!(text.contains(r#"partition="1",topic="acme.transactions"} 6"#));
    assert!(text.contains("towpath_sink_caught_up_timestamp_seconds{"));
    assert!(has(&metrics, r#"towpath_kafka_assigned_partitions{connector="postgres"} 1"#));

    drop(second);
    let text = metrics.encode();
    assert!(!text.contains("towpath_kafka_consumer_lag_records{"));
    assert!(!text.contains("towpath_sink_caught_up_timestamp_seconds{"));
    assert!(text.contains(r#"towpath_sink_records_read_total{connector="postgres",topic="acme.transactions"} 7"#));
}

#[test]
fn an_old_handle_does_not_remove_the_series_of_a_partition_that_returned() {
    let metrics = Metrics::new();
    let sink = metrics.sink("postgres");
    let old = assign(&sink, 0);
    let new = assign(&sink, 0);
    new.lag(9);
    drop(old);
    let line = r#"towpath_kafka_consumer_lag_records{connector="postgres",partition="0",topic="acme.transactions"} 9"#;
    assert!(has(&metrics, line));
    assert!(has(&metrics, r#"towpath_kafka_assigned_partitions{connector="postgres"} 1"#));
}

#[test]
fn a_clock_that_is_ahead_counts_as_latency_0() {
    let metrics = Metrics::new();
    let sink = metrics.sink("postgres");
    let handle = assign(&sink, 0);
    handle.end_to_end([10_000, 8_000, 2_000], at(9));
    let labels = r#"connector="postgres",object="transactions""#;
    assert!(has(&metrics, &format!("towpath_end_to_end_latency_seconds_bucket{{{labels},le=\"0.1\"}} 1")));
    assert!(has(&metrics, &format!("towpath_end_to_end_latency_seconds_sum{{{labels}}} 8")));
    assert!(has(&metrics, &format!("towpath_end_to_end_latency_seconds_count{{{labels}}} 3")));
}
