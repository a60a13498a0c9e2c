//! Records that Kafka Connect's JSON converter wrote: with a schema beside each value, or bare.
//!
//! A schema beside a value becomes an Avro schema (`schema`), its payload the bytes that Avro would have for it
//! (`datum`), so that what keys, envelopes and types mean is decided in one place, for JSON and for Avro. Bare JSON has
//! no types; it stays text (`bare`).

mod bare;
mod datum;
mod schema;

use std::{collections::HashMap, str};

use serde_json::value::RawValue;

pub(crate) use self::{
    bare::{BareChange, BareKeys, BareValue, bare_value, single_text},
    datum::datum,
    schema::avro_schema,
};
use super::{codes, refusal::Refusal};

/// The parts of `{"schema": …, "payload": …}`, as they are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WithSchema<'a> {
    /// `None` where it is null: then the payload is bare.
    pub(crate) schema: Option<&'a RawValue>,
    pub(crate) payload: &'a RawValue,
}

impl<'a> WithSchema<'a> {
    /// Takes a key or value apart.
    ///
    /// # Errors
    /// `decode.json` when it is no JSON, `decode.json_schema` when it does not have these two parts.
    pub(crate) fn parse(bytes: &'a [u8], part: &str) -> Result<Self, Refusal> {
        let whole = json(bytes, part)?;
        let no_schema = || {
            let reason =
                format!("the {part} is JSON without `schema` and `payload`; see `{part}.converter.schemas.enable`");
            Refusal::new(codes::JSON_SCHEMA, reason)
        };
        let parts: HashMap<String, &RawValue> = serde_json::from_str(whole.get()).map_err(|_| no_schema())?;
        let get = |name: &str| parts.get(name).copied().ok_or_else(no_schema);
        let (schema, payload) = (get("schema")?, get("payload")?);
        if parts.len() > 2 {
            return Err(no_schema());
        }
        Ok(Self { schema: Some(schema).filter(|schema| schema.get() != "null"), payload })
    }
}

/// The one JSON value that the bytes are, as it is written.
///
/// # Errors
/// `decode.utf8`, or `decode.json` when it is not JSON.
pub(crate) fn json<'a>(bytes: &'a [u8], part: &str) -> Result<&'a RawValue, Refusal> {
    let text =
        str::from_utf8(bytes).map_err(|_| Refusal::new(codes::UTF8, format!("the {part}: a text is not UTF-8")))?;
    serde_json::from_str(text).map_err(|_| Refusal::new(codes::JSON, format!("the {part} is not JSON")))
}
