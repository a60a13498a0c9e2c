//! Keys and records of one object, by its agreed schema.
//!
//! [`Mapper`] is prepared once per object; [`Mapping`] lives for one body and collects the misfits in it. The schema
//! of the topic differs from the agreed one where updates are partial: there every field but `id` may be null, with
//! null as the first branch ([`Object::value_schema`]).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use apache_avro::{
    schema::{RecordSchema, ResolvedSchema, Schema},
    types::Value,
};
use towpath_api::{Key, KeyType, Object, Updates};
use uuid::Uuid;

use crate::{
    json::Json,
    misfit::{Misfits, Path, Violation, expected},
    scalar,
    value::{Absent, Names, Walk, absent, default, storable},
};

/// Bytes of an id. Kafka and Postgres accept more; a longer id is a mistake.
const MAX_ID: usize = 512;

/// Maps records of one object.
#[derive(Debug)]
pub struct Mapper {
    object: Arc<Object>,
    names: Names,
    /// The same as `absent`, for each record type within the record.
    nested: Absent,
    /// The value that each field of a whole record takes when it is absent; `None` where it must be given.
    absent: Vec<Option<Value>>,
}

/// The part of a record that the sender gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// All fields; an absent field takes its default, or null where the schema allows it, or is a misfit.
    Whole,
    /// The fields that change, at least one. Only for an object with [`Updates::Partial`].
    Changes,
    /// Not known, after another misfit: fields are checked, absent ones are not reported.
    Unknown,
}

/// The fields of a record as its topic holds them.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// One value per field of the schema, in its order, by the object's [`value_schema`](Object::value_schema).
    pub after: Vec<(String, Value)>,
    /// Names of the fields that were given, for [`Contents::Changes`] only.
    pub changed: Option<Vec<String>>,
}

impl Mapper {
    /// Prepares the schema of `object`.
    ///
    /// # Errors
    /// The reason why records of this schema cannot be given as JSON, or why a default does not fit its field.
    pub fn new(object: Object) -> Result<Self, String> {
        let resolved = ResolvedSchema::new(object.schema()).map_err(|error| error.to_string())?;
        let names: Names =
            resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
        for schema in names.values().chain([object.schema()]) {
            if let Schema::Record(record) = schema {
                check_record(record, &names)?;
            }
        }
        let of_record = |record: &RecordSchema| record.fields.iter().map(|field| absent(field, &names)).collect();
        let nested = names.iter().filter_map(|(name, schema)| match schema {
            Schema::Record(record) => Some((name.clone(), of_record(record))),
            _ => None,
        });
        let nested = nested.collect();
        let fields = record_schema(&object).map(|record| record.fields.iter()).unwrap_or_default();
        let absent = fields
            .map(|field| {
                let value = absent(field, &names).filter(|_| field.name != "id")?;
                Some(for_topic(value, &field.schema, object.updates()))
            })
            .collect();
        Ok(Self { object: Arc::new(object), names, nested, absent })
    }

    /// The object whose records it maps.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// Begins to map one body. The limits on work and on listed misfits hold for the whole body.
    pub fn begin(&self) -> Mapping<'_> {
        Mapping { mapper: self, walk: Walk::new(&self.names, &self.nested) }
    }

    /// An id is a string or an integer. An object keyed by the other type takes it if the conversion is exact.
    fn key(&self, json: &Json<'_>) -> Result<Key, Violation> {
        match (self.object.key_type(), json) {
            (KeyType::Long, Json::Number(digits)) => {
                digits.parse().map(Key::Long).map_err(|_| expected("an integer (64 bit)", json))
            }
            (KeyType::Long, Json::Text(text)) => {
                let exact = text.parse().ok().filter(|number: &i64| number.to_string() == **text);
                exact.map(Key::Long).ok_or_else(|| expected("an integer (64 bit)", json))
            }
            (KeyType::Text, Json::Number("-0")) => self.text_key("0"),
            (KeyType::Text, Json::Number(digits)) if !digits.contains(['.', 'e', 'E']) => self.text_key(digits),
            (KeyType::Text, Json::Text(text)) => self.text_key(text),
            _ => Err(expected("a string or an integer", json)),
        }
    }

    fn text_key(&self, text: &str) -> Result<Key, Violation> {
        if text.is_empty() {
            return Err(Violation::new("id", "an id must not be empty"));
        }
        if text.len() > MAX_ID {
            return Err(Violation::new("id", format!("an id has at most {MAX_ID} bytes")));
        }
        let id = record_schema(&self.object).and_then(|record| record.fields.iter().find(|field| field.name == "id"));
        match id.map(|field| &field.schema) {
            // Upper and lower case spell the same UUID, so they must be the same key.
            Some(Schema::Uuid(_)) => scalar::uuid(text).map(|uuid| Key::Text(uuid.to_string())),
            _ => storable(text).map(|text| Key::Text(text.to_owned())),
        }
    }
}

