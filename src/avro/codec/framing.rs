//! Confluent's framing: the id of a schema, in front of the bytes or in a header.

use apache_avro::Uuid;

use crate::avro::{codes, refusal::Refusal, schema_id::SchemaId};

/// The first byte of Confluent's framing; the schema id follows, big endian.
const MAGIC: u8 = 0;
/// The first byte of a header with a unique id, of which the rest is that id.
const GUID_MAGIC: u8 = 1;
const HEADER_BYTES: usize = 5;

/// The headers in which newer serialisers tell a schema, instead of in front of the bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaHeaders<'a> {
    /// The value of [`SchemaHeaders::KEY`].
    pub key: Option<&'a [u8]>,
    /// The value of [`SchemaHeaders::VALUE`].
    pub value: Option<&'a [u8]>,
}

impl SchemaHeaders<'_> {
    /// The header with the schema of the key.
    pub const KEY: &'static str = "__key_schema_id";
    /// The header with the schema of the value.
    pub const VALUE: &'static str = "__value_schema_id";
}

/// A buffer that begins with the schema id.
pub(super) fn frame(schema_id: u32, capacity: usize) -> Vec<u8> {
    let mut framed = Vec::with_capacity(capacity);
    framed.push(MAGIC);
    framed.extend_from_slice(&schema_id.to_be_bytes());
    framed
}

pub(super) fn prefix_id<'a>(bytes: &'a [u8], part: &str) -> Result<(SchemaId, &'a [u8]), Refusal> {
    let Some((&[magic, a, b, c, d], datum)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        let reason = format!("the {part} has {} bytes, fewer than a schema id takes", bytes.len());
        return Err(Refusal::new(codes::FRAMING, reason));
    };
    if magic != MAGIC {
        return Err(Refusal::new(codes::FRAMING, format!("the {part} does not begin with a schema id")));
    }
    Ok((SchemaId::Number(u32::from_be_bytes([a, b, c, d])), datum))
}

/// The id in a header: a byte for its kind, then a number or a unique id.
pub(super) fn header_id(header: &[u8], part: &str) -> Result<SchemaId, Refusal> {
    match header {
        &[MAGIC, a, b, c, d] => Ok(SchemaId::Number(u32::from_be_bytes([a, b, c, d]))),
        [GUID_MAGIC, guid @ ..] if guid.len() == 16 => {
            Uuid::from_slice(guid).map(SchemaId::Guid).map_err(|error| Refusal::new(codes::FRAMING, error.to_string()))
        }
        _ => Err(Refusal::new(codes::FRAMING, format!("the header with the schema id of the {part} holds none"))),
    }
}
