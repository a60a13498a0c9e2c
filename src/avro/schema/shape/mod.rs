//! Interprets a registered schema: as a key, and as a value (an envelope, a plain record or a bare value).
//!
//! This happens once per schema, not per record. Envelopes are recognized by their fields, not by their names, since
//! other tools write them too.

mod content;
mod envelope;
mod key;

use apache_avro::schema::Schema;

pub(crate) use self::{
    content::{Content, Nullable, fields, nullable, record_of, single_field, without_field},
    envelope::{Envelope, Meaning, SourceField, Step},
    key::{KeyParts, KeyShape},
};
use super::{
    inline::{Recursive, inlined},
    semantic::CONNECT_NAME,
};
use crate::avro::{codes, refusal::Refusal};

/// A registered schema, prepared for decoding.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its interpretation as a key.
    pub(crate) key: Result<KeyShape, Refusal>,
    /// Its interpretation as a value.
    pub(crate) value: Result<ValueShape, Refusal>,
    /// The types that contain themselves.
    pub(crate) recursive: Recursive,
}

impl Prepared {
    /// Interprets `schema`. Never fails: an unusable schema becomes the refusal of each record.
    pub(crate) fn new(schema: &Schema) -> Self {
        match inlined(schema) {
            Ok((schema, recursive)) => {
                Self { key: KeyShape::recognize(&schema), value: ValueShape::recognize(&schema), recursive }
            }
            Err(error) => {
                let refusal = Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string());
                Self { key: Err(refusal.clone()), value: Err(refusal), recursive: Recursive::default() }
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
    /// True for records that Debezium writes about itself: heartbeats, transaction metadata and schema changes.
    pub(crate) is_about_debezium: bool,
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
        let is_about_debezium = is_about_debezium(&content.schema);
        Ok(Self { nullable, content, is_about_debezium })
    }
}

impl Plain {
    /// The position of the field that marks deletes: a boolean or a string of this name, nullable or not. `None` for an
    /// empty name.
    pub(crate) fn mark(&self, name: &str) -> Option<usize> {
        let fields = self.content.fields();
        let position = fields.iter().position(|field| !name.is_empty() && field.name == *name)?;
        let schema = &fields[position].schema;
        let schema = nullable(schema).map_or(schema, |(_, schema)| schema);
        matches!(schema, Schema::Boolean | Schema::String | Schema::Enum(_)).then_some(position)
    }
}

fn is_about_debezium(schema: &Schema) -> bool {
    let Schema::Record(record) = schema else { return false };
    let connect_name = record.attributes.get(CONNECT_NAME).and_then(serde_json::Value::as_str);
    let name = connect_name.map_or_else(|| record.name.fullname(None), str::to_owned);
    name.starts_with("io.debezium.connector.")
        && [".Heartbeat", ".TransactionMetadataValue", ".SchemaChangeValue"].iter().any(|end| name.ends_with(end))
}
