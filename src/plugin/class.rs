//! A connector class as the worker sees it, and the key that names it.

use std::fmt::Debug;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use towpath_api::{Placement, Result};
use towpath_keys::{Check, ConfigValue, Flat, FlatReader, Given, Invalid, KeyDefinition, Keys, Problem, config_keys};

use super::{CLASSES, Resources, SinkOffsets, TopicCheck, ViewCheck};
use crate::config::{ConnectorConfig, WorkerConfig};

/// One connector class with its keys read. One file of this room implements it for each class; everything that the rest
/// of the program needs of a class is here, so a class that lacks something does not compile.
pub trait Class: Debug + Clone + Sized {
    /// The value of `connector.class`.
    const NAME: &'static str;

    /// The keys of this class alone, for the documentation.
    fn keys() -> Vec<KeyDefinition>;

    /// Reads a connector's map: the keys that all connectors have, and this class's. Connects to nothing.
    ///
    /// # Errors
    /// Every problem of the map at once.
    fn read(flat: &Flat) -> Result<Read<Self>, Vec<Problem>>;

    /// Notes a connector that is about to be opened. All connectors that start together are announced before the first
    /// one is opened, so a listener that they share knows all of them before it binds. A class without a shared
    /// listener does nothing.
    fn announce(&self, common: &ConnectorConfig, resources: &Resources);

    /// Opens the connector on this worker, without starting a task of it.
    ///
    /// # Errors
    /// Fatal if it cannot run here, for example because a listener's address is taken.
    fn open(
        &self,
        common: &ConnectorConfig,
        resources: &Resources,
    ) -> impl Future<Output = Result<Box<dyn Connector>>> + Send;

    /// Connects to the offsets in a sink's store, apart from its tasks; `None` for a source. `owner` becomes the owner
    /// of partitions whose offset is set.
    ///
    /// # Errors
    /// Those of [`OpenSink::open`](towpath_api::OpenSink::open).
    fn stored_offsets(
        &self,
        common: &ConnectorConfig,
        owner: &str,
    ) -> impl Future<Output = Result<Option<SinkOffsets>>> + Send;

    /// The standard views in the connector's store: those that are installed, and those that are missing although there
    /// are tables for them. `None` for a class without tables, which is the default. Changes nothing.
    ///
    /// # Errors
    /// Those of the store.
    fn standing_views(&self, common: &ConnectorConfig) -> impl Future<Output = Result<Option<Vec<ViewCheck>>>> + Send {
        let _ = common;
        std::future::ready(Ok(None))
    }

    /// Compares the topics that the connector reads with the place where it stores them, without changing anything. A
    /// source reads no topics and returns an empty list.
    ///
    /// # Errors
    /// Those of Kafka, the registry and the store.
    fn preflight(
        &self,
        common: &ConnectorConfig,
        worker: &WorkerConfig,
    ) -> impl Future<Output = Result<Vec<TopicCheck>>> + Send;
}

/// A connector's map, read: the keys of all connectors, those of its class, and warnings.
pub type Read<C> = (ConnectorConfig, C, Vec<Problem>);

/// A connector that is open on this worker.
pub trait Connector: Send + Sync {
    /// The number of its tasks.
    fn tasks(&self) -> u32;

    /// The workers that the connector's tasks may run on.
    fn placement(&self) -> Placement;

    /// Runs task `task`, counted from 0, until `stop` is cancelled or the task ends with an error, which it has
    /// reported. May be called again once the future has ended.
    fn task(&self, task: u32, stop: CancellationToken) -> BoxFuture<'static, Result<()>>;

    /// Closes the connector, whose tasks have ended: this worker no longer runs it.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// The name of a class that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassName(&'static str);

impl ClassName {
    /// The value of `connector.class`.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl ConfigValue for ClassName {
    fn type_name() -> String {
        "choice".to_owned()
    }

    fn allowed() -> Vec<(&'static str, &'static str)> {
        CLASSES.to_vec()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        let chosen = given.choice(&CLASSES.iter().map(|(name, _)| (*name, Self(name))).collect::<Vec<_>>());
        let is_jdbc = given.value().to_string().ends_with("JdbcSinkConnector");
        chosen.map_err(|invalid| match invalid {
            Invalid { message, suggestion: None } if is_jdbc => {
                Invalid { message, suggestion: Some("PostgresSink".to_owned()) }
            }
            invalid => invalid,
        })
    }

    fn to_text(&self, _key: &str) -> String {
        self.0.to_owned()
    }
}

config_keys! {
    /// The key that names the class.
    pub struct ClassConfig {
        /// The class of the connector.
        #[key("connector.class")]
        pub class: ClassName,
    }
}

impl Check for ClassConfig {}

/// The keys of every source or every sink and those of one class, with a check across both.
pub(super) struct Across<A, B>(pub(super) A, pub(super) B);

impl<A: Keys, B: Keys> Keys for Across<A, B>
where
    Self: Check,
{
    fn definitions() -> Vec<KeyDefinition> {
        <(A, B)>::definitions()
    }

    fn foreign() -> Vec<(&'static str, &'static str)> {
        <(A, B)>::foreign()
    }

    fn read(reader: &mut FlatReader<'_>) -> Option<Self> {
        let (shared, own) = <(A, B)>::read(reader)?;
        let keys = Self(shared, own);
        reader.check(&keys);
        Some(keys)
    }
}
