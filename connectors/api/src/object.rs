//! A kind of record: its name, its schema, and the content of its updates.

use apache_avro::schema::{RecordField, Schema};
use serde_json::{Value as Json, json};

/// The content of an update: the whole record, or only the changed fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// Each event carries the whole record; the topic may be compacted.
    Whole,
    /// An update names the fields that it carries. A compacted topic would lose fields, so it is refused.
    Partial,
}

/// The Avro type of an object's `id`. The Kafka key and the primary key have the same type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Avro `string`.
    Text,
    /// Avro `long`.
    Long,
}

/// The reason for which a schema cannot describe an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The schema is not a record.
    #[error("the schema of object `{0}` is not an Avro record")]
    NotARecord(String),
    /// The record has no field `id`.
    #[error("the schema of object `{0}` has no field `id`; a record is keyed by it")]
    NoId(String),
    /// The type of `id` cannot be a key.
    #[error("field `id` of object `{0}` is neither `string` nor `long`; those two can be a key")]
    IdType(String),
    /// The schema has no variant with optional fields.
    #[error("the schema of object `{0}` cannot carry partial updates: {1}")]
    NotPartial(String, String),
}

/// A kind of record that a source emits: one topic, one table.
///
/// Two objects are equal if their schemas have the same text, `doc` included.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    name: String,
    /// Schemas are equal whatever their `doc`, their texts are not.
    text: String,
    schema: Schema,
    value_schema: Schema,
    key_type: KeyType,
    updates: Updates,
}

impl Object {
    /// Describes object `name` (part of the topic's name) by the Avro record `schema`.
    ///
    /// # Errors
    /// Fails if the schema is not a record, or has no field `id` of type `string` or `long`.
    pub fn new(name: impl Into<String>, schema: Schema, updates: Updates) -> Result<Self, ObjectError> {
        let name = name.into();
        let Schema::Record(record) = &schema else { return Err(ObjectError::NotARecord(name)) };
        let id = record.fields.iter().find(|field| field.name == "id");
        let key_type = match id.map(|field| &field.schema) {
            None => return Err(ObjectError::NoId(name)),
            Some(Schema::String | Schema::Uuid(_)) => KeyType::Text,
            Some(Schema::Long) => KeyType::Long,
            Some(_) => return Err(ObjectError::IdType(name)),
        };
        let value_schema = match updates {
            Updates::Whole => schema.clone(),
            Updates::Partial => all_optional(&name, &schema)?,
        };
        let text = serde_json::to_string(&schema).unwrap_or_default();
        Ok(Self { name, text, schema, value_schema, key_type, updates })
    }

    /// The name, as in the topic `<topic.prefix>.<name>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema of a whole record, as passed to [`Object::new`].
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The schema of `after` in the topic. Under [`Updates::Partial`] all fields except `id` are nullable with
    /// default null, since a partial update omits fields; otherwise it is [`Object::schema`].
    pub fn value_schema(&self) -> &Schema {
        &self.value_schema
    }

    /// The fields of [`Object::value_schema`].
    pub fn fields(&self) -> &[RecordField] {
        match &self.value_schema {
            Schema::Record(record) => &record.fields,
            _ => &[],
        }
    }

    /// The type of `id`.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The content of the object's updates.
    pub fn updates(&self) -> Updates {
        self.updates
    }
}

/// The same record with all fields except `id` nullable and with default null.
fn all_optional(object: &str, schema: &Schema) -> Result<Schema, ObjectError> {
    let refused = |why: &dyn std::fmt::Display| ObjectError::NotPartial(object.to_owned(), why.to_string());
    let mut json = serde_json::to_value(schema).map_err(|error| refused(&error))?;
    let fields = json["fields"].as_array_mut().ok_or_else(|| refused(&"it has no fields"))?;
    for field in fields.iter_mut().filter(|field| field["name"] != "id") {
        let ty = field["type"].take();
        field["type"] = nullable(ty);
        field["default"] = Json::Null;
    }
    Schema::parse(&json).map_err(|error| refused(&error))
}

/// The type with `null` as its first branch, as a default of null requires.
fn nullable(ty: Json) -> Json {
    match ty {
        Json::Array(branches) => {
            let others = branches.into_iter().filter(|branch| branch != "null");
            Json::Array(std::iter::once(json!("null")).chain(others).collect())
        }
        one => json!(["null", one]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &str) -> Schema {
        Schema::parse_str(&format!(r#"{{"type":"record","name":"deal","fields":[{fields}]}}"#)).unwrap()
    }

    #[test]
    fn partial_updates_make_every_field_but_the_id_nullable() {
        let object = Object::new(
            "deal",
            schema(
                r#"{"name":"id","type":"string"},{"name":"won","type":"boolean"},
                   {"name":"note","type":["string","null"]},
                   {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}}"#,
            ),
            Updates::Partial,
        )
        .unwrap();
        let types: Vec<Json> =
            object.fields().iter().map(|field| serde_json::to_value(&field.schema).unwrap()).collect();
        assert_eq!(types[0], json!("string"));
        assert_eq!(types[1], json!(["null", "boolean"]));
        assert_eq!(types[2], json!(["null", "string"]));
        assert_eq!(types[3][1]["logicalType"], "decimal");
        assert_eq!(
            object.schema(),
            &schema(
                r#"{"name":"id","type":"string"},{"name":"won","type":"boolean"},
               {"name":"note","type":["string","null"]},
               {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}}"#
            )
        );
    }

    #[test]
    fn objects_differ_if_a_text_for_people_does() {
        let object = |doc: &str| {
            let fields = format!(r#"{{"name":"id","type":"string"}},{{"name":"a","type":"long","doc":"{doc}"}}"#);
            Object::new("deal", schema(&fields), Updates::Whole).unwrap()
        };
        assert_eq!(object("Size"), object("Size"));
        assert_ne!(object("Size"), object("Length"));
    }

    #[test]
    fn an_object_is_keyed_by_its_id() {
        let keyed = |id: &str| Object::new("deal", schema(id), Updates::Whole).map(|object| object.key_type());
        assert_eq!(keyed(r#"{"name":"id","type":"long"}"#), Ok(KeyType::Long));
        assert_eq!(keyed(r#"{"name":"id","type":"double"}"#), Err(ObjectError::IdType("deal".into())));
        assert_eq!(keyed(r#"{"name":"key","type":"long"}"#), Err(ObjectError::NoId("deal".into())));
        assert_eq!(Object::new("deal", Schema::Long, Updates::Whole), Err(ObjectError::NotARecord("deal".into())));
    }
}
