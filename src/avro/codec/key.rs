//! Decodes the key of a record into its identity.

use std::sync::Arc;

use apache_avro::{schema::Schema, types::Value};
use num_bigint::BigInt;
use towpath_api::{Identity, RecordKey};

use super::change::{is_null, require_end, with_part};
use crate::avro::{
    binary::read::{Malformed, Reader},
    refusal::Refusal,
    schema::shape::{KeyParts, KeyShape, fields},
};

/// Decodes a key in Avro, without framing. Its times are never truncated: two keys could become one.
pub(super) fn decode_key(shape: &KeyShape, datum: &[u8]) -> Result<RecordKey, Refusal> {
    let mut reader = Reader::new(datum);
    let malformed = |malformed: Malformed| with_part(malformed, "the key");
    if let Some(nullable) = shape.nullable
        && is_null(&mut reader, nullable).map_err(malformed)?
    {
        return Err(Refusal::key_null("the key"));
    }
    let identity = match &shape.parts {
        KeyParts::Text => reader.text().map(|id| Identity::Text(id.to_owned())).map_err(malformed)?,
        KeyParts::Long => reader.long().map(Identity::Long).map_err(malformed)?,
        KeyParts::Planned(plans) => {
            let mut parts = Vec::with_capacity(plans.len());
            for (position, plan) in plans.iter().enumerate() {
                let value = plan.read(&mut reader).map_err(malformed)?;
                if matches!(value, Value::TimestampNanos(_) | Value::LocalTimestampNanos(_)) {
                    return Err(malformed(Malformed::Nanoseconds));
                }
                parts.push(identity(value).ok_or_else(|| Refusal::key_null(&named(&shape.schema, position)))?);
            }
            if parts.len() > 1 { Identity::Parts(parts) } else { parts.swap_remove(0) }
        }
    };
    require_end(&reader, "key")?;
    Ok(RecordKey { identity, schema: Arc::clone(&shape.schema) })
}

fn named(schema: &Schema, position: usize) -> String {
    let field = fields(schema).get(position).map_or("", |field| &field.name);
    format!("the key's field `{field}`")
}

/// Converts a field of a key; `None` for null. [`KeyShape`] refuses schemas with any other type.
fn identity(value: Value) -> Option<Identity> {
    Some(match value {
        Value::String(text) | Value::Enum(_, text) => Identity::Text(text),
        Value::Int(number) | Value::Date(number) | Value::TimeMillis(number) => Identity::Long(number.into()),
        Value::Long(number)
        | Value::TimeMicros(number)
        | Value::TimestampMillis(number)
        | Value::TimestampMicros(number)
        | Value::LocalTimestampMillis(number)
        | Value::LocalTimestampMicros(number) => Identity::Long(number),
        Value::Boolean(flag) => Identity::Boolean(flag),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => Identity::Bytes(bytes),
        Value::Uuid(uuid) => Identity::Bytes(uuid.as_bytes().to_vec()),
        // The shortest form, so that equal numbers are equal keys.
        Value::Decimal(decimal) => Identity::Bytes(BigInt::from(decimal).to_signed_bytes_be()),
        Value::BigDecimal(number) => Identity::of_big_decimal(&number),
        _ => return None,
    })
}
