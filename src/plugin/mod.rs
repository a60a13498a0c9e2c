//! The connector classes: one file and one line each.
//!
//! A file of this room has everything that the program needs of its class: name, keys and their reader, placement of
//! tasks, preflight, and start. The other rooms know no class: [`crate::worker`] starts connectors, [`crate::cli`]
//! checks their files, [`crate::task`] runs any source and any sink.
//!
//! To add a class, add: its folder in `connectors/`, its lines in `Cargo.toml`, a file here that implements [`Class`],
//! and its line in [`Plugin`]. The compiler reports what is missing; `towpath_api` lists the steps.

mod class;
mod close;
mod definition;
mod doorbell;
mod postgres;
mod preflight;
mod resources;
mod sink;
mod source;
mod stored_offsets;
mod views;
mod webhook;

use towpath_api::Result;
use towpath_keys::{Flat, KeyDefinition, Keys as _, Problem};

pub use self::{
    class::{Class, ClassConfig, ClassName, Connector, Read},
    definition::ConnectorDefinition,
    preflight::{TableCheck, TopicCheck},
    resources::Resources,
    sink::SinkConnector,
    source::{JournalingSource, PublishingSource},
    stored_offsets::{SinkOffsets, StoredOffsets},
    views::{ViewCheck, standard_views},
};
use crate::config::{ConnectorConfig, SinkConfig, SourceConfig, WorkerConfig};

/// Declares [`Plugin`], whose methods call the class of the variant.
macro_rules! plugins {
    ($($variant:ident($class:ty) = $about:literal,)+) => {
        /// A connector of one of the classes, with the keys of its class.
        #[derive(Debug, Clone)]
        pub enum Plugin {
            $(#[doc = $about] $variant($class),)+
        }

        /// Name and description of each class, as the key `connector.class` documents them.
        pub(crate) const CLASSES: &[(&str, &str)] = &[$((<$class as Class>::NAME, $about)),+];

        impl Plugin {
            /// The value of `connector.class`.
            pub fn class(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$class as Class>::NAME,)+
                }
            }

            /// Reads the map of a connector whose class is `class`.
            pub(crate) fn read(class: ClassName, flat: &Flat) -> Result<Read<Self>, Vec<Problem>> {
                $(if class.as_str() == <$class as Class>::NAME {
                    let (common, own, warnings) = <$class as Class>::read(flat)?;
                    return Ok((common, Self::$variant(own), warnings));
                })+
                Err(Vec::new())
            }

            /// See [`Class::announce`].
            pub(crate) fn announce(&self, common: &ConnectorConfig, resources: &Resources) {
                match self {
                    $(Self::$variant(class) => class.announce(common, resources),)+
                }
            }

            /// See [`Class::open`].
            pub(crate) async fn open(
                &self,
                common: &ConnectorConfig,
                resources: &Resources,
            ) -> Result<Box<dyn Connector>> {
                match self {
                    $(Self::$variant(class) => class.open(common, resources).await,)+
                }
            }

            /// See [`Class::stored_offsets`].
            pub(crate) async fn stored_offsets(
                &self,
                common: &ConnectorConfig,
                owner: &str,
            ) -> Result<Option<SinkOffsets>> {
                match self {
                    $(Self::$variant(class) => class.stored_offsets(common, owner).await,)+
                }
            }

            /// See [`Class::standing_views`].
            pub(crate) async fn standing_views(&self, common: &ConnectorConfig) -> Result<Option<Vec<ViewCheck>>> {
                match self {
                    $(Self::$variant(class) => class.standing_views(common).await,)+
                }
            }

            /// See [`Class::preflight`].
            pub(crate) async fn preflight(
                &self,
                common: &ConnectorConfig,
                worker: &WorkerConfig,
            ) -> Result<Vec<TopicCheck>> {
                match self {
                    $(Self::$variant(class) => class.preflight(common, worker).await,)+
                }
            }

            /// The keys of each class alone.
            fn keys() -> Vec<(&'static str, Vec<KeyDefinition>)> {
                vec![$((<$class as Class>::NAME, <$class as Class>::keys())),+]
            }
        }
    };
}

plugins! {
    Webhook(webhook::Webhook) = "Accepts posts and writes them to topics.",
    Close(close::Close) = "Reads everything of a Close organization once, then every change, into topics.",
    Postgres(postgres::Postgres) = "Writes topics to Postgres.",
}

/// Title and keys of each section of the documentation: those of all connectors, of all sources, of all sinks, then of
/// each class.
pub fn catalogue() -> Vec<(&'static str, Vec<KeyDefinition>)> {
    let shared = [
        ("Every connector", <(ClassConfig, ConnectorConfig)>::definitions()),
        ("Every source", SourceConfig::definitions()),
        ("Every sink", SinkConfig::definitions()),
    ];
    shared.into_iter().chain(Plugin::keys()).collect()
}

#[cfg(test)]
mod tests;
