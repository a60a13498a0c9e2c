//! Stop 3 of the walk: what a post says, as change events. Pure: no clock, no network, no state but fresh event ids.
//!
//! | `data` | means |
//! |---|---|
//! | an object | one record; `id` and `action` stand beside `data` |
//! | an array | one record an item, in their order; `id` and `action` beside `data` stand in where an item has none |
//!
//! An item of an array with a member `data` is an envelope: `id`, `action`, `data`, and nothing else. Without that
//! member its members other than `id` and `action` are the fields of the record. So an object whose schema has a field
//! called `data` or `action` is posted with envelopes. In items these three words are known in any letter case.
//!
//! What always holds: a post is mapped whole or refused whole, and a refusal lists every wrong field.

mod records;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::{
    schema::{RecordSchema, ResolvedSchema, Schema},
    types::Value,
};
use towpath_api::{ChangeEvent, Key, KeyType, Object, Updates};

use self::records::{Fields, Mapping, Part};
use crate::{
    json::{Json, Malformed, as_text, parse},
    misfit::{Misfit, Misfits, Path, Wrong, did_you_mean, expected, quote},
    scalar,
    value::{Names, Walk, absent, default, storable},
    verify::{Field, Post},
};

/// Kafka and Postgres take longer keys; nobody has them.
const MAX_ID: usize = 512;
const ENVELOPE: [&str; 6] = ["clientid", "clientSecret", "objectname", "id", "data", "action"];

/// Why a post makes no events.
#[derive(Debug)]
pub(crate) enum Unmapped {
    /// The envelope lacks a field or has one that no envelope has.
    Envelope(Vec<Misfit>),
    /// A field passes a limit, or repeats a name within one object.
    Malformed(Malformed),
    /// No such object is agreed; with the nearest name that is.
    UnknownObject { name: String, near: String },
    /// The data does not fit the agreed schema.
    Schema { object: String, events: usize, misfits: Misfits },
}

/// Maps `post` by the agreed schema of its object.
pub(crate) fn map(
    post: &Post<'_>,
    mappers: &BTreeMap<String, Mapper>,
    traceparent: Option<&str>,
) -> Result<Vec<ChangeEvent>, Unmapped> {
    let name = check_envelope(post)?;
    let Some(mapper) = mappers.get(&name) else {
        let near = did_you_mean(&name, mappers.keys().map(String::as_str));
        return Err(Unmapped::UnknownObject { name, near });
    };
    mapper.events(post, traceparent)
}

/// Checks that the fields of the envelope are there and nothing else is; returns the object's name.
fn check_envelope(post: &Post<'_>) -> Result<String, Unmapped> {
    let mut misfits = Misfits::default();
    for name in &post.unknown {
        let near = did_you_mean(name, ENVELOPE);
        misfits.add(
            &Path::Name(&Path::Root, name),
            Wrong::new("unknown", format!("no field of an envelope: {}{near}", quote(name))),
        );
    }
    let is_array = post.data.as_ref().is_some_and(|data| data.json.get().starts_with('['));
    let is_delete =
        post.action.as_ref().and_then(|action| as_text(action.json)).is_some_and(|a| a.eq_ignore_ascii_case("delete"));
    let needed = [
        ("objectname", post.object.is_none()),
        ("id", post.id.is_none() && !is_array),
        ("action", post.action.is_none() && !is_array),
        ("data", post.data.is_none() && !is_delete),
    ];
    for (name, _) in needed.into_iter().filter(|(_, missing)| *missing) {
        misfits.add(&Path::Name(&Path::Root, name), Wrong::new("required", "missing required field of the envelope"));
    }
    let name = post.object.as_ref().map(|field| (field, as_text(field.json)));
    if let Some((field, None)) = &name {
        misfits.add(&Path::Name(&Path::Root, &field.name), Wrong::new("type", "expected a string"));
    }
    match name {
        Some((_, Some(name))) if misfits.total() == 0 => Ok(name.into_owned()),
        _ => Err(Unmapped::Envelope(misfits.into_listed())),
    }
}

