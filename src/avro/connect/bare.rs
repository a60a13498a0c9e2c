//! JSON without a schema: a value stays the text that it is, so that no digit is lost; a key is one or more simple
//! parts.

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

/// Kinds of keys that are remembered; more of them are forgotten at once.
const MAX_KINDS: usize = 1_000;

/// A record whose field `value` is text that is JSON.
static JSON_VALUE: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let mut schema = single_field("value", Schema::String);
    if let Schema::Record(record) = &mut schema {
        for field in &mut record.fields {
            field.custom_attributes.insert(CONNECT_NAME.to_owned(), JSON_TEXT.into());
        }
    }
    Arc::new(schema)
});

/// A record whose one field is a text.
static TEXT_VALUE: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(single_field("value", Schema::String)));
static TEXT_KEY: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(single_field("id", Schema::String)));

/// The schemas of a key and a value that are one text.
pub(crate) fn single_text() -> (Arc<Schema>, Arc<Schema>) {
    (Arc::clone(&TEXT_KEY), Arc::clone(&TEXT_VALUE))
}

/// What a bare value means.
#[derive(Debug)]
pub(crate) enum BareValue<'a> {
    /// Nothing any more.
    Null,
    /// A message that changes no row.
    Message,
    /// A change, by Debezium's envelope or, without one, an upsert.
    Change(BareChange<'a>),
}

/// The change that a bare value is.
#[derive(Debug)]
pub(crate) struct BareChange<'a> {
    pub(crate) op: RecordOp,
    /// The JSON of the record, as it is written.
    pub(crate) after: Option<&'a RawValue>,
    pub(crate) before: Option<&'a RawValue>,
    pub(crate) source: Option<&'a RawValue>,
}

impl BareChange<'_> {
    pub(crate) fn schema() -> Arc<Schema> {
        Arc::clone(&JSON_VALUE)
    }

    /// A number or text in a part of the envelope, as a value; `None` where it is not.
    pub(crate) fn field(part: Option<&RawValue>, name: &str) -> Option<Value> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(part?.get()).ok()?;
        let text = fields.get(name)?.get();
        Some(match text.as_bytes().first()? {
            b'n' => Value::Null,
            b'"' => Value::String(serde_json::from_str(text).ok()?),
            _ => text.parse().map_or(Value::Boolean(false), Value::Long),
        })
    }

    /// Whether a field of the record holds the text for a value that is not available.
    pub(crate) fn lacks_a_value(&self, placeholder: &str) -> bool {
        let Some(after) = self.after.filter(|after| after.get().contains(placeholder)) else { return false };
        let fields: HashMap<String, &RawValue> = serde_json::from_str(after.get()).unwrap_or_default();
        fields.values().any(|field| serde_json::from_str::<String>(field.get()).is_ok_and(|text| text == placeholder))
    }
}

/// Tells an envelope of Debezium's from other JSON.
///
/// # Errors
/// `decode.unknown_op` and `decode.no_after` for an envelope that is broken.
pub(crate) fn bare_value(raw: &RawValue) -> Result<BareValue<'_>, Refusal> {
    let text = raw.get();
    if text == "null" {
        return Ok(BareValue::Null);
    }
    let plain = BareChange { op: RecordOp::Update, after: Some(raw), before: None, source: None };
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
    Ok(BareValue::Change(BareChange { op, after, before: part("before"), source: part("source") }))
}

/// What a part of a bare key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Text,
    Long,
    Boolean,
}

/// Names and kinds of a key's parts.
type Parts = Vec<(String, Kind)>;

/// The schemas of bare keys: keys of one form share one.
#[derive(Debug, Default)]
pub(crate) struct BareKeys {
    schemas: Mutex<HashMap<Parts, Arc<Schema>>>,
}

impl BareKeys {
    /// The key that some JSON is; `None` for null. The parts of an object come in the order of their names.
    ///
    /// # Errors
    /// `decode.key_type` and `decode.key_null`.
    pub(crate) fn key(&self, raw: &RawValue) -> Result<Option<RecordKey>, Refusal> {
        let text = raw.get();
        if text == "null" {
            return Ok(None);
        }
        let parts: BTreeMap<String, &RawValue> = if text.starts_with('{') {
            serde_json::from_str(text).map_err(|_| no_key("the key"))?
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
            0 => return Err(no_key("an empty key")),
            1 => identities.swap_remove(0),
            _ => Identity::Parts(identities),
        };
        Ok(Some(RecordKey { identity, schema: self.schema(kinds) }))
    }

    fn schema(&self, kinds: Parts) -> Arc<Schema> {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if schemas.len() >= MAX_KINDS {
            schemas.clear();
        }
        let entry = schemas.entry(kinds);
        let made = |kinds: &Parts| {
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
        Arc::clone(entry.or_insert_with_key(made))
    }
}

fn part(raw: &RawValue, name: &str) -> Result<(Kind, Identity), Refusal> {
    let text = raw.get();
    let refused = || no_key(&format!("the key's part `{name}`"));
    Ok(match text.as_bytes().first() {
        Some(b'"') => (Kind::Text, Identity::Text(serde_json::from_str(text).map_err(|_| refused())?)),
        Some(b't' | b'f') => (Kind::Boolean, Identity::Boolean(text == "true")),
        Some(b'n') => return Err(Refusal::key_null(&format!("the key's part `{name}`"))),
        Some(b'-' | b'0'..=b'9') => (Kind::Long, Identity::Long(text.parse().map_err(|_| refused())?)),
        _ => return Err(refused()),
    })
}

fn no_key(what: &str) -> Refusal {
    Refusal::new(codes::KEY_TYPE, format!("{what} is no text, whole number or truth value"))
}
