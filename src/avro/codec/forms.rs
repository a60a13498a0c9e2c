//! Decodes keys and values that are not Avro: JSON with a schema, JSON without one, and text.

use std::str;

use apache_avro::types::Value;
use serde_json::value::RawValue;
use towpath_api::{Body, Change, Identity, RecordKey, RecordOp};

use super::{
    change::decode_value,
    deleted::is_delete,
    key::decode_key,
    settings::Converter,
    version::{VersionField, of_source, version, version_absent},
};
use crate::avro::{
    codes,
    connect::{self, BareChange, BareValue, WithSchema, datum, json, single_text},
    refusal::Refusal,
};

pub(super) fn text_key(key: &[u8]) -> Result<RecordKey, Refusal> {
    Ok(RecordKey { identity: Identity::Text(text(key, "key")?), schema: single_text().0 })
}

/// Decodes a text. Also returns the memory of its value, as do the other forms of values.
pub(super) fn text_value(key: Option<RecordKey>, value: &[u8]) -> Result<(Body, usize), Refusal> {
    let (after, schema) = (Some(vec![Value::String(text(value, "value")?)]), single_text().1);
    let body =
        change(Change { key, op: RecordOp::Update, schema, after, changed: None, version: None, source_time_ms: None });
    Ok((body, value.len()))
}

fn text(bytes: &[u8], part: &str) -> Result<String, Refusal> {
    let text =
        str::from_utf8(bytes).map_err(|_| Refusal::new(codes::UTF8, format!("the {part}: a string is not UTF-8")))?;
    Ok(text.to_owned())
}

fn change(change: Change) -> Body {
    Body::Change(Box::new(change))
}

/// Decodes a key in JSON without a schema; `None` for null.
pub(super) fn bare_key(converter: &Converter, key: &[u8]) -> Result<Option<RecordKey>, Refusal> {
    converter.bare_keys.key(json(key, "key")?)
}

/// Decodes a key in JSON with a schema; `None` for null.
pub(super) fn json_key(converter: &Converter, key: &[u8]) -> Result<Option<RecordKey>, Refusal> {
    let WithSchema { schema, payload } = WithSchema::parse(key, "key")?;
    let Some(schema) = schema else { return converter.bare_keys.key(payload) };
    if payload.get() == "null" {
        return Ok(None);
    }
    let known = converter.json_schema(schema.get());
    let schema = known.as_ref().as_ref().map_err(Clone::clone)?;
    let datum = datum(&schema.written, payload)?;
    decode_key(schema.known.prepared.key.as_ref().map_err(Clone::clone)?, &datum).map(Some)
}

/// Decodes a value in JSON with a schema.
pub(super) fn json_value(
    converter: &Converter,
    key: Option<RecordKey>,
    value: &[u8],
) -> Result<(Body, usize), Refusal> {
    let WithSchema { schema, payload } = WithSchema::parse(value, "value")?;
    let Some(schema) = schema else { return Ok((bare(converter, key, payload)?, payload.get().len())) };
    if payload.get() == "null" {
        return Ok((Body::Tombstone(key), 0));
    }
    let known = converter.json_schema(schema.get());
    let schema = known.as_ref().as_ref().map_err(Clone::clone)?;
    let datum = datum(&schema.written, payload)?;
    decode_value(converter, &schema.known, key, &datum)
}

/// Decodes a value in JSON without a schema.
pub(super) fn bare_value(
    converter: &Converter,
    key: Option<RecordKey>,
    value: &[u8],
) -> Result<(Body, usize), Refusal> {
    Ok((bare(converter, key, json(value, "value")?)?, value.len()))
}

fn bare(converter: &Converter, key: Option<RecordKey>, value: &RawValue) -> Result<Body, Refusal> {
    let mut bare = match connect::bare_value(value)? {
        BareValue::Null => return Ok(Body::Tombstone(key)),
        BareValue::Message => return Ok(Body::Filtered),
        BareValue::Change(bare) => bare,
    };
    if bare.source.is_none()
        && let Some(flag) = bare.after.and_then(|after| BareChange::mark(after, &converter.deleted))
        && is_delete(&flag, &converter.deleted)?
    {
        (bare.op, bare.after) = (RecordOp::Delete, None);
    }
    if bare.has_unavailable_value(converter.unavailable.text()) {
        let reason = "a value of the record is unavailable, and JSON without a schema cannot be stored in part; \
             set REPLICA IDENTITY FULL at the source, or let it write schemas";
        return Err(Refusal::new(codes::UNAVAILABLE_VALUE, reason));
    }
    let version = match &converter.version {
        None => None,
        Some(VersionField::Source(name)) => {
            of_source(&BareChange::field(bare.source, name).ok_or_else(version_absent)?, bare.op)?
        }
        Some(VersionField::Record(name)) => match bare.op {
            // A truncate has no record, and that before a delete may contain only the key.
            RecordOp::Truncate | RecordOp::Delete => None,
            _ => Some(version(&BareChange::field(bare.after, name).ok_or_else(version_absent)?)?),
        },
    };
    let source_time_ms = match BareChange::field(bare.source, "ts_ms") {
        Some(Value::Long(millis)) => Some(millis),
        _ => None,
    };
    let after = bare.after.map(|after| vec![Value::String(after.get().to_owned())]);
    let schema = BareChange::schema();
    Ok(change(Change { key, op: bare.op, schema, after, changed: None, version, source_time_ms }))
}
