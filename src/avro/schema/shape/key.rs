//! The keys that we can decode: a record of simple parts, or one such part alone.

use std::sync::Arc;

use apache_avro::schema::Schema;

use super::content::{Content, Nullable, nullable, record_of, single_field};
use crate::avro::{codes, refusal::Refusal, schema::plan::Plan};

/// A shape of key that we can decode.
#[derive(Debug)]
pub(crate) struct KeyShape {
    /// Where null lies when the key as a whole may be null.
    pub(crate) nullable: Option<Nullable>,
    pub(crate) parts: KeyParts,
    /// A record with a field for each part, none of them nullable: a null in a key is refused.
    pub(crate) schema: Arc<Schema>,
}

/// How to read the parts.
#[derive(Debug)]
pub(crate) enum KeyParts {
    /// One that is a text as it is.
    Text,
    /// One that is a long as it is.
    Long,
    /// Any others, one at least.
    Planned(Vec<Plan>),
}

impl KeyShape {
    pub(super) fn recognise(schema: &Schema) -> Result<Self, Refusal> {
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
    let kinds = "text, whole number, truth value, bytes, uuid, enum, date, time or decimal";
    Refusal::new(codes::KEY_TYPE, format!("{what} is of no type that names a record: {kinds}"))
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