/// Maps the records of one body and collects the misfits.
pub struct Mapping<'m> {
    mapper: &'m Mapper,
    walk: Walk<'m>,
}

impl Mapping<'_> {
    /// Reports a misfit that the caller found.
    pub fn refuse(&mut self, at: &Path<'_>, violation: Violation) {
        self.walk.misfits.add(at, violation);
    }

    /// The nearest known word, as [`Misfits::suggest`] says.
    pub fn suggest<'a>(&mut self, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
        self.walk.misfits.suggest(word, known)
    }

    /// The number of misfits so far; unchanged by a record that fits.
    pub fn misfits(&self) -> usize {
        self.walk.misfits.total()
    }

    /// Ends the mapping. The records count only if the result is empty.
    pub fn finish(self) -> Misfits {
        self.walk.misfits
    }

    /// The key that `id` gives; `None` after a misfit, reported for `at`.
    pub fn key(&mut self, id: &Json<'_>, at: &Path<'_>) -> Option<Key> {
        self.mapper.key(id).map_err(|violation| self.refuse(at, violation)).ok()
    }

    /// The fields of the record at `at`. `given` are its members without the id, which comes from `key`.
    ///
    /// The result counts only if no misfit was reported: a wrong or missing field is null in it.
    pub fn record<'j>(
        &mut self,
        contents: Contents,
        key: Option<&Key>,
        given: impl Iterator<Item = (&'j str, &'j Json<'j>)>,
        at: &Path<'_>,
    ) -> Record {
        let Some(record) = record_schema(&self.mapper.object) else {
            return Record { after: Vec::new(), changed: None };
        };
        let mut present = self.walk.present(record, given, at);
        let changed: Option<Vec<String>> = (contents == Contents::Changes).then(|| {
            let given = record.fields.iter().zip(&present).filter(|(_, value)| value.is_some());
            given.map(|(field, _)| field.name.clone()).collect()
        });
        if changed.as_ref().is_some_and(Vec::is_empty) {
            self.refuse(at, Violation::new("required", "an update must carry at least one field"));
        }
        let updates = self.mapper.object.updates();
        let after = record.fields.iter().zip(&mut present).zip(&self.mapper.absent).map(|((field, value), absent)| {
            let value = match (value.take(), contents, absent) {
                _ if field.name == "id" => key.map_or(Value::Null, |key| id_value(key, &field.schema)),
                (Some(value), ..) => for_topic(value, &field.schema, updates),
                (None, Contents::Changes, _) => Value::Union(0, Box::new(Value::Null)),
                (None, _, Some(value)) => value.clone(),
                (None, Contents::Whole, None) => self.walk.missing(field, at),
                (None, Contents::Unknown, None) => Value::Null,
            };
            (field.name.clone(), value)
        });
        Record { after: after.collect(), changed }
    }
}

/// Converts a value of the agreed schema into the [`Object::value_schema`], where null is the first branch of each
/// field but `id`.
fn for_topic(value: Value, agreed: &Schema, updates: Updates) -> Value {
    match (updates, agreed, value) {
        (Updates::Whole, _, value) => value,
        (_, Schema::Union(union), Value::Union(index, inner)) => {
            let nulls_before = (0..index).zip(union.variants()).filter(|(_, branch)| **branch == Schema::Null).count();
            let index = if *inner == Value::Null { 0 } else { index + 1 - u32::from(nulls_before > 0) };
            Value::Union(index, inner)
        }
        (_, _, value) => Value::Union(1, Box::new(value)),
    }
}

fn id_value(key: &Key, schema: &Schema) -> Value {
    match (key, schema) {
        (Key::Long(number), _) => Value::Long(*number),
        (Key::Text(text), Schema::Uuid(_)) => Uuid::try_parse(text).map_or(Value::Null, Value::Uuid),
        (Key::Text(text), _) => Value::String(text.clone()),
    }
}

/// The agreed schema, which is a record by the contract of [`Object`].
fn record_schema(object: &Object) -> Option<&RecordSchema> {
    match object.schema() {
        Schema::Record(record) => Some(record),
        _ => None,
    }
}

/// Checks that defaults fit their fields and that JSON can express each type.
fn check_record(record: &RecordSchema, names: &Names) -> Result<(), String> {
    for field in &record.fields {
        default(field, names)
            .map_err(|error| format!("the default of field `{}` does not fit its type: {error}", field.name))?;
        check_type(&field.schema)
            .map_err(|kind| format!("field `{}` is a {kind}, which has no form in JSON", field.name))?;
    }
    Ok(())
}

fn check_type(schema: &Schema) -> Result<(), &'static str> {
    match schema {
        Schema::BigDecimal => Err("big-decimal"),
        Schema::Duration(_) => Err("duration"),
        Schema::Array(array) => check_type(&array.items),
        Schema::Map(map) => check_type(&map.types),
        Schema::Union(union) => union.variants().iter().try_for_each(check_type),
        _ => Ok(()),
    }
}
