//! How the records of a connector's topics are to be read: what its configuration says about it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use apache_avro::Schema;

use super::{
    unavailable::{UNAVAILABLE_VALUE, Unavailable},
    version::{VersionAt, VersionField},
};
use crate::avro::{
    codes,
    connect::{BareKeys, avro_schema},
    refusal::Refusal,
    schema::{inline::inlined, shape::Prepared},
};

/// Schemas beside JSON values that are remembered, by their text; more of them are forgotten at once.
const MAX_JSON_SCHEMAS: usize = 1_000;

/// In which form a key or value lies in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Avro with the id of a schema.
    #[default]
    Avro,
    /// JSON as `{"schema": …, "payload": …}`.
    JsonWithSchema,
    /// Any JSON.
    Json,
    /// A text in UTF-8.
    Text,
}

/// What the configuration says.
#[derive(Debug, Clone)]
pub struct ReadingSettings {
    /// The form of keys.
    pub key: Form,
    /// The form of values.
    pub value: Form,
    /// The field that holds a record's version; without one the envelope's own counts, or the offset.
    pub version: Option<VersionField>,
    /// What Debezium writes in place of a value that is not available.
    pub unavailable: String,
}

impl Default for ReadingSettings {
    fn default() -> Self {
        Self { key: Form::Avro, value: Form::Avro, version: None, unavailable: UNAVAILABLE_VALUE.to_owned() }
    }
}

/// How keys and values are read. Cheap to clone; clones share what they have learned.
#[derive(Debug, Clone)]
pub struct Reading {
    pub(super) converter: Arc<Converter>,
}

/// A schema that stood beside a value, or why it cannot be used.
type CachedJsonSchema = Arc<Result<JsonSchema, Refusal>>;

#[derive(Debug)]
pub(super) struct Converter {
    pub(super) key: Form,
    pub(super) value: Form,
    pub(super) version: Option<VersionField>,
    pub(super) unavailable: Unavailable,
    pub(super) bare_keys: BareKeys,
    json_schemas: Mutex<HashMap<Box<str>, CachedJsonSchema>>,
}

/// A schema, and where in it the configuration looks for the version.
#[derive(Debug)]
pub(super) struct KnownSchema {
    pub(super) prepared: Arc<Prepared>,
    pub(super) version_at: Option<VersionAt>,
}

/// A schema that stands beside JSON values.
#[derive(Debug)]
pub(super) struct JsonSchema {
    /// As Avro would write its values, without references.
    pub(super) written: Schema,
    pub(super) known: KnownSchema,
}

impl Default for Reading {
    fn default() -> Self {
        Self::new(ReadingSettings::default())
    }
}

impl Reading {
    /// Reads as `settings` say.
    pub fn new(settings: ReadingSettings) -> Self {
        let ReadingSettings { key, value, version, unavailable } = settings;
        let unavailable = Unavailable::new(&unavailable);
        let (bare_keys, json_schemas) = (BareKeys::default(), Mutex::default());
        Self { converter: Arc::new(Converter { key, value, version, unavailable, bare_keys, json_schemas }) }
    }
}

impl Converter {
    /// Looks for the version in a schema.
    pub(super) fn know(&self, prepared: Arc<Prepared>) -> KnownSchema {
        let version = self.version.as_ref().zip(prepared.value.as_ref().ok());
        let version_at = version.map(|(field, shape)| VersionAt::find(field, shape));
        KnownSchema { prepared, version_at }
    }

    /// The schema that a JSON value brings along. Equal texts give one schema.
    pub(super) fn json_schema(&self, text: &str) -> CachedJsonSchema {
        let mut schemas = self.json_schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = schemas.get(text) {
            return Arc::clone(known);
        }
        if schemas.len() >= MAX_JSON_SCHEMAS {
            schemas.clear();
        }
        let made = Arc::new(self.make(text));
        schemas.insert(text.into(), Arc::clone(&made));
        made
    }

    fn make(&self, text: &str) -> Result<JsonSchema, Refusal> {
        let schema = avro_schema(text)?;
        let written = inlined(&schema).map_err(|error| Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string()))?;
        Ok(JsonSchema { written, known: self.know(Arc::new(Prepared::new(&schema))) })
    }
}
