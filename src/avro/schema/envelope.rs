//! Builds the schemas of our topics from the templates in `avro/`.
//!
//! The value is Debezium's envelope around the record of the object. The order of its fields is part of the contract
//! with [`Encoder`](crate::avro::codec::Encoder), which writes them in order. Nothing here reads or writes a record.

use std::collections::HashSet;

use apache_avro::schema::{ResolvedSchema, Schema};
use serde_json::{Value as Json, json};
use towpath_api::{Error, ErrorType, KeyType, Object, Result};

use super::inline::inlined;
use crate::avro::codes;

const ENVELOPE: &str = include_str!("../../../avro/envelope.avsc");
const KEY: &str = include_str!("../../../avro/key.avsc");

/// The schemas to register for a topic, and to encode its records.
#[derive(Debug, Clone)]
pub struct TopicSchemas {
    /// The key schema as text, for subject `<topic>-key`.
    pub key: String,
    /// The envelope schema as text, for subject `<topic>-value`.
    pub value: String,
    /// The schema of `after`, without references.
    pub after: Schema,
}

impl TopicSchemas {
    /// Builds the schemas of `object` in `topic`.
    ///
    /// # Errors
    /// Fatal `schema.unusable` when the object's schema is recursive or cannot be placed in an envelope.
    pub fn new(object: &Object, topic: &str) -> Result<Self> {
        let unusable = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let doing = format!("build the envelope of object `{}`", object.name());
            Error::fatal(codes::OBJECT_SCHEMA, ErrorType::Schema, doing).because(cause)
        };
        let (after, recursive) = inlined(object.value_schema()).map_err(|error| unusable(error.into()))?;
        if let Some(name) = recursive.keys().next() {
            return Err(unusable(format!("type `{}` contains itself", name.fullname(None)).into()));
        }
        let value = envelope(object, topic).map_err(unusable)?.to_string();
        Schema::parse_str(&value).map_err(|error| unusable(error.into()))?;
        let key = key(object.key_type(), topic).map_err(unusable)?.to_string();
        Ok(Self { key, value, after })
    }
}

fn envelope(object: &Object, topic: &str) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
    let namespace = namespace(topic);
    let taken = names(object.value_schema(), &namespace)?;
    let value = serde_json::to_value(object.value_schema())?;
    let value_name = object.value_schema().name().ok_or("the schema has no name")?.fullname(Some(&namespace));

    let mut envelope: Json = serde_json::from_str(ENVELOPE)?;
    envelope["namespace"] = json!(namespace);
    envelope["name"] = json!(free_name("Envelope", &namespace, &taken));
    for field in envelope["fields"].as_array_mut().ok_or("the template has no fields")? {
        match field["name"].as_str() {
            Some("before") => field["type"][1] = value.clone(),
            Some("after") => field["type"][1] = json!(value_name),
            Some("source") => field["type"]["name"] = json!(free_name("Source", &namespace, &taken)),
            _ => {}
        }
    }
    Ok(envelope)
}

fn key(key_type: KeyType, topic: &str) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
    let mut key: Json = serde_json::from_str(KEY)?;
    key["namespace"] = json!(namespace(topic));
    key["fields"][0]["type"] = match key_type {
        KeyType::Text => json!("string"),
        KeyType::Long => json!("long"),
    };
    Ok(key)
}

/// Converts a topic name to an Avro namespace. Characters that Avro does not allow become underscores.
fn namespace(topic: &str) -> String {
    let part = |part: &str| {
        let plain = part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
        if plain.starts_with(|c: char| c.is_ascii_digit()) || plain.is_empty() { format!("_{plain}") } else { plain }
    };
    topic.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Returns the full names that `schema` defines within `namespace`.
fn names(schema: &Schema, namespace: &str) -> Result<HashSet<String>, apache_avro::Error> {
    let resolved = ResolvedSchema::new(schema)?;
    Ok(resolved.get_names().keys().map(|name| name.fullname(Some(namespace))).collect())
}

/// Returns `name`, with a prefix if a type of the object already has this name.
fn free_name(name: &str, namespace: &str, taken: &HashSet<String>) -> String {
    let mut free = name.to_owned();
    while taken.contains(&format!("{namespace}.{free}")) {
        free.insert_str(0, "Towpath");
    }
    free
}

#[cfg(test)]
mod tests {
    use towpath_api::Updates;

    use super::*;

    fn object(schema: &str) -> Object {
        Object::new("deals", Schema::parse_str(schema).unwrap(), Updates::Whole).unwrap()
    }

    #[test]
    fn the_record_is_defined_once_and_then_referenced() {
        let object = object(
            r#"{"type":"record","name":"Deal","fields":[{"name":"id","type":"string"},
                {"name":"billing","type":{"type":"record","name":"Address","fields":[{"name":"city","type":"string"}]}},
                {"name":"shipping","type":"Address"}]}"#,
        );
        let schemas = TopicSchemas::new(&object, "acme-2.deals").unwrap();
        let value: Json = serde_json::from_str(&schemas.value).unwrap();
        assert_eq!(value["namespace"], "acme_2.deals");
        assert_eq!(value["fields"][0]["type"][1]["name"], "Deal");
        assert_eq!(value["fields"][1]["type"], json!(["null", "acme_2.deals.Deal"]));
        let key: Json = serde_json::from_str(&schemas.key).unwrap();
        assert_eq!(key["fields"], json!([{"name": "id", "type": "string"}]));
    }

    #[test]
    fn an_object_may_be_named_envelope_or_source() {
        let object = object(
            r#"{"type":"record","name":"Envelope","fields":[{"name":"id","type":"long"},
                {"name":"from","type":{"type":"enum","name":"Source","symbols":["a"]}}]}"#,
        );
        let schemas = TopicSchemas::new(&object, "t").unwrap();
        let value: Json = serde_json::from_str(&schemas.value).unwrap();
        assert_eq!(value["name"], "TowpathEnvelope");
        assert_eq!(value["fields"][2]["type"]["name"], "TowpathSource");
    }

    #[test]
    fn every_topic_name_becomes_a_valid_namespace() {
        assert_eq!(namespace("close.lead"), "close.lead");
        assert_eq!(namespace("9lives..x-y"), "_9lives._.x_y");
    }

    #[test]
    fn a_recursive_object_is_refused() {
        let list = object(
            r#"{"type":"record","name":"List","fields":[{"name":"id","type":"string"},
                {"name":"next","type":["null","List"]}]}"#,
        );
        let error = TopicSchemas::new(&list, "t").unwrap_err();
        assert_eq!((error.code, error.chain().contains("contains itself")), ("schema.unusable", true));
    }
}
