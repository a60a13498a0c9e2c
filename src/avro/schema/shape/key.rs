//! Recognizes keys that can be decoded: a record of simple fields, or one simple value.

use std::sync::Arc;

use apache_avro::schema::Schema;

use super::content::{Content, Nullable, nullable, record_of, single_field};
use crate::avro::{codes, refusal::Refusal, schema::plan::Plan};

/// A form of key that can be decoded.
#[derive(Debug)]
pub(crate) struct KeyShape {
    /// The branch of null, if the whole key is nullable.
    pub(crate) nullable: Option<Nullable>,
    pub(crate) parts: KeyParts,
    /// A record with one field per part. No field is nullable, since a null in a key is refused.
    pub(crate) schema: Arc<Schema>,
}

/// The fields of a key.
#[derive(Debug)]
pub(crate) enum KeyParts {
    /// One string without conversion.
    Text,
    /// One long without conversion.
    Long,
    /// Any other fields; at least one.
    Planned(Vec<Plan>),
}

impl KeyShape {
    pub(super) fn recognize(schema: &Schema) -> Result<Self, Refusal> {
        let (whole, content) = match Content::of_whole(schema)? {
            Some(found) => found,
            None => (None, Content::of(&single_field("id", schema.clone()))?.ok_or_else(|| refused("the key"))?),
        };
        if content.plans.is_empty() {
            return Err(Refusal::new(codes::KEY_TYPE, "the key is a record without fields"));
        }
        let mut fields = Vec::with_capacity(content.plans.len());
        for field in content.fields() {
            let part = nullable(&field.schema).map_or(&field.schema, |(_, part)| part);
            if !can_identify(part) {
                return Err(refused(&format!("the key's field `{}`", field.name)));
            }
            fields.push((field.name.clone(), part.clone()));
        }
        let parts = match content.plans.as_slice() {
            [Plan::As(Schema::String)] => KeyParts::Text,
            [Plan::As(Schema::Long)] => KeyParts::Long,
            _ => KeyParts::Planned(content.plans),
        };
        Ok(Self { nullable: whole, parts, schema: Arc::new(record_of(fields)) })
    }
}

fn refused(what: &str) -> Refusal {
    let kinds = "string, whole number, boolean, bytes, uuid, enum, date, time or decimal";
    let reason = format!(
        "{what} has a type that cannot identify a record; supported are {kinds}; give the topic another key (Debezium: \
         `message.key.columns`), or leave it out with `topics.regex.exclude`"
    );
    Refusal::new(codes::KEY_TYPE, reason)
}

fn can_identify(part: &Schema) -> bool {
    matches!(
        part,
        Schema::String
            | Schema::Int
            | Schema::Long
            | Schema::Boolean
            | Schema::Bytes
            | Schema::Fixed(_)
            | Schema::Uuid(_)
            | Schema::Enum(_)
            | Schema::Date
            | Schema::TimeMillis
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::Decimal(_)
            | Schema::BigDecimal
    )
}
