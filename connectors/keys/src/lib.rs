//! Configuration keys: one flat map of dotted keys, as in Kafka Connect, read into one typed struct per connector.
//!
//! A struct declares its keys once, with [`config_keys!`](crate::config_keys). The declaration is the source of
//! reading, validation, "did you mean" and documentation. Nothing here depends on TOML, JSON or any single key, or
//! connects.
//!
//! Invariants:
//! * Every problem of a map is reported at once; an unknown or repeated key is a problem, never ignored.
//! * A value of the wrong type is a problem, never a silent default.
//! * References such as `${env:NAME}` are resolved late, on reading, and no problem contains their values.
//!
//! ```
//! use std::time::Duration;
//! use towpath_keys::{Check, Flat, Secret, read};
//!
//! towpath_keys::config_keys! {
//!     /// Keys of a source.
//!     pub struct PollerConfig {
//!         /// The URL of the API.
//!         #[key("api.url")]
//!         pub url: String,
//!         /// The time between two polls.
//!         #[key("poll.interval")]
//!         pub interval: Duration = Duration::from_secs(5),
//!         /// The key of the API.
//!         #[key("api.key")]
//!         pub api_key: Option<Secret>,
//!     }
//! }
//! impl Check for PollerConfig {}
//!
//! let (config, _) = read::<PollerConfig>(&Flat::from_strings([("api.url", "http://crm")])).unwrap();
//! assert_eq!(config.interval, Duration::from_secs(5));
//! let problems = read::<PollerConfig>(&Flat::from_strings([("api.ulr", "http://crm")])).unwrap_err();
//! assert_eq!(problems[0].suggestion.as_deref(), Some("api.url"));
//! ```

pub mod codes;
mod flat;
mod given;
mod group;
mod keys;
mod listener;
mod macros;
mod nearest;
mod origin;
mod problem;
mod reader;
mod reference;
mod secret;
mod share;
mod size;
#[cfg(test)]
mod tests;
mod timeout;
mod value;

pub use flat::{Entry, Flat, Scalar};
pub use given::{Given, Invalid, alternatives};
pub use group::{Named, Pairs};
pub use keys::{AllowedValue, Check, Field, KeyDefinition, KeyGroup, KeySpec, Keys};
pub use listener::{ListenerAddress, ListenerAddressError};
pub use nearest::nearest;
pub use origin::{BaseDir, ConfigFile, Origin};
pub use problem::{Problem, Problems, holds_credentials, looks_secret};
pub use reader::{FlatReader, read, read_with};
pub use secret::Secret;
pub use share::Share;
pub use size::ByteSize;
pub use timeout::Timeout;
pub use value::ConfigValue;
