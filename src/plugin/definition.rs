//! A connector as it was configured.

use towpath_api::Result;
use towpath_keys::{Flat, Problem, codes, read};

use super::{ClassConfig, ClassName, Connector, Plugin, Resources, SinkOffsets, ViewCheck};
use crate::config::ConnectorConfig;

/// A connector's map, read.
#[derive(Debug, Clone)]
pub struct ConnectorDefinition {
    /// The map as it was given, with references such as `${env:NAME}` unresolved.
    pub given: Flat,
    /// The keys that all connectors have.
    pub common: ConnectorConfig,
    /// The class, with its keys.
    pub plugin: Plugin,
}

impl ConnectorDefinition {
    /// Reads a connector's map; also returns warnings. Connects to nothing.
    ///
    /// # Errors
    /// Every problem of the map at once; without a known class, only that.
    pub fn read(flat: &Flat) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (common, plugin, warnings) = Plugin::read(class(flat)?, flat)?;
        Ok((Self { given: flat.clone(), common, plugin }, warnings))
    }

    /// Notes the connector before it is opened. See [`Class::announce`](super::Class::announce).
    pub(crate) fn announce(&self, resources: &Resources) {
        self.plugin.announce(&self.common, resources);
    }

    /// Opens the connector on this worker. See [`Class::open`](super::Class::open).
    ///
    /// # Errors
    /// Fatal if it cannot run here.
    pub(crate) async fn open(&self, resources: &Resources) -> Result<Box<dyn Connector>> {
        self.plugin.open(&self.common, resources).await
    }

    /// Connects to the offsets in a sink's store. See [`Class::stored_offsets`](super::Class::stored_offsets).
    ///
    /// # Errors
    /// Those of [`OpenSink::open`](towpath_api::OpenSink::open).
    pub(crate) async fn stored_offsets(&self, owner: &str) -> Result<Option<SinkOffsets>> {
        self.plugin.stored_offsets(&self.common, owner).await
    }

    /// The standard views in a sink's store. See [`Class::standing_views`](super::Class::standing_views).
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn standing_views(&self) -> Result<Option<Vec<ViewCheck>>> {
        self.plugin.standing_views(&self.common).await
    }
}

/// The class that the map names. Without a class only its own key can be checked.
fn class(flat: &Flat) -> Result<ClassName, Vec<Problem>> {
    let key = "connector.class";
    let mut alone = Flat::from_strings::<&str, &str>([]);
    for entry in flat.entries().iter().filter(|entry| entry.key == key) {
        alone.push(key, entry.value.clone(), entry.origin.clone());
    }
    match read::<ClassConfig>(&alone) {
        Ok((config, _)) => Ok(config.class),
        Err(mut problems) => {
            for problem in &mut problems {
                problem.origin = problem.origin.take().or_else(|| flat.file_origin());
            }
            Err(problems)
        }
    }
}

/// Warnings of a source with one task and without dead letters: about `tasks.max` above 1, and about the keys of dead
/// letters.
pub(super) fn without_tasks_and_tolerance(
    flat: &Flat,
    common: &ConnectorConfig,
    no_tasks: &str,
    no_tolerance: &str,
) -> Vec<Problem> {
    let tasks = (common.tasks_max > 1).then(|| without_effect(flat, "tasks.max", no_tasks)).flatten();
    let tolerance = ["errors.tolerance", "errors.retry.timeout"].map(|key| without_effect(flat, key, no_tolerance));
    tasks.into_iter().chain(tolerance.into_iter().flatten()).collect()
}

/// Warns about a key that was given and has no effect.
fn without_effect(flat: &Flat, key: &str, why: &str) -> Option<Problem> {
    let entry = flat.entries().iter().find(|entry| entry.key == key)?;
    let origin = entry.origin.clone().or_else(|| flat.file_origin());
    Some(Problem::new(codes::WARNING, key, format!("`{key}`: {why}")).at(origin))
}
