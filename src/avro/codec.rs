//! Between events and the bytes of a topic: Confluent's framing around our envelope. What others wrote is read as well,
//! in their envelopes and forms (`forms`); see [`Reading`].
//!
//! ```text
//! ChangeEvent ─ Encoder::encode ─▶ 0, schema id, Avro ─ Decoder::decode ─▶ Body
//! ```
//!
//! Nothing here talks to Kafka, and only [`Decoder::learn`] talks to the registry.
//!
//! Both directions walk the schema themselves (`read.rs`, `write.rs`). For a record of 12 columns in its envelope,
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
mod encoder;
mod forms;
mod key;
mod reading;
mod unavailable;
mod version;

use apache_avro::schema::{RecordField, Schema};

pub use self::{
    decoder::{Decoded, Decoder, SchemaHeaders, SchemaId},
    encoder::{Encoded, Encoder},
    reading::{Form, Reading, ReadingSettings},
    unavailable::UNAVAILABLE_VALUE,
    version::VersionField,
};

/// The first byte of Confluent's framing; the schema id follows, big endian.
const MAGIC: u8 = 0;
/// The first byte of a header with a unique id, of which the rest is that id.
const GUID_MAGIC: u8 = 1;
const HEADER_BYTES: usize = 5;

fn fields(record: &Schema) -> &[RecordField] {
    match record {
        Schema::Record(record) => &record.fields,
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
