//! The parts of a source that wait on their own, as the task shows them: see [`Lifecycle::part_waits`].
//!
//! [`Lifecycle::part_waits`]: towpath_api::Lifecycle::part_waits

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use towpath_api::{Error, Parts};

use super::TaskHealth;
use crate::telemetry::Stage;

/// The parts of one run of a source. They end with the run: the next run begins with none that waits.
pub(super) struct SourceParts {
    health: Arc<TaskHealth>,
    /// The parts that wait; `None` once the run has ended.
    waiting: Mutex<Option<HashSet<String>>>,
}

impl SourceParts {
    pub(super) fn new(health: &Arc<TaskHealth>) -> Arc<Self> {
        Arc::new(Self { health: Arc::clone(health), waiting: Mutex::new(Some(HashSet::new())) })
    }

    /// Ends the parts of the run. Later reports, by work that the source has left behind, have no effect.
    pub(super) fn end(&self) {
        let ended = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.health.end_parts(ended.into_iter().flatten());
    }
}

impl Parts for SourceParts {
    fn waits(&self, part: &str, error: &Error, attempt: u32, delay: Duration) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = &mut *waiting else { return };
        waiting.insert(part.to_owned());
        if attempt > 1 {
            self.health.retried(Stage::Poll);
        }
        self.health.report_retrying(part, Stage::Poll, error, attempt, delay);
    }

    fn works(&self, part: &str) {
        if self.health.is_well() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.as_mut().is_some_and(|waiting| waiting.remove(part)) {
            self.health.retried(Stage::Poll);
            self.health.part_works(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use towpath_api::{ErrorType, Lifecycle};

    use super::*;
    use crate::telemetry::{Metrics, State, StatusBoard};

    const DELAY: Duration = Duration::from_secs(30);

    fn task() -> (Metrics, StatusBoard, Arc<TaskHealth>) {
        let metrics = Metrics::new();
        let board = StatusBoard::new(&metrics);
        let (status, connector) = (board.task("close", 0), metrics.connector("close", Stage::SOURCE));
        (metrics, board, Arc::new(TaskHealth::new("close", status, connector, Duration::from_mins(5))))
    }

    fn shown(board: &StatusBoard) -> (State, Option<&'static str>, Option<u32>) {
        let task = board.connectors().remove(0).tasks.remove(0);
        (task.state, task.error.map(|error| error.code), task.attempt)
    }

    fn life(parts: &Arc<SourceParts>) -> Lifecycle {
        Lifecycle::new(CancellationToken::new()).with_parts(Arc::<SourceParts>::clone(parts))
    }

    fn outage() -> Error {
        Error::retry("close.unavailable", ErrorType::Unavailable, "read leads")
    }

    fn forbidden() -> Error {
        Error::fatal("close.forbidden", ErrorType::Auth, "read roles")
    }

    #[test]
    fn a_part_that_waits_shows_in_the_state_and_in_the_metrics_until_it_works() {
        let (metrics, board, health) = task();
        let parts = SourceParts::new(&health);
        let life = life(&parts);
        health.report_running("source");
        life.part_waits("object role", &forbidden(), 1, DELAY);
        assert_eq!(shown(&board), (State::Degraded, Some("close.forbidden"), Some(1)));
        life.part_waits("api", &outage(), 3, DELAY);
        assert_eq!(shown(&board), (State::Retrying, Some("close.unavailable"), Some(3)));
        let text = metrics.encode();
        for line in [
            r#"towpath_errors_total{connector="close",error_type="auth",stage="poll"} 1"#,
            r#"towpath_errors_total{connector="close",error_type="unavailable",stage="poll"} 1"#,
            r#"towpath_retries_total{connector="close",stage="poll"} 1"#,
            r#"towpath_connector_state{connector="close",state="retrying"} 1"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        life.part_works("api");
        assert_eq!(shown(&board), (State::Degraded, Some("close.forbidden"), Some(1)), "the other part still waits");
        life.part_works("object lead");
        assert_eq!(shown(&board).0, State::Degraded, "a part that did not wait changes nothing");
        life.part_works("object role");
        assert_eq!(shown(&board), (State::Running, None, None));
    }

    #[test]
    fn a_part_that_works_again_does_not_start_the_task() {
        let (_, board, health) = task();
        let parts = SourceParts::new(&health);
        let life = life(&parts);
        life.part_works("api");
        assert_eq!(shown(&board).0, State::Starting);
        life.part_waits("api", &outage(), 1, DELAY);
        assert_eq!(shown(&board).0, State::Retrying);
        life.part_works("api");
        assert_eq!(shown(&board), (State::Starting, None, None));
        health.report_running("source");
        assert_eq!(shown(&board).0, State::Running);
    }

    #[test]
    fn the_parts_of_a_run_end_with_it() {
        let (_, board, health) = task();
        let first = SourceParts::new(&health);
        let life_of_first = life(&first);
        health.report_running("source");
        life_of_first.part_waits("object role", &forbidden(), 1, DELAY);
        first.end();
        assert_eq!(shown(&board).0, State::Degraded, "until the task reports again");
        health.report_retrying("source", Stage::Poll, &outage(), 1, DELAY);
        assert_eq!(shown(&board).0, State::Retrying);
        health.report_running("source");
        assert_eq!(shown(&board), (State::Running, None, None));
        // Work that the first run has left behind.
        life_of_first.part_waits("object role", &forbidden(), 2, DELAY);
        assert_eq!(shown(&board).0, State::Running);
    }
}
