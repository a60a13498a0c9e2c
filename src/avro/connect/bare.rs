//! JSON without a schema. A value keeps its text, so that no digit is lost. A key is a simple value or an object of
//! simple values.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use apache_avro::{schema::Schema, types::Value};
use serde_json::value::RawValue;
use towpath_api::{Identity, RecordKey, RecordOp, json::JSON_TEXT};

use crate::avro::{
    codes,
    refusal::Refusal,
    schema::{
        semantic::CONNECT_NAME,
        shape::{record_of, single_field},
    },
};

/// Maximum cached schemas of keys. The cache is cleared when it is full.
const MAX_SCHEMAS: usize = 1_000;
/// Maximum fields of a key whose schema is cached, and maximum length of their names.
const MAX_CACHED_FIELDS: usize = 32;
const MAX_CACHED_NAME: usize = 63;

/// A record with a field `value` that is marked as JSON text.
static JSON_VALUE: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let mut schema = single_field("value", Schema::String);
    if let Schema::Record(record) = &mut schema {
        for field in &mut record.fields {
            field.custom_attributes.insert(CONNECT_NAME.to_owned(), JSON_TEXT.into());
        }
    }
    Arc::new(schema)
});

/// A record with one string field.
static TEXT_VALUE: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(single_field("value", Schema::String)));
static TEXT_KEY: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(single_field("id", Schema::String)));

/// Returns the schemas of a key and of a value that are plain text.
pub(crate) fn single_text() -> (Arc<Schema>, Arc<Schema>) {
    (Arc::clone(&TEXT_KEY), Arc::clone(&TEXT_VALUE))
}

/// A value in JSON without a schema.
#[derive(Debug)]
pub(crate) enum BareValue<'a> {
    Null,
    /// A logical decoding message, which changes no row.
    Message,
    /// A change from Debezium's envelope; JSON of any other form is an upsert.
    Change(BareChange<'a>),
}

/// A change in JSON without a schema.
#[derive(Debug)]
pub(crate) struct BareChange<'a> {
    pub(crate) op: RecordOp,
    /// The record, unparsed.
    pub(crate) after: Option<&'a RawValue>,
    pub(crate) source: Option<&'a RawValue>,
}

impl BareChange<'_> {
    pub(crate) fn schema() -> Arc<Schema> {
        Arc::clone(&JSON_VALUE)
    }

    /// Returns the field `name` in a part of the envelope; `None` if it is missing. Anything other than null, a string
    /// or a 64-bit integer becomes a boolean, which is not a valid version.
    pub(crate) fn field(part: Option<&RawValue>, name: &str) -> Option<Value> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(part?.get()).ok()?;
        let text = fields.get(name)?.get();
        Some(match text.as_bytes().first()? {
            b'n' => Value::Null,
            b'"' => Value::String(serde_json::from_str(text).ok()?),
            _ => text.parse().map_or(Value::Boolean(false), Value::Long),
        })
    }

    /// Returns the field `name` of a plain record that may mark a delete; `None` if it is missing or `name` is empty.
    pub(crate) fn mark(after: &RawValue, name: &str) -> Option<Value> {
        if name.is_empty() || !after.get().contains(name) {
            return None;
        }
        let fields: HashMap<String, &RawValue> = serde_json::from_str(after.get()).ok()?;
        let text = fields.get(name)?.get();
        Some(match text {
            "null" => Value::Null,
            "true" | "false" => Value::Boolean(text == "true"),
            _ => Value::String(serde_json::from_str(text).unwrap_or_default()),
        })
    }

    /// Returns true if a field of the record is the placeholder for an unavailable value.
    pub(crate) fn has_unavailable_value(&self, placeholder: &str) -> bool {
        let Some(after) = self.after.filter(|after| after.get().contains(placeholder)) else { return false };
        let fields: HashMap<String, &RawValue> = serde_json::from_str(after.get()).unwrap_or_default();
        fields.values().any(|field| serde_json::from_str::<String>(field.get()).is_ok_and(|text| text == placeholder))
    }
}

