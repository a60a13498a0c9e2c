//! The states of tasks and connectors.

/// The state of a task or a connector. A task that makes no progress is never `Running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The task opens its connections; no record has been processed yet.
    Starting,
    /// The task makes progress, or there is nothing to do.
    Running,
    /// The task waits after an error, then retries.
    Retrying,
    /// A part of the work waits until a person acts, and the rest continues: a partition of a task, or a task of a
    /// connector.
    Degraded,
    /// The task keeps its assignment and processes nothing.
    Paused,
    /// The task has released all its resources.
    Stopped,
    /// Nothing is processed until a person acts. All partitions of the task wait and are retried, or the task has
    /// ended.
    Failed,
}

impl State {
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::Running, Self::Retrying, Self::Degraded, Self::Paused, Self::Stopped, Self::Failed];

    /// The name of the state in labels, REST and logs.
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

    /// The state of a connector: the worst state of its tasks, but `Degraded` instead of `Failed` while a task runs.
    /// A connector without tasks is `Starting`.
    pub(super) fn of_connector(tasks: &[Self]) -> Self {
        let any = |state| tasks.contains(&state);
        match () {
            () if any(Self::Failed) && (any(Self::Running) || any(Self::Degraded)) => Self::Degraded,
            () if any(Self::Failed) => Self::Failed,
            () if any(Self::Retrying) => Self::Retrying,
            () if any(Self::Degraded) => Self::Degraded,
            () if any(Self::Starting) => Self::Starting,
            () if any(Self::Running) => Self::Running,
            () if any(Self::Paused) => Self::Paused,
            () if any(Self::Stopped) => Self::Stopped,
            () => Self::Starting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_task_decides_and_a_running_task_makes_failed_degraded() {
        use State::{Degraded, Failed, Paused, Retrying, Running, Starting, Stopped};
        for (tasks, expected) in [
            (&[][..], Starting),
            (&[Running, Running], Running),
            (&[Running, Starting], Starting),
            (&[Running, Retrying], Retrying),
            (&[Running, Failed], Degraded),
            (&[Retrying, Failed], Failed),
            (&[Degraded, Failed], Degraded),
            (&[Degraded, Running], Degraded),
            (&[Degraded, Retrying], Retrying),
            (&[Failed], Failed),
            (&[Paused, Paused], Paused),
            (&[Stopped], Stopped),
        ] {
            assert_eq!(State::of_connector(tasks), expected, "{tasks:?}");
        }
    }
}
