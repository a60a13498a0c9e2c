//! The webhook source: turns posts of `{clientid, clientSecret, objectname, id, data, action}` into change events.
//!
//! ```text
//! POST /hooks/<connector> ─ receive ─ verify ─ map ─ Publisher::publish ─ 202
//! ```
//!
//! A post is received by `receive`, which keeps its raw bytes. `verify` identifies the client and removes the
//! credentials. `map` maps the records to events with [`towpath_mapping`]. The publisher stores the events, and `reply`
//! answers with their offsets.
//!
//! Around that walk: `listener` owns the sockets that all webhooks of a worker share ([`towpath_listener`] serves
//! their connections), `hooks` the connectors by name; `content` checks the type of a body, `body` reads it within
//! the `budget` of unknown senders, `attempts` counts their guesses, and `door` holds both; `discard` drains refused
//! bodies; `source` starts and stops one webhook; `config` declares its keys, `codes` its error codes, `metrics` its
//! metrics; `lent` answers for another connector.
//!
//! It is not a queue: there is no buffer between a client and the broker, and backpressure is the client's wait. It is
//! not a mapping language: a post fits the agreed schema or is refused with all misfits. It has no TLS and no
//! signatures.
//!
//! What always holds:
//! * A post is answered 202 only after the broker has all its events for good. A post is accepted whole or not at all,
//!   unless the broker itself refuses one of its events: then others may be stored, and the answer says so.
//! * Before its client is known, a post has no permit, its body costs one pass over its bytes, at most
//!   `body.max.bytes`, nothing is built from it, and its memory is part of a budget that small bodies do not need.
//! * A body over 4 KiB is verified and mapped on another thread than those that serve requests.
//! * Parsed values are bounded: levels, values, lengths, digits.
//! * Secrets and bodies appear in no log, error or metric, and secrets in no topic.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod attempts;
mod body;
mod budget;
mod codes;
mod config;
mod content;
mod discard;
mod door;
mod hooks;
mod lent;
mod listener;
mod map;
mod metrics;
mod receive;
mod reply;
mod source;
mod unready;
mod verify;

pub use config::{ClientConfig, ObjectConfig, UpdateMode, WebhookConfig};
pub use door::DoorLimits;
pub use listener::{LentHook, Listener};
pub use metrics::WebhookMetrics;
pub use source::{OpenWebhookSource, WebhookSource};
pub use towpath_listener::Limits;
