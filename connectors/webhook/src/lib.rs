//! The webhook source: posts of `{clientid, clientSecret, objectname, id, data, action}` become change events.
//!
//! ```text
//! POST /hooks/<connector> ─ receive ─ verify ─ map ─ Publisher::publish ─ 202
//! ```
//!
//! The walk of a post: `receive` keeps its raw bytes, `verify` finds out who sent it and takes the credentials out,
//! `map` makes events of it by the agreed schema (`value`, `scalar`), the publisher stores them, `reply` says where.
//! `listener` is the socket that all webhooks of a worker share, `source` starts and stops one of them, `config`
//! declares its keys.
//!
//! It is not a queue: there is no buffer between a client and the broker, and backpressure is the client's wait. It is
//! not a mapping language: a post fits the agreed schema or is refused with every wrong field. It serves no TLS and
//! signs nothing.
//!
//! What always holds:
//! * A post is answered 202 only after the broker has all of its events for good; a post is taken whole or not at all.
//! * Until its sender is known a body costs one pass over its bytes, of which there are so many at most, and nothing is
//!   built of it.
//! * What is built is bounded: levels, values, lengths, digits.
//! * Secrets and bodies are in no log, error, metric or topic.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod config;
mod listener;
mod map;
mod metrics;
mod receive;
mod reply;
mod source;
mod verify;

pub use config::{ClientConfig, ObjectConfig, UpdateMode, WebhookConfig};
pub use listener::Listener;
pub use metrics::WebhookMetrics;
pub use source::WebhookSource;
