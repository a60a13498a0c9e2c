//! Who does what: the state of each task, and of the connector that its tasks add up to.
//!
//! The worker writes through [`TaskStatus`] handles, REST reads [`StatusBoard::connectors`]. The gauges of the states
//! follow from the same writes, so the two never disagree.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use towpath_api::Error;

use super::{
    Metrics,
    connector_metrics::{ConnectorFamilies, seconds_since_epoch},
};

/// What a task or a connector is doing. A task that makes no progress is never `Running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// On its way to work.
    Starting,
    /// Works.
    Running,
    /// Waits after an error, to try again.
    Retrying,
    /// Works, but a task has failed.
    Degraded,
    /// Keeps its place and does nothing.
    Paused,
    /// Has let go of everything.
    Stopped,
    /// Gave up; a person has to act.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::Running, Self::Retrying, Self::Degraded, Self::Paused, Self::Stopped, Self::Failed];

    /// The word used in labels, REST and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Degraded => "degraded",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The state of a connector whose tasks are in `tasks`: the worst decides, but one that still works is degraded and
    /// not failed.
    fn of_connector(tasks: &[Self]) -> Self {
        let any = |state| tasks.contains(&state);
        match () {
            () if any(Self::Failed) && any(Self::Running) => Self::Degraded,
            () if any(Self::Failed) => Self::Failed,
            () if any(Self::Retrying) => Self::Retrying,
            () if any(Self::Degraded) => Self::Degraded,
            () if any(Self::Starting) => Self::Starting,
            () if any(Self::Running) => Self::Running,
            () if any(Self::Paused) => Self::Paused,
            () if any(Self::Stopped) => Self::Stopped,
            // No task yet.
            () => Self::Starting,
        }
    }
}

/// The last error of a task, as far as an operator may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// The code, `area.reason`.
    pub code: &'static str,
    /// The whole chain of causes.
    pub chain: String,
    /// When it happened.
    pub at: SystemTime,
}

/// One task at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskReport {
    /// Its number within the connector.
    pub id: usize,
    /// What it is doing.
    pub state: State,
    /// Since when.
    pub since: SystemTime,
    /// Why it retries or has failed; `None` in every other state.
    pub error: Option<LastError>,
    /// While it retries: which attempt comes next, from 1.
    pub attempt: Option<u32>,
    /// While it retries: when that is.
    pub next_try: Option<SystemTime>,
}

/// One connector at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorReport {
    /// Its name.
    pub name: String,
    /// What its tasks add up to.
    pub state: State,
    /// Its tasks by number.
    pub tasks: Vec<TaskReport>,
}

/// The states of one worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StatusBoard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connectors: RwLock<BTreeMap<String, BTreeMap<usize, TaskReport>>>,
    families: ConnectorFamilies,
}

