//! The connectors of this worker, and a handle for each of their tasks.
//!
//! A task can be started, stopped, restarted or replaced while the others run. A task that fails or panics does not
//! affect the others, and stays failed until it is restarted. The caller decides which connectors and tasks run here.

use std::collections::{BTreeMap, HashMap};

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType, Result};

use crate::{
    plugin::{Connector, ConnectorDefinition, Resources},
    task::codes::{PANIC, START},
};

/// Names one task: its connector, and its number from 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    pub connector: String,
    /// From 0.
    pub task: u32,
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

struct Running {
    stop: CancellationToken,
    id: Id,
}

/// The connectors and tasks of this worker.
pub struct Herder {
    resources: Resources,
    connectors: BTreeMap<String, Box<dyn Connector>>,
    running: BTreeMap<TaskId, Running>,
    /// The futures of the running tasks. A panic names its future only.
    futures: JoinSet<Result<()>>,
    ids: HashMap<Id, TaskId>,
}

impl Herder {
    /// Creates a herder without connectors.
    pub fn new(resources: Resources) -> Self {
        Self {
            resources,
            connectors: BTreeMap::new(),
            running: BTreeMap::new(),
            futures: JoinSet::new(),
            ids: HashMap::new(),
        }
    }

    /// Opens connectors without starting their tasks.
    ///
    /// # Errors
    /// Fatal if a connector cannot be opened here, for example because a listener's address is in use, or if a
    /// connector of the same name is open. The connectors before it stay open.
    pub async fn open(&mut self, definitions: &[ConnectorDefinition]) -> Result<()> {
        if let Some(name) =
            definitions.iter().map(|new| &new.common.name).find(|name| self.connectors.contains_key(*name))
        {
            let doing = format!("open connector `{name}`: it is open already");
            return Err(Error::fatal(START, ErrorType::Internal, doing));
        }
        definitions.iter().for_each(|definition| definition.announce(&self.resources));
        for definition in definitions {
            let name = &definition.common.name;
            let connector = definition.open(&self.resources).await?;
            self.connectors.insert(name.clone(), connector);
        }
        Ok(())
    }

    /// The tasks of an open connector; none if the connector is not open.
    pub fn tasks_of(&self, connector: &str) -> Vec<TaskId> {
        let tasks = self.connectors.get(connector).map_or(0, |connector| connector.tasks());
        (0..tasks).map(|task| TaskId { connector: connector.to_owned(), task }).collect()
    }

    /// Returns true while the task runs.
    pub fn is_running(&self, id: &TaskId) -> bool {
        self.running.contains_key(id)
    }

    /// Starts a task of an open connector. Does nothing if the task runs already.
    pub fn start(&mut self, id: &TaskId) {
        let Some(connector) = self.connectors.get(&id.connector) else { return };
        if self.is_running(id) {
            return;
        }
        let stop = CancellationToken::new();
        let handle = self.futures.spawn(connector.task(id.task, stop.clone()));
        self.ids.insert(handle.id(), id.clone());
        self.running.insert(id.clone(), Running { stop, id: handle.id() });
    }

    /// Stops a task: intake ends, batches in flight finish. Returns when the task has ended; the other tasks continue.
    pub async fn stop(&mut self, id: &TaskId) {
        let Some(Running { stop, .. }) = self.running.get(id) else { return };
        stop.cancel();
        while self.is_running(id) && self.next_ended().await.is_some() {}
    }

    /// Stops a task if it runs, and starts it again.
    pub async fn restart(&mut self, id: &TaskId) {
        self.stop(id).await;
        self.start(id);
    }

    /// Stops all tasks of a connector, closes it, and removes it from the board and its series from the metrics.
    pub async fn close(&mut self, connector: &str) {
        for id in self.tasks_of(connector) {
            if let Some(Running { stop, .. }) = self.running.get(&id) {
                stop.cancel();
            }
        }
        for id in self.tasks_of(connector) {
            self.stop(&id).await;
        }
        if let Some(open) = self.connectors.remove(connector) {
            open.close().await;
            self.resources.forget(connector);
        }
    }

    /// Waits until a task ends and returns its id. `None` if no task runs.
    ///
    /// # Cancel safety
    /// Safe: the end of a task is returned by this call or the next one.
    pub async fn next_ended(&mut self) -> Option<TaskId> {
        let (future, outcome) = match self.futures.join_next_with_id().await? {
            Ok((future, outcome)) => (future, Ok(outcome)),
            Err(panic) => (panic.id(), Err(panic)),
        };
        let id = self.ids.remove(&future)?;
        if self.running.get(&id).is_some_and(|running| running.id == future) {
            self.running.remove(&id);
        }
        // A task reports its own errors, but not its own panic. The panic's message is in the process's log; it may
        // hold a payload, which the board must not show.
        if outcome.is_err() {
            let error = Error::fatal(PANIC, ErrorType::Internal, format!("run task {id}, which ended by a bug"));
            let error = error.with_help("report this bug with the log");
            tracing::error!(
                connector = %id.connector, task = id.task, code = error.code, error = %error.chain(),
                help = error.help(),
                "task {id} has failed and stays failed until it is restarted; the other tasks continue"
            );
            self.resources.board.task(&id.connector, id.task as usize).failed(&error);
        }
        Some(id)
    }

    /// Stops all tasks and returns when all of them have ended. The connectors stay open, so that clients get a
    /// response that asks for a retry.
    pub async fn drain(&mut self) {
        self.running.values().for_each(|running| running.stop.cancel());
        while self.next_ended().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