/// Distinguishes Debezium's envelope from other JSON.
///
/// # Errors
/// `decode.unknown_op` and `decode.no_after` for an invalid envelope.
pub(crate) fn bare_value(raw: &RawValue) -> Result<BareValue<'_>, Refusal> {
    let text = raw.get();
    if text == "null" {
        return Ok(BareValue::Null);
    }
    let plain = BareChange { op: RecordOp::Update, after: Some(raw), source: None };
    if !text.starts_with('{') || !text.contains("\"op\"") {
        return Ok(BareValue::Change(plain));
    }
    let fields: HashMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let part = |name: &str| fields.get(name).copied().filter(|part| part.get() != "null");
    let Some(op) = part("op").and_then(|op| serde_json::from_str::<&str>(op.get()).ok()) else {
        return Ok(BareValue::Change(plain));
    };
    if !part("source").is_some_and(|source| source.get().starts_with('{')) {
        return Ok(BareValue::Change(plain));
    }
    if op == "m" && fields.contains_key("message") {
        return Ok(BareValue::Message);
    }
    if !fields.contains_key("before") && !fields.contains_key("after") {
        return Ok(BareValue::Change(plain));
    }
    let op = RecordOp::from_letter(op).ok_or_else(Refusal::unknown_op)?;
    let after = match op {
        RecordOp::Delete | RecordOp::Truncate => None,
        _ => Some(part("after").ok_or_else(Refusal::no_after)?),
    };
    Ok(BareValue::Change(BareChange { op, after, source: part("source") }))
}

/// The type of a field of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Text,
    Long,
    Boolean,
}

/// Names and types of the fields of a key.
type Parts = Vec<(String, Kind)>;

/// A cache of schemas for keys: keys with the same names and types share one.
#[derive(Debug, Default)]
pub(crate) struct BareKeys {
    schemas: Mutex<HashMap<Parts, Arc<Schema>>>,
}

impl BareKeys {
    /// Decodes a key; `None` for null. The fields of an object are ordered by name.
    ///
    /// # Errors
    /// `decode.key_type` and `decode.key_null`.
    pub(crate) fn key(&self, raw: &RawValue) -> Result<Option<RecordKey>, Refusal> {
        let text = raw.get();
        if text == "null" {
            return Ok(None);
        }
        let parts: BTreeMap<String, &RawValue> = if text.starts_with('{') {
            serde_json::from_str(text).map_err(|_| not_a_key("the key"))?
        } else {
            [("id".to_owned(), raw)].into()
        };
        let mut kinds = Vec::with_capacity(parts.len());
        let mut identities = Vec::with_capacity(parts.len());
        for (name, raw) in parts {
            let (kind, identity) = part(raw, &name)?;
            kinds.push((name, kind));
            identities.push(identity);
        }
        let identity = match identities.len() {
            0 => return Err(not_a_key("an empty key")),
            1 => identities.swap_remove(0),
            _ => Identity::Parts(identities),
        };
        Ok(Some(RecordKey { identity, schema: self.schema(kinds) }))
    }

    fn schema(&self, kinds: Parts) -> Arc<Schema> {
        let create = |kinds: &Parts| {
            let field = |(name, kind): &(String, Kind)| {
                let schema = match kind {
                    Kind::Text => Schema::String,
                    Kind::Long => Schema::Long,
                    Kind::Boolean => Schema::Boolean,
                };
                (name.clone(), schema)
            };
            Arc::new(record_of(kinds.iter().map(field).collect()))
        };
        if kinds.len() > MAX_CACHED_FIELDS || kinds.iter().any(|(name, _)| name.len() > MAX_CACHED_NAME) {
            return create(&kinds);
        }
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if schemas.len() >= MAX_SCHEMAS {
            schemas.clear();
        }
        let entry = schemas.entry(kinds);
        Arc::clone(entry.or_insert_with_key(create))
    }
}

fn part(raw: &RawValue, name: &str) -> Result<(Kind, Identity), Refusal> {
    let text = raw.get();
    let refused = || not_a_key(&format!("the key's field `{name}`"));
    Ok(match text.as_bytes().first() {
        Some(b'"') => (Kind::Text, Identity::Text(serde_json::from_str(text).map_err(|_| refused())?)),
        Some(b't' | b'f') => (Kind::Boolean, Identity::Boolean(text == "true")),
        Some(b'n') => return Err(Refusal::key_null(&format!("the key's field `{name}`"))),
        Some(b'-' | b'0'..=b'9') => (Kind::Long, Identity::Long(text.parse().map_err(|_| refused())?)),
        _ => return Err(refused()),
    })
}

fn not_a_key(what: &str) -> Refusal {
    Refusal::new(codes::KEY_TYPE, format!("{what} is not a string, whole number or boolean"))
}
