//! Values of custom fields in bodies: read by id or by name, single members added and removed, and checked against the
//! fields of the record.

use serde_json::{Map, Value as Json};

use super::{association, schema};
use crate::{
    model::{
        Id, Key, Kind, Record, Refusal, Value,
        input::{self, Input},
        resource::{Resource, Type},
    },
    world::view::View,
};

/// Suffixes that add and remove members of a multi-valued field. They wait in the input under the field's key as
/// `{"add": …}` or `{"remove": …}` until [`merge_members`] sees the present value.
const ADD: &str = "add";
const REMOVE: &str = "remove";

/// The kinds whose records may have values of a field.
pub fn kinds_of(definition: &Record) -> &'static [Kind] {
    match definition.text("object") {
        Some("contact") => &[Kind::Contact],
        Some("opportunity") => &[Kind::Opportunity],
        Some("activity") => &[Kind::CustomActivity],
        Some("custom_object") => &[Kind::CustomObject],
        Some("shared") => &[Kind::Lead, Kind::Contact, Kind::Opportunity, Kind::CustomActivity, Kind::CustomObject],
        _ => &[Kind::Lead],
    }
}

/// The type of new values: during a conversion, the target type.
pub fn type_of(definition: &Record) -> &str {
    definition.text("converting_to_type").or(definition.text("type")).unwrap_or("text")
}

/// Reads every custom field of a body: `custom.cf_…`, and the deprecated `custom.<name>` and `custom: {name: value}`.
/// The id wins if a field is named twice.
pub fn read_all(
    view: &View<'_>,
    resource: &'static Resource,
    body: &Map<String, Json>,
    offset_minutes: i32,
    input: &mut Input,
    errors: &mut Map<String, Json>,
) {
    let nested = body.get("custom").and_then(Json::as_object);
    let nested = nested.into_iter().flatten().map(|(name, json)| (name.as_str(), json));
    let flat = body.iter().filter_map(|(name, json)| Some((name.strip_prefix("custom.")?, json)));
    let mut found = Vec::new();
    for (name, json) in nested.chain(flat) {
        match find(view, resource, name) {
            Some(target) => found.push((target, name, json)),
            None => {
                drop(errors.insert(format!("custom.{name}"), format!("Custom field '{name}' does not exist.").into()));
            }
        }
    }
    found.sort_by_key(|(target, ..)| target.by_id);
    for (target, name, json) in found {
        let key = Key::Custom(target.definition.id);
        let several = target.definition.is("accepts_multiple_values");
        let value = match target.member {
            Some(_) if !several => Err("The field does not accept multiple values.".to_owned()),
            Some(member) => {
                read_at(view, target.definition, json, offset_minutes).map(|value| Value::object([(member, value)]))
            }
            None => read_at(view, target.definition, json, offset_minutes),
        };
        match value {
            Ok(value) => {
                if target.member.is_none() {
                    input.fields.retain(|(other, _)| *other != key);
                }
                input.fields.push((key, value));
            }
            Err(error) => drop(errors.insert(format!("custom.{name}"), error.into())),
        }
    }
}

/// The meaning of a body's key.
struct Target<'v> {
    definition: &'v Record,
    member: Option<&'static str>,
    by_id: bool,
}

fn find<'v>(view: &'v View<'_>, resource: &'static Resource, text: &str) -> Option<Target<'v>> {
    let split = text.rsplit_once('.').and_then(|(text, member)| match member {
        "add" => Some((text, ADD)),
        "remove" => Some((text, REMOVE)),
        _ => None,
    });
    let target = |definition, member, by_id| Target { definition, member, by_id };
    if let Some(definition) = view.custom_field(text) {
        return Some(target(definition, None, true));
    }
    if let Some((text, member)) = split
        && let Some(definition) = view.custom_field(text)
    {
        return Some(target(definition, Some(member), true));
    }
    let kind = Kind::ALL.iter().copied().find(|kind| std::ptr::eq(kind.resource(), resource))?;
    let named = |name: &str| {
        view.all(Kind::CustomField)
            .find(|definition| definition.text("name") == Some(name) && kinds_of(definition).contains(&kind))
    };
    if let Some(definition) = named(text) {
        return Some(target(definition, None, false));
    }
    let (text, member) = split?;
    named(text).map(|definition| target(definition, Some(member), false))
}

/// Turns additions and removals of members into whole values, one after the other.
pub fn merge_members(before: &Record, input: &mut Input) {
    let mut merged: Vec<(Key, Value)> = Vec::with_capacity(input.fields.len());
    for (key, value) in input.fields.drain(..) {
        let part = matches!((key, &value), (Key::Custom(_), Value::Object(_)));
        let earlier = merged.iter().position(|(other, _)| *other == key);
        let value = if part {
            let present = earlier.map(|at| &merged[at].1).or_else(|| before.value(key));
            with_members(present, &value)
        } else {
            value
        };
        match earlier {
            Some(at) => merged[at].1 = value,
            None => merged.push((key, value)),
        }
    }
    input.fields = merged;
}

