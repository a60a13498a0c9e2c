//! The status board: the state of each connector, its tasks and their partitions.
//!
//! The worker writes through the handles [`TaskStatus`] and [`PartitionStatus`]; REST reads
//! [`StatusBoard::connectors`]. The gauges of the states are set by the same writes, so they always agree with the
//! board.

mod partition;
mod task;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

use towpath_api::{Error, TopicPartition};

use self::{partition::Progress, task::Update};
use super::{Metrics, State, epoch::seconds_since_epoch};

pub use self::{partition::PartitionStatus, task::TaskStatus};

/// An error as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// The code, `area.reason`.
    pub code: &'static str,
    /// The error and all its causes on one line.
    pub chain: String,
    /// The next step for a person.
    pub help: Option<String>,
    /// True if waiting alone does not help: a person has to act.
    pub needs_action: bool,
    pub at: SystemTime,
}

impl LastError {
    pub(crate) fn new(error: &Error, at: SystemTime) -> Self {
        let help = error.help().map(str::to_owned);
        Self { code: error.code, chain: error.chain(), help, needs_action: error.needs_action(), at }
    }
}

/// A partition of a task at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// The topic of the partition.
    pub topic: Arc<str>,
    /// The number of the partition within the topic.
    pub partition: i32,
    /// The offset of the first record that is not stored yet; `None` until it is known.
    pub next_offset: Option<i64>,
    /// Records between `next_offset` and the end of the partition; `None` until it is known.
    pub lag: Option<i64>,
    /// The error after which the partition waits; `None` while it works.
    pub waiting_for: Option<LastError>,
    /// Records that the store keeps because they wait for a row they refer to, and since when; `None` if none waits.
    pub waiting_records: Option<(usize, SystemTime)>,
}

/// A task at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskReport {
    /// The number of the task within the connector, from 0.
    pub id: usize,
    /// The id of the worker that runs the task.
    pub worker: Arc<str>,
    /// The generation of the assignment by which the worker runs the task; 0 without a cluster.
    pub generation: u64,
    /// The state of the task.
    pub state: State,
    /// When the task entered the state.
    pub since: SystemTime,
    /// The newest error of a task that waits, has failed or was fenced; `None` otherwise.
    pub error: Option<LastError>,
    /// The number of the next attempt, from 1, while the task or a part of it is retried.
    pub attempt: Option<u32>,
    /// The time of the next attempt, while the task or a part of it is retried.
    pub next_try: Option<SystemTime>,
    /// The partitions that the task reads, in the order of topics and numbers; empty for a source.
    pub partitions: Vec<PartitionReport>,
}

/// A connector at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorReport {
    /// The name of the connector.
    pub name: String,
    /// The state that follows from the states of the tasks.
    pub state: State,
    /// The tasks, ordered by id.
    pub tasks: Vec<TaskReport>,
}

/// The connectors that run on a worker, and the Kafka cluster that it is connected to. Cheap to clone; all clones share
/// the connectors.
#[derive(Debug, Clone)]
pub struct StatusBoard {
    shared: Arc<Shared>,
    worker: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    connectors: RwLock<BTreeMap<String, Tasks>>,
    metrics: Metrics,
    kafka_cluster_id: OnceLock<String>,
}

type Tasks = BTreeMap<usize, Task>;

/// A task on the board.
#[derive(Debug)]
struct Task {
    /// The handle that may write: the newest one of this task.
    handle: u64,
    worker: Arc<str>,
    generation: u64,
    since: SystemTime,
    latest: Update,
    partitions: BTreeMap<TopicPartition, Arc<Progress>>,
}

impl Task {
    fn report(&self, id: usize) -> TaskReport {
        TaskReport {
            id,
            worker: Arc::clone(&self.worker),
            generation: self.generation,
            state: self.latest.state,
            since: self.since,
            error: self.latest.error.clone(),
            attempt: self.latest.attempt,
            next_try: self.latest.next_try,
            partitions: self.partitions.iter().map(|(partition, progress)| progress.report(partition)).collect(),
        }
    }
}

impl StatusBoard {
    /// Creates an empty board that sets the gauges of `metrics`. The id of the worker is empty.
    pub fn new(metrics: &Metrics) -> Self {
        let shared =
            Shared { connectors: RwLock::default(), metrics: metrics.clone(), kafka_cluster_id: OnceLock::new() };
        Self { shared: Arc::new(shared), worker: Arc::from("") }
    }

    /// Sets the worker that tasks started through this board, and through clones made from it later, run on.
    pub fn with_worker(self, id: impl Into<Arc<str>>) -> Self {
        Self { worker: id.into(), ..self }
    }

    /// The id of this worker.
    pub fn worker(&self) -> &Arc<str> {
        &self.worker
    }

