//! Records in the format of Kafka Connect's JSON converter, with or without schemas.
//!
//! A Connect schema is translated to an Avro schema (`schema`), its payload to Avro's encoding (`datum`). So one
//! decoder interprets keys, envelopes and types for both JSON and Avro. JSON without a schema has no types and stays
//! text (`bare`).

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

/// The parts of `{"schema": …, "payload": …}`, unparsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WithSchema<'a> {
    /// `None` for null: the payload then has no schema.
    pub(crate) schema: Option<&'a RawValue>,
    pub(crate) payload: &'a RawValue,
}

impl<'a> WithSchema<'a> {
    /// Splits a key or value.
    ///
    /// # Errors
    /// `decode.utf8`, `decode.json` when it is not JSON, `decode.json_schema` when it does not have exactly these
    /// parts.
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

/// Returns the JSON value in `bytes`, unparsed.
///
/// # Errors
/// `decode.utf8`, or `decode.json` when it is not JSON.
pub(crate) fn json<'a>(bytes: &'a [u8], part: &str) -> Result<&'a RawValue, Refusal> {
    let text =
        str::from_utf8(bytes).map_err(|_| Refusal::new(codes::UTF8, format!("the {part}: a string is not UTF-8")))?;
    serde_json::from_str(text).map_err(|_| Refusal::new(codes::JSON, format!("the {part} is not JSON")))
}
