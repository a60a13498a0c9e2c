//! Between events and the bytes of a topic: Confluent's framing around our envelope. What others wrote is read as well,
//! in their envelopes and forms (`forms`); see [`Reading`].
//!
//! ```text
//! ChangeEvent ─ Encoder::encode ─▶ 0, schema id, Avro ─ Decoder::decode ─▶ Body
//! ```
//!
//! Nothing here talks to Kafka, and only [`Decoder::learn`] talks to the registry.
//!
//! Both directions walk the schema themselves (`binary/read.rs`, `binary/write.rs`). For a record of 12 columns in its envelope,
//! framing and key included, `benches/codec.rs` measured (2 cores, busy; apache-avro 0.22 with one reader and writer
//! for a schema):
//!
//! | | here | apache-avro |
//! |---|---|---|
//! | decode | 0.5–0.7 µs | 1.7–1.9 µs to its generic value, before anything is taken out of that |
//! | encode | 0.2 µs | 1.4 µs, 1.9 µs with its validation; before that the generic value is to be built |
//!
//! apache-avro's serde reader is no way out: it wants the names of records and enums in the types that it fills.

mod change;
mod decoder;
pub mod display;
mod encoder;
mod forms;
mod framing;
mod key;
mod settings;
mod unavailable;
mod version;

pub use self::{
    decoder::{Decoded, Decoder},
    encoder::{Encoded, Encoder},
    framing::SchemaHeaders,
    settings::{Form, Reading, ReadingSettings},
    unavailable::UNAVAILABLE_VALUE,
    version::VersionField,
};
pub use super::schema_id::SchemaId;

#[cfg(test)]
mod tests;
