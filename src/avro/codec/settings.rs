//! Settings for decoding the topics of a connector, from its configuration.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apache_avro::Schema;

use super::{
    deleted::{DELETED_FIELD, DeletedField},
    patience::{Patience, UNKNOWN_SCHEMA_WAIT},
    unavailable::{UNAVAILABLE_VALUE, Unavailable},
    version::{VersionAt, VersionField},
};
use crate::avro::{
    codes,
    connect::{BareKeys, avro_schema},
    refusal::Refusal,
    schema::{
        inline::inlined,
        shape::{Prepared, ValueShape},
    },
};

/// Maximum cached schemas of JSON records, by their text. The cache is cleared when it is full.
const MAX_JSON_SCHEMAS: usize = 1_000;
/// Maximum length of the texts of all cached schemas. Parsed, a schema takes many times its text.
const MAX_JSON_SCHEMA_TEXT: usize = 2 << 20;

/// The format of keys or values in a topic; Kafka Connect's converter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Avro with a schema id.
    #[default]
    Avro,
    /// JSON of the form `{"schema": …, "payload": …}`.
    JsonWithSchema,
    /// Any JSON, without a schema.
    Json,
    /// A string in UTF-8.
    Text,
}

#[derive(Debug, Clone)]
pub struct ReadingSettings {
    pub key: Form,
    pub value: Form,
    /// The field with the version of a record; `None` for the version in the envelope or, without that, the offset.
    pub version: Option<VersionField>,
    /// Debezium's placeholder for unavailable values.
    pub unavailable: String,
    /// The field that marks deletes among plain records; empty for none.
    pub deleted: String,
    /// True if times lose the digits after the microseconds. Otherwise such a time is refused if these are not zero.
    pub truncates_nanoseconds: bool,
    /// How long a schema that the registry does not have is waited for.
    pub unknown_schema_wait: Duration,
}

impl Default for ReadingSettings {
    fn default() -> Self {
        Self {
            key: Form::Avro,
            value: Form::Avro,
            version: None,
            unavailable: UNAVAILABLE_VALUE.to_owned(),
            deleted: DELETED_FIELD.to_owned(),
            truncates_nanoseconds: false,
            unknown_schema_wait: UNKNOWN_SCHEMA_WAIT,
        }
    }
}

/// Settings and shared caches for decoding. Cheap to clone; clones share the caches.
#[derive(Debug, Clone)]
pub struct Reading {
    pub(super) converter: Arc<Converter>,
}

/// A schema from a JSON record, or the reason why it cannot be used.
type CachedJsonSchema = Arc<Result<JsonSchema, Refusal>>;

#[derive(Debug)]
pub(super) struct Converter {
    pub(super) key: Form,
    pub(super) value: Form,
    pub(super) version: Option<VersionField>,
    pub(super) unavailable: Unavailable,
    pub(super) deleted: String,
    pub(super) truncates: bool,
    pub(super) bare_keys: BareKeys,
    pub(super) patience: Patience,
    json_schemas: Mutex<HashMap<Box<str>, CachedJsonSchema>>,
}

/// A schema, and the location of the configured version field in it.
#[derive(Debug)]
pub(super) struct KnownSchema {
    pub(super) prepared: Arc<Prepared>,
    pub(super) version_at: Option<VersionAt>,
    /// In a plain record, the field that marks deletes.
    pub(super) deleted: Option<DeletedField>,
}

/// A schema from a JSON record.
#[derive(Debug)]
pub(super) struct JsonSchema {
    /// The Avro schema by which payloads are encoded, without references.
    pub(super) written: Schema,
    pub(super) known: KnownSchema,
}

impl Default for Reading {
    fn default() -> Self {
        Self::new(ReadingSettings::default())
    }
}

impl Reading {
    pub fn new(settings: ReadingSettings) -> Self {
        let ReadingSettings { key, value, version, deleted, .. } = settings;
        Self {
            converter: Arc::new(Converter {
                key,
                value,
                version,
                unavailable: Unavailable::new(&settings.unavailable),
                deleted,
                truncates: settings.truncates_nanoseconds,
                bare_keys: BareKeys::default(),
                patience: Patience::new(settings.unknown_schema_wait),
                json_schemas: Mutex::default(),
            }),
        }
    }
}

impl Converter {
    /// Locates the version field in a schema.
    pub(super) fn locate_version(&self, prepared: Arc<Prepared>) -> KnownSchema {
        let version = self.version.as_ref().zip(prepared.value.as_ref().ok());
        let version_at = version.map(|(field, shape)| VersionAt::find(field, shape));
        let deleted = match &prepared.value {
            Ok(ValueShape::Plain(plain)) => DeletedField::find(&self.deleted, plain),
            _ => None,
        };
        KnownSchema { prepared, version_at, deleted }
    }

    /// Returns the schema with this text, from the cache if possible. Equal texts share one schema.
    pub(super) fn json_schema(&self, text: &str) -> CachedJsonSchema {
        let mut schemas = self.json_schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = schemas.get(text) {
            return Arc::clone(known);
        }
        let cached: usize = schemas.keys().map(|text| text.len()).sum();
        if schemas.len() >= MAX_JSON_SCHEMAS || cached + text.len() > MAX_JSON_SCHEMA_TEXT {
            schemas.clear();
        }
        let parsed = Arc::new(self.parse(text));
        schemas.insert(text.into(), Arc::clone(&parsed));
        parsed
    }

    fn parse(&self, text: &str) -> Result<JsonSchema, Refusal> {
        let schema = avro_schema(text)?;
        let (written, _) = inlined(&schema).map_err(|error| Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string()))?;
        Ok(JsonSchema { written, known: self.locate_version(Arc::new(Prepared::new(&schema))) })
    }
}
