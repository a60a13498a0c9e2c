//! The contract that every Towpath connector is written against.
//!
//! A *source* knows one outside system and turns what changes there into [`ChangeEvent`]s. A *sink* knows one store and
//! makes [`Batch`]es of records durable there. Neither knows Kafka, a schema registry, the worker or another connector:
//! a connector crate depends on this crate only, so the compiler keeps them apart.
//!
//! ```text
//! outside ─ Source::run ─ Publisher::publish ─ (topic) ─ Sink::apply ─ store
//! ```
//!
//! # Writing a source
//!
//! 1. Declare its keys with [`config_keys!`]; validation, documentation and "did you mean" come from that one place.
//! 2. Describe each object once as an [`Object`]: a name, an Avro record schema with an `id` field, whole or partial updates.
//! 3. Implement [`Source`]: hand events to the [`Publisher`]; when `publish` returns `Ok`, the broker has them for good.
//!
//! # Writing a sink
//!
//! 1. Declare its keys in the same way.
//! 2. Implement [`Sink`]: `claim` takes a partition over, `apply` stores rows and the next offset together or not at all.
//!
//! # What always holds
//!
//! * Nothing is acknowledged before it is durable, so a future of this crate's traits may be dropped at any await.
//! * An [`Error`] says what to do about it ([`Reaction`]), not where it came from.
//! * After an error a retry starts from a fresh instance and the stored offset; there is no half-broken state.
//! * An offset is the next one to read; ranges are half open, `[from, to)`.

mod arena;
pub mod config;
mod error;
mod event;
pub mod json;
mod object;
mod sink;
mod source;

pub use apache_avro;
pub use arena::{Arena, Span};
pub use error::{Error, ErrorType, Reaction, Result};
pub use event::{ChangeEvent, Key, Op, Version};
pub use object::{KeyType, Object, ObjectError, Updates};
pub use sink::{Applied, Batch, Body, Change, Claim, OpenSink, Payload, Record, Sink, TopicPartition};
pub use source::{Lifecycle, Placed, Publisher, Source};
