//! Reads values as JSON while they are decoded, for types that contain themselves: no plan and no schema of values
//! could describe all their levels.

use apache_avro::{schema::Schema, types::Value};
use serde_json::{Map, Value as Json};
use towpath_api::json::{branch_name, named, to_json};

use super::semantic::Semantic;
use crate::avro::binary::read::{Malformed, Reader};

/// Returns true if a type contains a reference to itself.
pub(crate) fn is_recursive(schema: &Schema) -> bool {
    match schema {
        Schema::Ref { .. } => true,
        Schema::Record(record) => record.fields.iter().any(|field| is_recursive(&field.schema)),
        Schema::Union(union) => union.variants().iter().any(is_recursive),
        Schema::Array(array) => is_recursive(&array.items),
        Schema::Map(map) => is_recursive(&map.types),
        _ => false,
    }
}

/// Reads one value, in the form of [`to_json`].
///
/// # Errors
/// The bytes do not match the schema or its semantic types, or are nested too often.
pub(crate) fn json(reader: &mut Reader<'_>, schema: &Schema) -> Result<Json, Malformed> {
    Ok(match schema {
        Schema::Ref { name } => reader.nested(name, |reader, definition| json(reader, definition))?,
        Schema::Record(record) => {
            if let Some(semantic) = Semantic::of_record(record) {
                return shown(&semantic.read(reader)?, &semantic.schema());
            }
            reader.count_fields(record.fields.len())?;
            let mut fields = Map::new();
            for field in &record.fields {
                fields.insert(reader.owned(&field.name)?, json(reader, &field.schema)?);
            }
            Json::Object(fields)
        }
        Schema::Union(union) => {
            let branch = reader.branch(union.variants().len())?;
            let value = json(reader, &union.variants()[branch])?;
            named(branch_name(union, branch), value)
        }
        Schema::Array(array) => {
            let mut items = Vec::new();
            loop {
                let count = reader.block(false)?;
                if count == 0 {
                    break Json::Array(items);
                }
                reader.count_values(count)?;
                for _ in 0..count {
                    items.push(json(reader, &array.items)?);
                }
            }
        }
        Schema::Map(map) => {
            let mut entries = Map::new();
            loop {
                let count = reader.block(false)?;
                if count == 0 {
                    break Json::Object(entries);
                }
                reader.count_entries(count)?;
                for _ in 0..count {
                    let key = reader.text()?;
                    entries.insert(reader.owned(key)?, json(reader, &map.types)?);
                }
            }
        }
        leaf => shown(&reader.value(leaf)?, leaf)?,
    })
}

fn shown(value: &Value, schema: &Schema) -> Result<Json, Malformed> {
    to_json(value, schema).map_err(|_| Malformed::OutOfRange)
}
