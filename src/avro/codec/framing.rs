//! Confluent's framing: a schema id before the encoded bytes, or in a record header.

use apache_avro::Uuid;

use crate::avro::{codes, refusal::Refusal, schema_id::SchemaId};

/// The first byte of framed data; the schema id follows, big endian.
const MAGIC: u8 = 0;
/// The first byte of a header that contains a guid; the guid follows.
const GUID_MAGIC: u8 = 1;
const HEADER_BYTES: usize = 5;

/// The record headers in which newer serializers write the schema id, instead of before the bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaHeaders<'a> {
    /// The value of [`SchemaHeaders::KEY`].
    pub key: Option<&'a [u8]>,
    /// The value of [`SchemaHeaders::VALUE`].
    pub value: Option<&'a [u8]>,
    /// True if headers of Apicurio's own serializers have the id of the key, and of the value.
    pub of_apicurio: (bool, bool),
}

impl SchemaHeaders<'_> {
    /// Name of the header with the schema id of the key.
    pub const KEY: &'static str = "__key_schema_id";
    /// How the names of Apicurio's headers for keys begin (`apicurio.registry.headers.enabled=true`).
    pub const APICURIO_KEY: &'static str = "apicurio.key.";
    /// How the names of Apicurio's headers for values begin.
    pub const APICURIO_VALUE: &'static str = "apicurio.value.";
    /// Name of the header with the schema id of the value.
    pub const VALUE: &'static str = "__value_schema_id";
}

/// Returns a buffer that begins with the framing of `schema_id`.
pub(super) fn frame(schema_id: u32, capacity: usize) -> Vec<u8> {
    let mut framed = Vec::with_capacity(capacity);
    framed.push(MAGIC);
    framed.extend_from_slice(&schema_id.to_be_bytes());
    framed
}

pub(super) fn prefix_id<'a>(bytes: &'a [u8], part: &str) -> Result<(SchemaId, &'a [u8]), Refusal> {
    let Some((&[magic, a, b, c, d], datum)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        let reason = format!("the {part} has {} bytes, too few for a schema id", bytes.len());
        return Err(Refusal::new(codes::FRAMING, reason));
    };
    if magic != MAGIC {
        return Err(Refusal::new(codes::FRAMING, format!("the {part} does not begin with a schema id")));
    }
    match u32::from_be_bytes([a, b, c, d]) {
        // No registry gives this id. The first half of a longer id is zero.
        0 => Err(Refusal::new(
            codes::FRAMING,
            format!(
                "the {part} begins with a schema id of eight bytes, as serializers of Apicurio write it; set \
                 `apicurio.registry.as-confluent=true` and `apicurio.registry.use-id=contentId` in the producer"
            ),
        )),
        id => Ok((SchemaId::Number(id), datum)),
    }
}

/// The refusal of a key or value whose schema id is in headers of Apicurio.
pub(super) fn of_apicurio(part: &str) -> Refusal {
    let reason = format!(
        "the schema id of the {part} is in headers of Apicurio's serializers; set \
         `apicurio.registry.headers.enabled=false` and `apicurio.registry.as-confluent=true` in the producer"
    );
    Refusal::new(codes::FRAMING, reason)
}

/// Reads the id from a header: one byte for its kind, then a number or a guid.
pub(super) fn header_id(header: &[u8], part: &str) -> Result<SchemaId, Refusal> {
    match header {
        &[MAGIC, a, b, c, d] => Ok(SchemaId::Number(u32::from_be_bytes([a, b, c, d]))),
        [GUID_MAGIC, guid @ ..] if guid.len() == 16 => {
            Uuid::from_slice(guid).map(SchemaId::Guid).map_err(|error| Refusal::new(codes::FRAMING, error.to_string()))
        }
        _ => Err(Refusal::new(codes::FRAMING, format!("the header with the schema id of the {part} is not valid"))),
    }
}