/// Maps posts of one object.
#[derive(Debug)]
pub(crate) struct Mapper {
    object: Arc<Object>,
    names: Names,
    /// What each field is in the topic when a whole record lacks it; `None` where it must not.
    absent: Vec<Option<Value>>,
}

impl Mapper {
    /// Prepares the schema of `object`; an error says why its records cannot be given in JSON.
    pub(crate) fn new(object: Object) -> Result<Self, String> {
        let resolved = ResolvedSchema::new(object.schema()).map_err(|error| error.to_string())?;
        let names: Names =
            resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
        for schema in names.values().chain([object.schema()]) {
            if let Schema::Record(record) = schema {
                check_record(record, &names)?;
            }
        }
        let fields = record(&object).map(|record| record.fields.iter()).unwrap_or_default();
        let absent = fields
            .map(|field| {
                let value = absent(field, &names).filter(|_| field.name != "id")?;
                Some(for_topic(value, &field.schema, object.updates()))
            })
            .collect();
        Ok(Self { object: Arc::new(object), names, absent })
    }

    pub(crate) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    fn events(&self, post: &Post<'_>, traceparent: Option<&str>) -> Result<Vec<ChangeEvent>, Unmapped> {
        let (id, action, data) = (
            Parsed::of(post.id.as_ref(), "id")?,
            Parsed::of(post.action.as_ref(), "action")?,
            Parsed::of(post.data.as_ref(), "data")?,
        );
        let mut mapping = Mapping { mapper: self, walk: Walk::new(&self.names), traceparent };
        let (events, expected) = match &data.json {
            Some(Json::Array(items)) => {
                (mapping.items(items, id.part(), action.part(), data.part().at), items.len().max(1))
            }
            _ => (mapping.event(id.part(), action.part(), &Fields::Data(data.part())).into_iter().collect(), 1),
        };
        let misfits = mapping.walk.wrong;
        if misfits.total() > 0 {
            return Err(Unmapped::Schema { object: self.object.name().to_owned(), events: expected, misfits });
        }
        Ok(events)
    }
}

/// A field of the envelope, read.
struct Parsed<'a> {
    name: &'a str,
    json: Option<Json<'a>>,
}

impl<'a> Parsed<'a> {
    fn of(field: Option<&'a Field<'a>>, name: &'a str) -> Result<Self, Unmapped> {
        let Some(field) = field else { return Ok(Self { name, json: None }) };
        Ok(Self {
            name: &field.name,
            json: Some(parse(field.json).map_err(|malformed| Unmapped::Malformed(malformed.after(field.at)))?),
        })
    }

    fn part(&self) -> Part<'_> {
        Part { json: self.json.as_ref(), at: Path::Name(&Path::Root, self.name) }
    }
}

impl Mapper {
    /// An id is a string or an integer; whichever the object is keyed by, the other is taken where it says exactly the
    /// same.
    fn key(&self, json: &Json<'_>) -> Result<Key, Wrong> {
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

    fn text_key(&self, text: &str) -> Result<Key, Wrong> {
        if text.is_empty() {
            return Err(Wrong::new("id", "an id must not be empty"));
        }
        if text.len() > MAX_ID {
            return Err(Wrong::new("id", format!("an id has at most {MAX_ID} bytes")));
        }
        let id = record(&self.object).and_then(|record| record.fields.iter().find(|field| field.name == "id"));
        match id.map(|field| &field.schema) {
            // One UUID is one key, however its letters are written.
            Some(Schema::Uuid(_)) => scalar::uuid(text).map(|uuid| Key::Text(uuid.to_string())),
            _ => storable(text).map(|text| Key::Text(text.to_owned())),
        }
    }
}

/// A value of the agreed schema as one of [`Object::value_schema`], where `null` comes first in each field but `id`.
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

/// The agreed schema, which is a record by the contract of [`Object`].
fn record(object: &Object) -> Option<&RecordSchema> {
    match object.schema() {
        Schema::Record(record) => Some(record),
        _ => None,
    }
}

/// Checks that defaults can be used and that each type can be given in JSON.
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
