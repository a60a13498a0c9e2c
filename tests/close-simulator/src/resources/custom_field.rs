//! Custom fields: definitions for every kind of object, and how values are read from a body (reference, section 5).

use serde_json::{Map, Value as Json};

use crate::http::{Collection, Source};
use crate::model::input::{self, Input};
use crate::model::resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset};
use crate::model::{Id, Key, Kind, Record, Stamps, Value};
use crate::world::change::Change;
use crate::world::view::View;

/// A definition. `object` is stored, not shown: `lead`, `contact`, `opportunity`, `activity`, `custom_object` or `shared`.
pub static CUSTOM_FIELD: Resource = Resource {
    name: "custom_field",
    event: Some(|record| match record.text("object") {
        Some("contact") => "custom_fields.contact",
        Some("opportunity") => "custom_fields.opportunity",
        Some("activity") => "custom_fields.activity",
        Some("custom_object") => "custom_fields.custom_object",
        Some("shared") => "custom_fields.shared",
        _ => "custom_fields.lead",
    }),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("description", Type::Text(280)).writable(),
            Field::stored("type", Type::Text(32)).required(),
            Field::stored("choices", Type::List(&Type::Text(1024))).writable(),
            Field::stored("accepts_multiple_values", Type::Bool).writable().unset(Unset::False),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection {
        holds: |record| record.text("object") == Some("lead"),
        preset: |record| record.set("object", "lead"),
        section: "5.3",
        ..Collection::new("custom_field/lead", &[Kind::CustomField])
    }],
    endpoints: &[],
};

/// Suffixes by which members of a multi-valued field are added and removed; they wait in the input under the field's key as
/// `{"add": …}` or `{"remove": …}` until [`merge_members`] sees the present value.
const ADD: &str = "add";
const REMOVE: &str = "remove";

/// Reads every `custom.cf_…` key of a body.
pub fn read_all(view: &View<'_>, body: &Map<String, Json>, input: &mut Input, errors: &mut Map<String, Json>) {
    for (name, json) in body {
        let Some(rest) = name.strip_prefix("custom.") else { continue };
        let (text, member) = match rest.rsplit_once('.') {
            Some((text, member @ (ADD | REMOVE))) => (text, Some(member)),
            _ => (rest, None),
        };
        let Some(definition) = view.custom_field(text) else {
            errors.insert(name.clone(), format!("Custom field '{text}' does not exist.").into());
            continue;
        };
        match (read(view, definition, json), member) {
            (Ok(value), None) => input.fields.push((Key::Custom(definition.id), value)),
            (Ok(value), Some(ADD)) => input.fields.push((Key::Custom(definition.id), Value::object([(ADD, value)]))),
            (Ok(value), Some(_)) => input.fields.push((Key::Custom(definition.id), Value::object([(REMOVE, value)]))),
            (Err(error), _) => drop(errors.insert(name.clone(), error.into())),
        }
    }
}

/// Turns additions and removals of members into whole values.
pub fn merge_members(before: &Record, input: &mut Input) {
    for (key, value) in &mut input.fields {
        let (Key::Custom(_), Value::Object(_)) = (*key, &*value) else { continue };
        let mut members: Vec<Value> = match before.value(*key) {
            Some(Value::List(items)) => items.to_vec(),
            Some(Value::Null) | None => Vec::new(),
            Some(single) => vec![single.clone()],
        };
        let many = |value: &Value| match value {
            Value::List(items) => items.to_vec(),
            single => vec![single.clone()],
        };
        if let Some(added) = value.member(ADD) {
            for item in many(added) {
                if !members.contains(&item) {
                    members.push(item);
                }
            }
        } else if let Some(removed) = value.member(REMOVE) {
            let removed = many(removed);
            members.retain(|item| !removed.contains(item));
        }
        *value = if members.is_empty() { Value::Null } else { Value::list(members) };
    }
}

/// Reads a value by its definition.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(view: &View<'_>, definition: &Record, json: &Json) -> Result<Value, String> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    if definition.is("accepts_multiple_values") {
        let items = match json {
            Json::Array(items) => items.clone(),
            single => vec![single.clone()],
        };
        let read: Vec<Value> = items.iter().map(|item| read_single(view, definition, item)).collect::<Result<_, _>>()?;
        return Ok(if read.is_empty() { Value::Null } else { Value::list(read) });
    }
    read_single(view, definition, json)
}

fn read_single(view: &View<'_>, definition: &Record, json: &Json) -> Result<Value, String> {
    let ty = match definition.text("type").unwrap_or("text") {
        "number" => Type::Number,
        "date" => Type::Day,
        "datetime" => Type::Moment,
        "user" => Type::Ref(&[Kind::User]),
        "contact" => Type::Ref(&[Kind::Contact]),
        "custom_object" => Type::Ref(&[Kind::CustomObject]),
        "hidden" => Type::Json,
        "choices" => {
            let known = definition.get("choices").map(Value::items).unwrap_or_default();
            return match json.as_str() {
                Some(text) if known.iter().any(|choice| choice.as_text() == Some(text)) => Ok(text.into()),
                _ => Err(format!("{json} is not a valid choice.")),
            };
        }
        _ => Type::Text(usize::MAX),
    };
    input::read_value(view, ty, json, 0).map_err(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned))
}

/// The values of a field whose type was changed have been converted.
pub fn converted(_change: &mut Change<'_>, _id: Id) {}