    /// Sets the id of the Kafka cluster. The first id stays: it does not change while the worker is connected.
    pub fn set_kafka_cluster_id(&self, id: impl Into<String>) {
        let _ = self.shared.kafka_cluster_id.set(id.into());
    }

    /// The id of the Kafka cluster; `None` until a broker has answered.
    pub fn kafka_cluster_id(&self) -> Option<&str> {
        self.shared.kafka_cluster_id.get().map(String::as_str)
    }

    /// Adds a task in the state `Starting`, of generation 0, and returns the handle by which it reports.
    ///
    /// A task with the same id is replaced, for example at a restart: its handles and those of its partitions have no
    /// effect from now on. The metric series of the connector stay.
    pub fn task(&self, connector: &str, id: usize) -> TaskStatus {
        self.task_of_generation(connector, id, 0)
    }

    /// Same as [`task`](Self::task), for a task that was assigned in `generation`.
    pub fn task_of_generation(&self, connector: &str, id: usize, generation: u64) -> TaskStatus {
        let status = TaskStatus::new(self.clone(), connector, id);
        let task = Task {
            handle: status.handle(),
            worker: Arc::clone(&self.worker),
            generation,
            since: SystemTime::now(),
            latest: Update::of(State::Starting),
            partitions: BTreeMap::new(),
        };
        let mut connectors = self.write();
        let tasks = connectors.entry(connector.to_owned()).or_default();
        tasks.insert(id, task);
        self.set_gauges(connector, tasks);
        status
    }

    /// Removes a task. After the last task, the connector is removed as by [`remove`](Self::remove).
    pub fn remove_task(&self, connector: &str, id: usize) {
        let mut connectors = self.write();
        let Some(tasks) = connectors.get_mut(connector) else { return };
        tasks.remove(&id);
        if tasks.is_empty() {
            connectors.remove(connector);
            self.shared.metrics.remove_connector(connector);
        } else {
            self.set_gauges(connector, tasks);
        }
    }

    /// Removes a connector with its tasks and all its series in the families of [`Metrics`]. If the connector is
    /// started again, its series begin at 0.
    ///
    /// To be called after the tasks have ended. Status handles that are still alive have no effect from now on; metric
    /// handles count into series that nobody sees.
    pub fn remove(&self, connector: &str) {
        let mut connectors = self.write();
        connectors.remove(connector);
        // Under the lock: no task can set a gauge in between.
        self.shared.metrics.remove_connector(connector);
    }

    /// All connectors, ordered by name.
    pub fn connectors(&self) -> Vec<ConnectorReport> {
        let report = |(name, tasks): (&String, &Tasks)| ConnectorReport {
            name: name.clone(),
            state: state_of(tasks),
            tasks: tasks.iter().map(|(id, task)| task.report(*id)).collect(),
        };
        self.read().iter().map(report).collect()
    }

    fn set(&self, connector: &str, id: usize, handle: u64, update: Update) {
        let mut connectors = self.write();
        let Some(tasks) = connectors.get_mut(connector) else { return };
        let Some(task) = tasks.get_mut(&id).filter(|task| task.handle == handle) else { return };
        if let Some(error) = &update.error {
            let families = self.shared.metrics.connector_families();
            families.last_error.with_label_values(&[connector]).set(seconds_since_epoch(error.at));
        }
        if task.latest.state != update.state {
            task.since = SystemTime::now();
        }
        task.latest = update;
        self.set_gauges(connector, tasks);
    }

    /// Calls `change` with the partitions of a task, unless the task was removed or replaced.
    fn with_partitions(
        &self,
        connector: &str,
        id: usize,
        handle: u64,
        change: impl FnOnce(&mut BTreeMap<TopicPartition, Arc<Progress>>),
    ) {
        let mut connectors = self.write();
        let task = connectors.get_mut(connector).and_then(|tasks| tasks.get_mut(&id));
        if let Some(task) = task.filter(|task| task.handle == handle) {
            change(&mut task.partitions);
        }
    }

    fn set_gauges(&self, connector: &str, tasks: &Tasks) {
        let families = self.shared.metrics.connector_families();
        let present = state_of(tasks);
        for state in State::ALL {
            let labels = [connector, state.as_str()];
            let count = tasks.values().filter(|task| task.latest.state == state).count();
            families.state.with_label_values(&labels).set(i64::from(state == present));
            families.tasks.with_label_values(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Tasks>> {
        self.shared.connectors.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Tasks>> {
        self.shared.connectors.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state_of(tasks: &Tasks) -> State {
    let states: Vec<State> = tasks.values().map(|task| task.latest.state).collect();
    State::of_connector(&states)
}

#[cfg(test)]
mod tests;
