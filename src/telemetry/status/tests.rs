//! Tests of the status board, through its reports and the metrics on the wire.

use std::time::Duration;

use towpath_api::ErrorType;

use super::*;
use crate::telemetry::Stage;

fn unavailable() -> Error {
    Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect to Postgres at db:5432")
        .with_help("start Postgres")
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: "acme.deals".into(), partition: number }
}

#[test]
fn a_retrying_task_has_its_error_and_next_try_until_it_runs() {
    let board = StatusBoard::new(&Metrics::new());
    let task = board.task("postgres", 0);
    let next_try = SystemTime::now() + Duration::from_secs(22);
    task.retrying(&unavailable(), 4, next_try);
    let report = board.connectors().remove(0);
    assert_eq!(report.state, State::Retrying);
    assert_eq!(report.tasks[0].attempt, Some(4));
    assert_eq!(report.tasks[0].next_try, Some(next_try));
    let error = report.tasks[0].error.as_ref().unwrap();
    assert_eq!(error.chain, "connect to Postgres at db:5432");
    assert_eq!(error.help.as_deref(), Some("start Postgres"));

    task.running();
    let report = board.connectors().remove(0);
    assert_eq!((report.state, report.tasks[0].error.as_ref(), report.tasks[0].attempt), (State::Running, None, None));
}

#[test]
fn a_state_that_is_reported_again_keeps_its_time() {
    let board = StatusBoard::new(&Metrics::new());
    let task = board.task("postgres", 0);
    task.retrying(&unavailable(), 1, SystemTime::now());
    let since = board.connectors()[0].tasks[0].since;
    task.retrying(&unavailable(), 2, SystemTime::now());
    assert_eq!(board.connectors()[0].tasks[0].since, since);
}

