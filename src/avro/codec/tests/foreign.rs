//! Topics of other producers: a schema as text, and records encoded by apache-avro.

use std::sync::{Arc, LazyLock};

use apache_avro::{Schema, types::Value};
use towpath_api::{Body, Change, RecordKey};

use super::reference_bytes;
use crate::avro::{
    codec::{Decoded, Decoder, Reading},
    registry::Registry,
    schema::{
        semantic,
        shape::{Prepared, fields},
    },
};

/// Shared, since creating its clients is slow. No test sends a request with it.
pub(super) static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::new("http://127.0.0.1:1", &prometheus::Registry::new()).expect("an address"));

const KEY_ID: u32 = 1;
const VALUE_ID: u32 = 2;

/// A topic whose schemas were registered by another producer.
pub(super) struct Foreign {
    decoder: Decoder,
    key: Schema,
    value: Schema,
}

impl Foreign {
    pub(super) fn new(key: &str, value: &str) -> Self {
        Self::reading(key, value, Reading::default())
    }

    pub(super) fn reading(key: &str, value: &str, reading: Reading) -> Self {
        let mut decoder = Decoder::reading(REGISTRY.clone(), reading);
        for (id, text) in [(KEY_ID, key), (VALUE_ID, value)] {
            decoder.insert(id, Arc::new(Prepared::new(&semantic::parse(text).unwrap())));
        }
        let parse = |text: &str| Schema::parse_str(text).unwrap();
        Self { decoder, key: parse(key), value: parse(value) }
    }

    /// A topic without keys.
    pub(super) fn of_values(value: &str) -> Self {
        Self::new("\"string\"", value)
    }

    /// Decodes a record; `None` is a null key or value.
    pub(super) fn read(&self, key: Option<Value>, value: Option<Value>) -> Body {
        let framed = |id: u32, schema: &Schema, value: Value| {
            [&[0], &id.to_be_bytes()[..], &reference_bytes(schema, &value)].concat()
        };
        let key = key.map(|key| framed(KEY_ID, &self.key, key));
        let value = value.map(|value| framed(VALUE_ID, &self.value, value));
        match self.decoder.decode(key.as_deref(), value.as_deref()) {
            Decoded::Body(body) => body,
            Decoded::NeedsSchema(id) => panic!("schema {id} is not cached"),
        }
    }

    /// Decodes the bytes of a key, including the framing.
    pub(super) fn read_key_bytes(&self, key: &[u8]) -> towpath_api::Identity {
        match self.decoder.decode(Some(key), None) {
            Decoded::Body(body) => tombstone(body).expect("a key").identity,
            Decoded::NeedsSchema(id) => panic!("schema {id} is not cached"),
        }
    }

    /// Decodes the bytes of a value, without framing.
    pub(super) fn read_value_bytes(&self, datum: &[u8]) -> Decoded {
        let framed = [&[0], &VALUE_ID.to_be_bytes()[..], datum].concat();
        self.decoder.decode(None, Some(&framed))
    }

    pub(super) fn change(&self, value: Value) -> Change {
        change(self.read(None, Some(value)))
    }
}

pub(super) fn change(body: Body) -> Change {
    match body {
        Body::Change(change) => *change,
        other => panic!("expected a change, got {other:?}"),
    }
}

pub(super) fn code(body: &Body) -> &'static str {
    match body {
        Body::Undecodable { code, .. } => code,
        other => panic!("expected an undecodable record, got {other:?}"),
    }
}

/// Returns the key of a tombstone.
pub(super) fn tombstone(body: Body) -> Option<RecordKey> {
    match body {
        Body::Tombstone(key) => key,
        other => panic!("expected a tombstone, got {other:?}"),
    }
}

pub(super) fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

pub(super) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A value in the second branch of a nullable type.
pub(super) fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

pub(super) fn null() -> Value {
    Value::Union(0, Box::new(Value::Null))
}

/// Names and types of the fields of a record.
pub(super) fn types(schema: &Schema) -> Vec<(String, Schema)> {
    fields(schema).iter().map(|field| (field.name.clone(), field.schema.clone())).collect()
}