impl StatusBoard {
    /// Makes an empty board that keeps the gauges of `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        let families = metrics.connector_families().clone();
        Self { inner: Arc::new(Inner { connectors: RwLock::default(), families }) }
    }

    /// Puts a task on the board as starting, and returns the handle by which it reports.
    pub fn task(&self, connector: &str, id: usize) -> TaskStatus {
        let task = TaskStatus { board: self.clone(), connector: connector.into(), id };
        task.set(State::Starting, None, None, None);
        task
    }

    /// All connectors by name.
    pub fn connectors(&self) -> Vec<ConnectorReport> {
        let connectors = self.inner.connectors.read().unwrap_or_else(PoisonError::into_inner);
        let report = |(name, tasks): (&String, &BTreeMap<usize, TaskReport>)| ConnectorReport {
            name: name.clone(),
            state: of_tasks(tasks),
            tasks: tasks.values().cloned().collect(),
        };
        connectors.iter().map(report).collect()
    }

    fn set(&self, connector: &str, report: TaskReport) {
        let mut connectors = self.inner.connectors.write().unwrap_or_else(PoisonError::into_inner);
        let tasks = connectors.entry(connector.to_owned()).or_default();
        let since = tasks.get(&report.id).filter(|old| old.state == report.state).map(|old| old.since);
        tasks.insert(report.id, TaskReport { since: since.unwrap_or(report.since), ..report });

        let present = of_tasks(tasks);
        for state in State::ALL {
            let labels = [connector, state.as_str()];
            let count = tasks.values().filter(|task| task.state == state).count();
            self.inner.families.state.with_label_values(&labels).set(i64::from(state == present));
            self.inner.families.tasks.with_label_values(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

fn of_tasks(tasks: &BTreeMap<usize, TaskReport>) -> State {
    let states: Vec<State> = tasks.values().map(|task| task.state).collect();
    State::of_connector(&states)
}

/// Reports for one task. Dropping it leaves the last report on the board.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    board: StatusBoard,
    connector: Arc<str>,
    id: usize,
}

impl TaskStatus {
    /// It is on its way to work.
    pub fn starting(&self) {
        self.set(State::Starting, None, None, None);
    }

    /// It works: it has made progress, or there is nothing to do.
    pub fn running(&self) {
        self.set(State::Running, None, None, None);
    }

    /// It keeps its place and does nothing.
    pub fn paused(&self) {
        self.set(State::Paused, None, None, None);
    }

    /// It has let go of everything.
    pub fn stopped(&self) {
        self.set(State::Stopped, None, None, None);
    }

    /// It waits because of `error` and makes its `attempt`th try at `next_try`.
    pub fn retrying(&self, error: &Error, attempt: u32, next_try: SystemTime) {
        self.set(State::Retrying, Some(error), Some(attempt), Some(next_try));
    }

    /// It gave up because of `error`.
    pub fn failed(&self, error: &Error) {
        self.set(State::Failed, Some(error), None, None);
    }

    fn set(&self, state: State, error: Option<&Error>, attempt: Option<u32>, next_try: Option<SystemTime>) {
        let now = SystemTime::now();
        if error.is_some() {
            let last_error = &self.board.inner.families.last_error;
            last_error.with_label_values(&[&self.connector]).set(seconds_since_epoch(now));
        }
        let error = error.map(|error| LastError { code: error.code, chain: error.chain(), at: now });
        self.board.set(&self.connector, TaskReport { id: self.id, state, since: now, error, attempt, next_try });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use towpath_api::ErrorType;

    use super::*;

    fn unavailable() -> Error {
        Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect to Postgres at db:5432")
    }

    #[test]
    fn the_worst_task_decides_and_a_working_one_makes_it_degraded() {
        use State::{Degraded, Failed, Paused, Retrying, Running, Starting, Stopped};
        for (tasks, expected) in [
            (&[][..], Starting),
            (&[Running, Running], Running),
            (&[Running, Starting], Starting),
            (&[Running, Retrying], Retrying),
            (&[Running, Failed], Degraded),
            (&[Retrying, Failed], Failed),
            (&[Failed], Failed),
            (&[Paused, Paused], Paused),
            (&[Stopped], Stopped),
        ] {
            assert_eq!(State::of_connector(tasks), expected, "{tasks:?}");
        }
    }

    #[test]
    fn a_retrying_task_says_why_and_when_next_and_forgets_it_once_it_runs() {
        let board = StatusBoard::new(&Metrics::new());
        let task = board.task("postgres", 0);
        let next_try = SystemTime::now() + Duration::from_secs(22);
        task.retrying(&unavailable(), 4, next_try);
        let report = board.connectors().remove(0);
        assert_eq!(report.state, State::Retrying);
        assert_eq!(report.tasks[0].attempt, Some(4));
        assert_eq!(report.tasks[0].next_try, Some(next_try));
        assert_eq!(report.tasks[0].error.as_ref().unwrap().chain, "connect to Postgres at db:5432");

        task.running();
        let report = board.connectors().remove(0);
        assert_eq!(
            (report.state, report.tasks[0].error.as_ref(), report.tasks[0].attempt),
            (State::Running, None, None)
        );
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
}
