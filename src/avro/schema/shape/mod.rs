//! What a schema of the registry means to us: a key, and a value that is an envelope, a plain record or a bare value.
//!
//! Decided once for each schema, so that decoding a record asks nothing again. Envelopes are told by their fields, not
//! by their names: another tool may have written them.

mod content;
mod envelope;
mod key;

use apache_avro::schema::Schema;

pub(crate) use self::{
    content::{Content, Nullable, fields, nullable, record_of, single_field},
    envelope::{Envelope, Meaning, SourceField, Step},
    key::{KeyParts, KeyShape},
};
use super::inline::inlined;
use crate::avro::{codes, refusal::Refusal};

/// A schema of the registry, made ready for decoding.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it means in a key.
    pub(crate) key: Result<KeyShape, Refusal>,
    /// What it means in a value.
    pub(crate) value: Result<ValueShape, Refusal>,
}

impl Prepared {
    /// Looks at `schema` from both sides. Never fails: what cannot be used says so for each record.
    pub(crate) fn new(schema: &Schema) -> Self {
        match inlined(schema) {
            Ok(schema) => Self { key: KeyShape::recognise(&schema), value: ValueShape::recognise(&schema) },
            Err(error) => {
                let refusal = Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string());
                Self { key: Err(refusal.clone()), value: Err(refusal) }
            }
        }
    }
}

/// A shape of value that we can decode.
#[derive(Debug)]
pub(crate) enum ValueShape {
    /// An envelope around the record before and after a change.
    Envelope(Envelope),
    /// A message that Debezium has passed on and that changes no row.
    Message,
    /// The record itself.
    Plain(Plain),
}

impl ValueShape {
    fn recognise(schema: &Schema) -> Result<Self, Refusal> {
        if let Some(envelope) = Envelope::recognise(schema) {
            return envelope.map(Self::Envelope);
        }
        if envelope::is_message(schema) {
            return Ok(Self::Message);
        }
        Plain::recognise(schema).map(Self::Plain)
    }
}

/// A value that is the record after the change.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Where null lies when the whole record may be null, which is a tombstone.
    pub(crate) nullable: Option<Nullable>,
    pub(crate) content: Content,
}

impl Plain {
    fn recognise(schema: &Schema) -> Result<Self, Refusal> {
        let (nullable, content) = match Content::of_whole(schema)? {
            Some(found) => found,
            None if *schema == Schema::Null => {
                return Err(Refusal::new(codes::UNUSABLE_SCHEMA, "the value is always null"));
            }
            None => {
                let content = Content::of(&single_field("value", schema.clone()))?;
                (None, content.ok_or_else(|| Refusal::new(codes::UNUSABLE_SCHEMA, ""))?)
            }
        };
        Ok(Self { nullable, content })
    }
}
