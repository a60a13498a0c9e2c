//! Configuration: files to flat maps, flat maps to typed structs, problems to text for people.
//!
//! Each connector's crate declares its keys with the macros of [`towpath_keys`]. This module has the keys of the
//! worker, of every connector, of every source and of every sink, the reader of TOML, and the texts of problems and
//! documentation.
//!
//! Nothing here connects. A config is refused before anything is started.

mod connect;
mod connector;
mod dead_letter_queue;
mod delivery;
mod docs;
mod reading;
mod render;
mod selection;
mod sink;
mod source;
mod toml;
mod worker;

pub use connector::{ConnectorConfig, ErrorsTolerance};
pub use dead_letter_queue::DeadLetterQueueConfig;
pub use delivery::DeliveryConfig;
pub use docs::configuration_page;
pub use reading::{Converter, ReadingConfig};
pub use render::{render, render_warnings};
pub use selection::Selection;
pub use sink::{BatchConfig, SinkConfig, TopicsConfig};
pub use source::SourceConfig;
pub use toml::{load, parse};
pub use worker::{LogFormat, WorkerConfig};
