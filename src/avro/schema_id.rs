//! The id of a schema in the registry.

use apache_avro::Uuid;

/// Identifies a schema in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// The id that precedes the encoded bytes.
    Number(u32),
    /// The guid in a record header, in registries that support guids.
    Guid(Uuid),
}

impl From<u32> for SchemaId {
    fn from(id: u32) -> Self {
        Self::Number(id)
    }
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(id) => write!(f, "id {id}"),
            Self::Guid(guid) => write!(f, "guid {guid}"),
        }
    }
}