#[test]
fn the_gauges_follow_the_board() {
    let metrics = Metrics::new();
    let board = StatusBoard::new(&metrics);
    let tasks = [board.task("postgres", 0), board.task("postgres", 1)];
    tasks[0].running();
    tasks[1].failed(&unavailable());
    let text = metrics.encode();
    assert!(text.contains(r#"towpath_connector_state{connector="postgres",state="degraded"} 1"#));
    assert!(text.contains(r#"towpath_connector_state{connector="postgres",state="starting"} 0"#));
    assert!(text.contains(r#"towpath_connector_tasks{connector="postgres",state="failed"} 1"#));
    assert!(text.contains(r#"towpath_connector_tasks{connector="postgres",state="running"} 1"#));
    assert!(!text.contains(r#"towpath_last_error_timestamp_seconds{connector="postgres"} 0"#));
}

#[test]
fn a_task_names_its_worker_and_generation() {
    let board = StatusBoard::new(&Metrics::new()).with_worker("host:8083");
    board.task("postgres", 0);
    board.clone().task_of_generation("postgres", 1, 7);
    let tasks = board.connectors().remove(0).tasks;
    let placed: Vec<_> = tasks.iter().map(|task| (task.worker.as_ref(), task.generation)).collect();
    assert_eq!(placed, [("host:8083", 0), ("host:8083", 7)]);
}

#[test]
fn the_first_cluster_id_stays() {
    let board = StatusBoard::new(&Metrics::new());
    assert_eq!(board.kafka_cluster_id(), None);
    board.set_kafka_cluster_id("MkU3OEVBNTcwNTJENDM2Qg");
    board.set_kafka_cluster_id("another");
    assert_eq!(board.clone().kafka_cluster_id(), Some("MkU3OEVBNTcwNTJENDM2Qg"));
}

#[test]
fn a_partition_reports_offset_lag_and_error_until_it_is_dropped() {
    let board = StatusBoard::new(&Metrics::new());
    let task = board.task("postgres", 0);
    let (second, first) = (task.partition(&partition(1)), task.partition(&partition(0)));
    let report = || board.connectors().remove(0).tasks.remove(0).partitions;
    assert_eq!((report()[0].partition, report()[0].next_offset, report()[0].lag), (0, None, None));

    first.next_offset(42);
    first.lag(-3);
    second.waiting(&unavailable());
    assert_eq!((report()[0].next_offset, report()[0].lag, &report()[0].waiting_for), (Some(42), Some(0), &None));
    let waiting_for = report()[1].waiting_for.clone().unwrap();
    assert_eq!((waiting_for.code, waiting_for.help.as_deref()), ("postgres.unavailable", Some("start Postgres")));

    second.working();
    assert_eq!(report()[1].waiting_for, None);
    drop(first);
    assert_eq!(report().iter().map(|partition| partition.partition).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_old_handle_does_not_remove_a_partition_that_returned() {
    let board = StatusBoard::new(&Metrics::new());
    let task = board.task("postgres", 0);
    let old = task.partition(&partition(0));
    let new = task.partition(&partition(0));
    new.next_offset(9);
    old.next_offset(1);
    drop(old);
    assert_eq!(board.connectors()[0].tasks[0].partitions[0].next_offset, Some(9));
}

#[test]
fn a_replaced_task_no_longer_writes() {
    let board = StatusBoard::new(&Metrics::new());
    let old = board.task("postgres", 0);
    let _partition = old.partition(&partition(0));
    let new = board.task("postgres", 0);
    new.running();
    old.failed(&unavailable());
    let late = old.partition(&partition(1));
    late.next_offset(1);
    let report = board.connectors().remove(0);
    assert_eq!((report.state, report.tasks.len()), (State::Running, 1));
    assert_eq!(report.tasks[0].partitions, []);
}

#[test]
fn a_removed_task_no_longer_counts() {
    let metrics = Metrics::new();
    let board = StatusBoard::new(&metrics);
    let tasks = [board.task("postgres", 0), board.task("postgres", 1)];
    tasks[0].running();
    tasks[1].failed(&unavailable());
    board.remove_task("postgres", 1);
    tasks[1].failed(&unavailable());
    let report = board.connectors().remove(0);
    assert_eq!((report.state, report.tasks.len()), (State::Running, 1));
    assert!(metrics.encode().contains(r#"towpath_connector_tasks{connector="postgres",state="failed"} 0"#));

    board.remove_task("postgres", 0);
    assert_eq!(board.connectors(), []);
    assert!(!metrics.encode().contains("postgres"));
}

#[test]
fn a_removed_connector_takes_all_its_series_and_returns_at_zero() {
    let metrics = Metrics::new();
    let board = StatusBoard::new(&metrics);
    let run = |connector: &str| {
        let counters = metrics.connector(connector, Stage::SINK);
        let sink = metrics.sink(connector);
        let partition = sink.partition(&partition(0), "acme.deals", "deals");
        (board.task(connector, 0), counters, sink, partition)
    };
    let (task, counters, sink, handle) = run("postgres");
    let _other = run("warehouse");
    let before = metrics.encode().replace("postgres", "warehouse");
    let series = |text: &str, connector: &str| {
        text.lines().filter(|line| line.contains(&format!("connector=\"{connector}\""))).count()
    };
    task.failed(&unavailable());
    counters.processed(5);
    counters.error(Stage::Apply, ErrorType::Unavailable);
    counters.retry(Stage::Apply);
    counters.dead_lettered(ErrorType::Mapping, 1);
    handle.read(5);
    handle.lag(6);
    drop((sink, handle));

    board.remove("postgres");
    task.running();
    let text = metrics.encode();
    assert_eq!(series(&text, "postgres"), 0, "{text}");
    assert_eq!(
        series(&text, "warehouse") * 2,
        series(&before, "warehouse"),
        "the other connector keeps all its series"
    );
    assert_eq!(board.connectors().len(), 1);

    let _again = run("postgres");
    let text = metrics.encode();
    assert!(text.contains(r#"towpath_records_processed_total{connector="postgres"} 0"#));
    assert!(text.contains(r#"towpath_sink_records_read_total{connector="postgres",topic="acme.deals"} 0"#));
    assert!(text.contains(r#"towpath_last_error_timestamp_seconds{connector="postgres"} 0"#));
}
