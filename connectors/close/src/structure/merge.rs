//! The schema of one object: the base schema, the schema that the registry has, and the custom fields. Pure.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use apache_avro::schema::{RecordField, Schema};
use serde_json::{Map, Value as Json, json};
use towpath_api::{Error, ErrorType, Object, Result, Updates, json::JSON_TEXT};

use super::Definition;
use crate::{
    catalogue::Kind,
    codes,
    field_type::FieldType,
    record::{Fields, Shape},
};

/// Combines them. The fields of the base schema come first, then those that are known in their order, then new ones by
/// id. A known field that is in neither stays, and is null from now on.
pub(super) fn shape<'a>(
    kind: &'static Kind,
    definitions: impl Iterator<Item = &'a Definition> + Clone,
    known: Option<&Schema>,
) -> Result<Shape> {
    let unusable = |cause: Box<dyn std::error::Error + Send + Sync>| {
        let doing = format!("combine the schema of object `{}` with the organization's custom fields", kind.name);
        Error::fatal(codes::SCHEMA, ErrorType::Schema, doing)
            .because(cause)
            .with_help("nothing was published with it; if somebody else changed the subject in the registry, undo that")
    };
    let schema = merged(kind, definitions, known).map_err(|error| unusable(error.into()))?;
    let schema = Schema::parse(&schema).map_err(|error| unusable(error.into()))?;
    let object = Object::new(kind.name, schema, Updates::Whole).map_err(|error| unusable(error.into()))?;
    Ok(Shape { kind, fields: Fields::new(kind, &object), object: Arc::new(object) })
}

fn merged<'a>(
    kind: &Kind,
    definitions: impl Iterator<Item = &'a Definition> + Clone,
    known: Option<&Schema>,
) -> apache_avro::AvroResult<Json> {
    let base = Schema::parse_str(kind.base)?;
    let known = known.map(fields_of).unwrap_or_default();
    let known_field = |name: &str| known.iter().find(|field| field.name == name);
    let mut placed = HashSet::new();
    let mut fields = Vec::new();

    for field in fields_of(&base) {
        placed.insert(&*field.name);
        fields.push(if field.name == "id" {
            json!({"name": "id", "type": field.schema, "doc": field.doc})
        } else {
            let wanted = FieldType::of_field(field);
            optional(&field.name, &widened(known_field(&field.name), wanted), field.doc.as_deref())?
        });
    }
    for field in known {
        if !placed.insert(&*field.name) {
            continue;
        }
        let definition = definitions.clone().find(|definition| definition.id == field.name);
        let known = FieldType::of_field(field);
        fields.push(match definition {
            Some(definition) => {
                let ty = known.widened(&definition.field_type());
                optional(&field.name, &ty, Some(&definition.label))?
            }
            None => optional(&field.name, &known, field.doc.as_deref())?,
        });
    }
    for definition in definitions {
        // Values of an id that Avro does not take as a name go into `_extra`.
        if is_name(&definition.id) && !placed.contains(&*definition.id) {
            fields.push(optional(&definition.id, &definition.field_type(), Some(&definition.label))?);
        }
    }

    let mut schema = json!({"type": "record", "name": kind.name, "namespace": "towpath.close"});
    if let Schema::Record(base) = &base
        && let Some(doc) = &base.doc
    {
        schema["doc"] = json!(doc);
    }
    schema["fields"] = Json::Array(fields);
    Ok(schema)
}

/// The fields of a schema that are neither in the base schema nor defined.
pub(super) fn removed<'a>(shape: &Shape, definitions: impl Iterator<Item = &'a Definition>) -> BTreeSet<String> {
    let base = Schema::parse_str(shape.kind.base).ok();
    let own = base.iter().flat_map(fields_of).map(|field| &*field.name);
    let known: HashSet<&str> = own.chain(definitions.map(|definition| &*definition.id)).collect();
    let names = shape.object.fields().iter().map(|field| &field.name);
    names.filter(|name| !known.contains(name.as_str())).cloned().collect()
}

fn widened(known: Option<&RecordField>, wanted: FieldType) -> FieldType {
    match known {
        Some(known) => FieldType::of_field(known).widened(&wanted),
        None => wanted,
    }
}

/// A field that may be null.
fn optional(name: &str, ty: &FieldType, doc: Option<&str>) -> apache_avro::AvroResult<Json> {
    let mut field = Map::new();
    field.insert("name".to_owned(), json!(name));
    field.insert("type".to_owned(), json!(ty.schema()?));
    field.insert("default".to_owned(), Json::Null);
    if ty.is_json() {
        field.insert("connect.name".to_owned(), json!(JSON_TEXT));
    }
    if let Some(doc) = doc.filter(|doc| !doc.is_empty()) {
        field.insert("doc".to_owned(), json!(doc));
    }
    Ok(Json::Object(field))
}

fn fields_of(schema: &Schema) -> &[RecordField] {
    match schema {
        Schema::Record(record) => &record.fields,
        _ => &[],
    }
}

/// Returns true for a name of Avro.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
