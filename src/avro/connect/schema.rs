//! Translates schemas of Connect's JSON converter to Avro.
//!
//! Record names are generated, since Connect's names are optional and not unique. The Connect name stays in
//! `connect.name`.

use apache_avro::Schema;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};
use towpath_api::json::DEFAULT;

use crate::avro::{codes, refusal::Refusal, schema::semantic};

/// The attribute of a field with its default in the form of a payload.
pub(super) const PAYLOAD_DEFAULT: &str = "towpath.payload_default";

/// Translates a Connect schema to Avro.
///
/// # Errors
/// `decode.unusable_schema` when it is not a valid Connect schema.
pub(crate) fn avro_schema(connect: &str) -> Result<Schema, Refusal> {
    let connect: Json = serde_json::from_str(connect).map_err(|_| unusable())?;
    let avro = Naming::default().schema(&connect)?;
    semantic::parse_json(avro).map_err(|error| Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string()))
}

fn unusable() -> Refusal {
    Refusal::new(codes::UNUSABLE_SCHEMA, "`schema` is not a valid Kafka Connect schema")
}

/// Gives each record a unique name.
#[derive(Default)]
struct Naming {
    records: usize,
}

impl Naming {
    fn schema(&mut self, connect: &Json) -> Result<Json, Refusal> {
        let connect = connect.as_object().ok_or_else(unusable)?;
        let mut avro = match connect.get("type").and_then(Json::as_str).ok_or_else(unusable)? {
            "struct" => self.record(connect)?,
            "array" => json!({"type": "array", "items": self.schema(connect.get("items").ok_or_else(unusable)?)?}),
            "map" => self.map(connect)?,
            "int8" | "int16" | "int32" => json!({"type": "int"}),
            "int64" => json!({"type": "long"}),
            "float" | "float32" => json!({"type": "float"}),
            "double" | "float64" => json!({"type": "double"}),
            primitive @ ("boolean" | "string" | "bytes") => json!({"type": primitive}),
            _ => return Err(unusable()),
        };
        for (given, kept) in [("name", semantic::CONNECT_NAME), ("parameters", "connect.parameters")] {
            if let Some(value) = connect.get(given).filter(|value| !value.is_null()) {
                avro[kept] = value.clone();
            }
        }
        let optional = connect.get("optional").and_then(Json::as_bool).unwrap_or(false);
        Ok(if optional { json!(["null", avro]) } else { avro })
    }

    fn record(&mut self, connect: &Map<String, Json>) -> Result<Json, Refusal> {
        self.records += 1;
        let name = format!("connect.Struct{}", self.records);
        let mut fields = Vec::new();
        for field in connect.get("fields").and_then(Json::as_array).ok_or_else(unusable)? {
            let name = field.get("field").and_then(Json::as_str).ok_or_else(unusable)?;
            let mut avro = json!({"name": name, "type": self.schema(field)?});
            if let Some(default) = field.get("default").filter(|default| !default.is_null()) {
                avro[DEFAULT] = default_in_avro(field, default);
                avro[PAYLOAD_DEFAULT] = default.clone();
            }
            fields.push(avro);
        }
        Ok(json!({"type": "record", "name": name, "fields": fields}))
    }

    /// A map with string keys. With any other keys it is an array of pairs, as Connect writes it.
    fn map(&mut self, connect: &Map<String, Json>) -> Result<Json, Refusal> {
        let (keys, values) = (connect.get("keys").ok_or_else(unusable)?, connect.get("values").ok_or_else(unusable)?);
        let (key, value) = (self.schema(keys)?, self.schema(values)?);
        if key["type"] == "string" {
            return Ok(json!({"type": "map", "values": value}));
        }
        self.records += 1;
        let fields = json!([{"name": "key", "type": key}, {"name": "value", "type": value}]);
        let pair = json!({"type": "record", "name": format!("connect.Pair{}", self.records), "fields": fields});
        Ok(json!({"type": "array", "items": pair}))
    }
}

/// A default in the form of Avro, which writes bytes as characters up to 255.
fn default_in_avro(field: &Json, default: &Json) -> Json {
    match (field["type"].as_str(), default.as_str()) {
        (Some("bytes"), Some(text)) => STANDARD
            .decode(text)
            .map_or(Json::Null, |bytes| bytes.into_iter().map(char::from).collect::<String>().into()),
        _ => default.clone(),
    }
}
