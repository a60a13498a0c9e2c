//! The reports of a task, as the status board shows them.

use super::*;
use crate::telemetry::{Metrics, State, StatusBoard};

const DELAY: Duration = Duration::from_secs(1);

fn taken() -> Error {
    Error::fatal("postgres.table_taken", ErrorType::Config, "claim a[0]").with_help("drop the table")
}

fn task() -> (StatusBoard, TaskHealth) {
    let metrics = Metrics::new();
    let board = StatusBoard::new(&metrics);
    let (status, metrics) = (board.task("pg", 0), metrics.connector("pg", Stage::SINK));
    (board, TaskHealth::new("pg", status, metrics, Duration::from_mins(5)))
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: 0 }
}

/// The state of the task, and the code of its error.
fn shown(board: &StatusBoard) -> (State, Option<&'static str>) {
    let task = board.connectors().remove(0).tasks.remove(0);
    (task.state, task.error.map(|error| error.code))
}

#[test]
fn the_board_follows_each_part_and_keeps_the_error_of_those_that_wait() {
    let (board, health) = task();
    let _partitions = [health.partition(&partition("a")), health.partition(&partition("b"))];
    assert_eq!(shown(&board), (State::Starting, None));
    health.report_running("b[0]");
    assert_eq!(shown(&board), (State::Running, None));
    health.report_retrying("a[0]", Stage::Consume, &taken(), 1, DELAY);
    assert_eq!(shown(&board), (State::Degraded, Some("postgres.table_taken")));
    let outage = Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect");
    health.report_retrying("b[0]", Stage::Apply, &outage, 1, DELAY);
    assert_eq!(shown(&board), (State::Retrying, Some("postgres.unavailable")));
    health.report_running("b[0]");
    assert_eq!(shown(&board), (State::Degraded, Some("postgres.table_taken")));
    health.forget("b[0]");
    assert_eq!(shown(&board), (State::Failed, Some("postgres.table_taken")), "no partition is left that works");
    let task = board.connectors().remove(0).tasks.remove(0);
    assert!(task.next_try.is_some() && task.error.unwrap().needs_action);
    health.report_running("a[0]");
    assert_eq!(shown(&board), (State::Running, None));
}

#[test]
fn a_task_that_has_failed_stays_failed_while_its_parts_end() {
    let (board, health) = task();
    let _partitions = [health.partition(&partition("a")), health.partition(&partition("b"))];
    health.report_running("a[0]");
    health.failed(Stage::Apply, &taken());
    let outage = Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect");
    health.report_retrying("b[0]", Stage::Apply, &outage, 1, DELAY);
    assert_eq!(shown(&board), (State::Failed, Some("postgres.table_taken")));
    health.report_running("b[0]");
    health.forget("a[0]");
    assert_eq!(shown(&board), (State::Failed, Some("postgres.table_taken")));
}

#[test]
fn a_part_that_waits_for_a_person_is_retried_after_a_second_and_then_at_least_each_minute() {
    let (_, health) = task();
    let mut patience = health.patience();
    let delays: Vec<_> = (0..20).map(|_| patience.next()).collect();
    assert!((DELAY..=2 * DELAY).contains(&delays[0]), "{delays:?}");
    assert!(delays[8..].iter().all(|delay| *delay == Duration::from_mins(1)), "{delays:?}");
}
