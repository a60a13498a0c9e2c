//! Interprets a registered schema: as a key, and as a value (an envelope, a plain record or a bare value).
//!
//! This happens once per schema, not per record. Envelopes are recognized by their fields, not by their names, since
//! other tools write them too.

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

/// A registered schema, prepared for decoding.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its interpretation as a key.
    pub(crate) key: Result<KeyShape, Refusal>,
    /// Its interpretation as a value.
    pub(crate) value: Result<ValueShape, Refusal>,
}

impl Prepared {
    /// Interprets `schema`. Never fails: an unusable schema becomes the refusal of each record.
    pub(crate) fn new(schema: &Schema) -> Self {
        match inlined(schema) {
            Ok(schema) => Self { key: KeyShape::recognize(&schema), value: ValueShape::recognize(&schema) },
            Err(error) => {
                let refusal = Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string());
                Self { key: Err(refusal.clone()), value: Err(refusal) }
            }
        }
    }
}

/// A form of value that can be decoded.
#[derive(Debug)]
pub(crate) enum ValueShape {
    /// An envelope around the record before and after a change.
    Envelope(Envelope),
    /// Debezium's form of a logical decoding message, which changes no row.
    Message,
    /// The record without an envelope.
    Plain(Plain),
}

impl ValueShape {
    fn recognize(schema: &Schema) -> Result<Self, Refusal> {
        if let Some(envelope) = Envelope::recognize(schema) {
            return envelope.map(Self::Envelope);
        }
        if envelope::is_message(schema) {
            return Ok(Self::Message);
        }
        Plain::recognize(schema).map(Self::Plain)
    }
}

/// A record without an envelope: the state after the change.
#[derive(Debug)]
pub(crate) struct Plain {
    /// The branch of null if the record may be null, which is a tombstone.
    pub(crate) nullable: Option<Nullable>,
    pub(crate) content: Content,
}

impl Plain {
    fn recognize(schema: &Schema) -> Result<Self, Refusal> {
        let (nullable, content) = match Content::of_whole(schema)? {
            Some(found) => found,
            None if *schema == Schema::Null => {
                return Err(Refusal::new(codes::UNUSABLE_SCHEMA, "the type of the value is null"));
            }
            None => {
                let content = Content::of(&single_field("value", schema.clone()))?;
                (None, content.ok_or_else(|| Refusal::new(codes::UNUSABLE_SCHEMA, ""))?)
            }
        };
        Ok(Self { nullable, content })
    }
}
