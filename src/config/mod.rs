//! What is configured: files into flat maps, flat maps into typed structs, problems into text for people.
//!
//! The keys of a connector are declared in its own crate, the machinery is [`towpath_keys`]. Here are the keys
//! of the worker and those that every connector, every source or every sink has, the reading of TOML, and the printing of problems
//! and of the documentation.
//!
//! Nothing here connects to anything; a config is refused before anything is started.

mod connector;
mod dead_letter_queue;
mod delivery;
mod docs;
mod reading;
mod render;
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
pub use sink::{BatchConfig, SinkConfig, TopicsConfig};
pub use source::SourceConfig;
pub use toml::{load, parse};
pub use worker::{LogFormat, WorkerConfig};