fn with_members(present: Option<&Value>, part: &Value) -> Value {
    let many = |value: &Value| match value {
        Value::List(items) => items.to_vec(),
        Value::Null => Vec::new(),
        single => vec![single.clone()],
    };
    let mut members = present.map(many).unwrap_or_default();
    if let Some(added) = part.member(ADD) {
        for item in many(added) {
            if !members.contains(&item) {
                members.push(item);
            }
        }
    } else if let Some(removed) = part.member(REMOVE) {
        let removed = many(removed);
        members.retain(|item| !removed.contains(item));
    }
    if members.is_empty() { Value::Null } else { Value::list(members) }
}

/// Reads a value by its definition.
///
/// # Errors
/// The reason why the value is invalid.
pub fn read(view: &View<'_>, definition: &Record, json: &Json) -> Result<Value, String> {
    read_at(view, definition, json, 0)
}

fn read_at(view: &View<'_>, definition: &Record, json: &Json, offset_minutes: i32) -> Result<Value, String> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    if definition.is("accepts_multiple_values") {
        let items = match json {
            Json::Array(items) => items.clone(),
            single => vec![single.clone()],
        };
        let mut read: Vec<Value> = Vec::with_capacity(items.len());
        for item in &items {
            let value = read_single(view, definition, item, offset_minutes)?;
            if value != Value::Null && !read.contains(&value) {
                read.push(value);
            }
        }
        return Ok(if read.is_empty() { Value::Null } else { Value::list(read) });
    }
    read_single(view, definition, json, offset_minutes)
}

fn read_single(view: &View<'_>, definition: &Record, json: &Json, offset_minutes: i32) -> Result<Value, String> {
    let ty = match type_of(definition) {
        "number" => Type::Number,
        "date" => Type::Day,
        "datetime" => Type::Moment,
        "user" => Type::Ref(&[Kind::User]),
        "contact" => Type::Ref(&[Kind::Contact]),
        "custom_object" => Type::Ref(&[Kind::CustomObject]),
        "hidden" if json.is_object() || json.is_array() => return Err("Not a valid value.".to_owned()),
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
    input::read_value(view, ty, json, offset_minutes)
        .map_err(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned))
}

/// Checks the custom fields of a record before it is stored: each belongs to it, contacts and custom objects belong to
/// its lead, and the caller's role may set them; for a new record also that no required field is missing.
///
/// # Errors
/// 400 by field, or 403.
pub fn check_record(view: &View<'_>, record: &Record, before: Option<&Record>) -> Result<(), Refusal> {
    if !record.kind().resource().custom_fields {
        return Ok(());
    }
    let mut errors = Map::new();
    for (key, value) in &record.fields {
        let Key::Custom(id) = key else { continue };
        if before.is_some_and(|before| before.value(*key) == Some(value)) {
            continue;
        }
        let Some(definition) = view.get(*id) else { continue };
        if let Err(error) = fits(view, record, definition, value) {
            errors.insert(format!("custom.{}", view.id_text(*id)), error.into());
        } else if !may_set(view, record, definition) {
            return Err(Refusal::Forbidden(view.switches().forbidden_text.clone()));
        }
    }
    if before.is_none() && record.text("status") != Some("draft") {
        for definition in schema::of_record(view, record) {
            if association::required(definition, record) && record.value(Key::Custom(definition.id)).is_none() {
                errors.insert(format!("custom.{}", view.id_text(definition.id)), "This field is required.".into());
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid { errors: Vec::new(), fields: errors }) }
}

fn fits(view: &View<'_>, record: &Record, definition: &Record, value: &Value) -> Result<(), String> {
    if !association::used(definition, record) {
        return Err(format!("Custom field '{}' is not available on this object.", view.id_text(definition.id)));
    }
    let lead = if record.kind() == Kind::Lead { Some(record.id) } else { record.lead };
    let referenced = definition.id_of("referenced_custom_type_id");
    let mut ids = match value {
        Value::List(items) => items.iter().filter_map(Value::as_id).collect::<Vec<Id>>(),
        single => single.as_id().into_iter().collect(),
    };
    ids.retain(|id| matches!(id.kind(), Kind::Contact | Kind::CustomObject));
    for other in ids.into_iter().filter_map(|id| view.get(id)) {
        if lead.is_some() && other.lead != lead {
            return Err(format!("'{}' does not belong to the lead.", view.id_text(other.id)));
        }
        if other.kind() == Kind::CustomObject
            && referenced.is_some()
            && other.id_of("custom_object_type_id") != referenced
        {
            return Err(format!(
                "'{}' is not of the custom object type that the field refers to.",
                view.id_text(other.id)
            ));
        }
    }
    Ok(())
}

fn may_set(view: &View<'_>, record: &Record, definition: &Record) -> bool {
    let Some(caller) = view.caller else { return true };
    let roles = association::editable_with_roles(definition, record);
    roles.is_empty() || caller.is_admin() || roles.iter().any(|role| role.as_id() == Some(caller.role))
}
