//! Converts between events and the bytes of a topic: Confluent's framing around our envelope. Also decodes records of
//! other producers: Debezium's envelope, plain records, JSON and text; see [`Reading`].
//!
//! ```text
//! ChangeEvent ─ Encoder::encode ─▶ 0, schema id, Avro ─ Decoder::decode ─▶ Body
//! ```
//!
//! Nothing here talks to Kafka. Only [`Decoder::learn`], [`Decoder::learn_for`] and [`display`] talk to the
//! registry.
//!
//! Reading order: `encoder`; `decoder`, `framing`, `key` and `change` (Avro), `forms` (JSON and text); `version`,
//! `unavailable` and `deleted` (settings for other producers, see `settings`); `patience` (schemas that
//! the registry lacks); `display` (records as JSON for people).
//!
//! Both directions walk the schema without apache-avro (`binary/read.rs`, `binary/write.rs`). For a record of 12
//! columns in its envelope, framing and key included, `benches/codec.rs` measured (2 busy cores; apache-avro 0.22 with
//! one reader and writer per schema):
//!
//! | | here | apache-avro |
//! |---|---|---|
//! | decode | 0.5–0.7 µs | 1.7–1.9 µs to its generic value, before conversion to a `Change` |
//! | encode | 0.2 µs | 1.4 µs, 1.9 µs with validation, after building the generic value |
//!
//! apache-avro's serde reader cannot be used: it requires the names of records and enums in the target types.

mod change;
mod decoder;
mod deleted;
pub mod display;
mod encoder;
mod forms;
mod framing;
mod key;
mod patience;
pub mod published;
mod settings;
mod unavailable;
mod version;

pub use self::{
    decoder::{Decoded, Decoder},
    deleted::DELETED_FIELD,
    encoder::{Encoded, Encoder},
    framing::SchemaHeaders,
    patience::{Place, UNKNOWN_SCHEMA_WAIT},
    settings::{Form, Reading, ReadingSettings},
    unavailable::UNAVAILABLE_VALUE,
    version::VersionField,
};
pub use super::schema_id::SchemaId;

#[cfg(test)]
mod tests;
