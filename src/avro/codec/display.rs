//! Shows records of a topic to people as JSON, for any Avro schema.
//!
//! Timestamps, dates, decimals and uuids become readable text, bytes become hex. The result is not parsed again.

use std::collections::HashMap;

use apache_avro::schema::Schema;
use serde_json::Value as Json;
use towpath_api::{Reaction, Result, json::hexadecimal};

use crate::avro::{
    binary::read::Reader,
    registry::Registry,
    schema::{
        inline::{Recursive, inlined},
        tree,
    },
};

/// Decodes keys and values one by one, with a cache of schemas.
#[derive(Debug)]
pub struct Readable {
    registry: Registry,
    schemas: HashMap<u32, Result<(Schema, Recursive), String>>,
}

/// A key or a value for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The decoded datum; if it cannot be decoded, the bytes as [`plain`] shows them.
    pub json: Json,
    /// The schema id in the framing, if any.
    pub schema_id: Option<u32>,
    /// The reason if the bytes cannot be decoded.
    pub problem: Option<String>,
}

impl Readable {
    pub fn new(registry: Registry) -> Self {
        Self { registry, schemas: HashMap::new() }
    }

    /// Decodes a framed datum. Bytes that cannot be decoded are shown with the reason.
    ///
    /// # Errors
    /// Retry while the registry is unavailable.
    pub async fn show(&mut self, bytes: &[u8]) -> Result<Shown> {
        let Some((&[0, a, b, c, d], datum)) = bytes.split_first_chunk::<5>() else {
            let problem = Some("it does not begin with a schema id".to_owned());
            return Ok(Shown { json: plain(bytes), schema_id: None, problem });
        };
        let id = u32::from_be_bytes([a, b, c, d]);
        let decoded = match self.schema(id).await? {
            Ok((schema, recursive)) => decode(schema, recursive, datum),
            Err(why) => Err(why.clone()),
        };
        Ok(match decoded {
            Ok(json) => Shown { json, schema_id: Some(id), problem: None },
            Err(why) => Shown { json: plain(bytes), schema_id: Some(id), problem: Some(why) },
        })
    }

    async fn schema(&mut self, id: u32) -> Result<&Result<(Schema, Recursive), String>> {
        if !self.schemas.contains_key(&id) {
            let schema = match self.registry.written_schema(id).await {
                Ok(schema) => inlined(&schema).map_err(|error| error.to_string()),
                Err(error) if error.reaction == Reaction::Retry => return Err(error),
                Err(error) => Err(error.chain()),
            };
            self.schemas.insert(id, schema);
        }
        Ok(&self.schemas[&id])
    }
}

fn decode(schema: &Schema, recursive: &Recursive, datum: &[u8]) -> Result<Json, String> {
    let mut reader = Reader::of(datum, recursive, false);
    let json = tree::json(&mut reader, schema).map_err(|malformed| malformed.to_string())?;
    match reader.left() {
        0 => Ok(json),
        left => Err(format!("it has {left} more bytes than its schema allows")),
    }
}

/// Shows bytes without a schema: printable UTF-8 as text, anything else as hex.
pub fn plain(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => text.into(),
        _ => hexadecimal(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::{Decimal, types::Value};
    use serde_json::json;

    use super::*;

    fn shown(schema: &str, value: Value) -> Json {
        let schema = Schema::parse_str(schema).unwrap();
        let datum = apache_avro::writer::datum::GenericDatumWriter::builder(&schema)
            .build()
            .unwrap()
            .write_value_to_vec(value)
            .unwrap();
        let (schema, recursive) = inlined(&schema).unwrap();
        decode(&schema, &recursive, &datum).unwrap()
    }

    #[test]
    fn times_are_shown_as_people_write_them() {
        let logical = |base: &str, kind: &str| format!(r#"{{"type":"{base}","logicalType":"{kind}"}}"#);
        for (base, kind, value, expected) in [
            ("long", "timestamp-millis", Value::TimestampMillis(1_795_536_123_450), "2026-11-24T16:02:03.45Z"),
            ("long", "timestamp-micros", Value::TimestampMicros(-1), "1969-12-31T23:59:59.999999Z"),
            ("long", "local-timestamp-millis", Value::LocalTimestampMillis(0), "1970-01-01T00:00:00"),
            ("int", "date", Value::Date(-1), "1969-12-31"),
            ("int", "date", Value::Date(20_781), "2026-11-24"),
            ("int", "time-millis", Value::TimeMillis(56_700_001), "15:45:00.001"),
        ] {
            assert_eq!(shown(&logical(base, kind), value), json!(expected), "{kind}");
        }
    }

    #[test]
    fn unions_of_different_forms_lose_their_branch_and_records_keep_their_order() {
        let schema = r#"{"type":"record","name":"r","fields":[
            {"name":"z","type":["null","long"]},
            {"name":"a","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
            {"name":"u","type":["string","long","boolean"]}]}"#;
        let value = Value::Record(vec![
            ("z".into(), Value::Union(0, Box::new(Value::Null))),
            ("a".into(), Value::Union(1, Box::new(Value::Decimal(Decimal::from(vec![0x04, 0xe2]))))),
            ("u".into(), Value::Union(1, Box::new(Value::Long(7)))),
        ]);
        assert_eq!(shown(schema, value).to_string(), r#"{"z":null,"a":"12.50","u":7}"#);
    }

    #[test]
    fn bytes_without_a_schema_are_shown_as_text_or_hex() {
        assert_eq!(plain(b"hello"), json!("hello"));
        assert_eq!(plain(&[0, 0xff]), json!("\\x00ff"));
    }

    #[tokio::test]
    async fn bytes_that_cannot_be_decoded_come_with_the_reason() {
        let registry = Registry::new("http://127.0.0.1:1", &prometheus::Registry::new()).unwrap();
        let mut readable = Readable::new(registry);
        let shown = readable.show(b"plain text").await.unwrap();
        assert_eq!((shown.json, shown.schema_id), (json!("plain text"), None));
        assert_eq!(shown.problem.as_deref(), Some("it does not begin with a schema id"));
        assert!(readable.show(&[0, 0, 0, 0, 1, 2]).await.is_err(), "the registry is unavailable");
    }
}
