//! Reads a JSON body into the fields of a kind, or reports what is wrong with each field.

use serde_json::{Map, Value as Json};

use super::{
    Day, Id, Kind, Moment, Refusal,
    record::{Key, Record, Value},
    render::{self, Selection},
    resource::{Field, Resource, Type, Write},
};
use crate::{resources::custom_field, world::view::View};

/// The parsed body of a write.
#[derive(Debug, Default)]
pub struct Input {
    /// Fields with their new values; null unsets.
    pub fields: Vec<(Key, Value)>,
    /// `lead_id`, if the body has one.
    pub lead: Option<Id>,
    /// `date_created`, if the kind lets a body set it.
    pub created: Option<Moment>,
}

/// Reads a body. `creating` decides which fields may be set and which are required. Unknown keys are ignored, as in
/// Close.
pub fn read(
    view: &View<'_>,
    resource: &'static Resource,
    body: &Map<String, Json>,
    creating: bool,
    offset_minutes: i32,
) -> Result<Input, Refusal> {
    let mut input = Input::default();
    let mut errors = Map::new();
    for field in resource.fields() {
        let settable = match field.write {
            Write::No => false,
            Write::Yes | Write::Required => true,
            Write::Once | Write::RequiredOnce => creating,
        };
        if !settable {
            continue;
        }
        match body.get(field.name) {
            None | Some(Json::Null) if creating && matches!(field.write, Write::Required | Write::RequiredOnce) => {
                errors.insert(field.name.to_owned(), "This field is required.".into());
            }
            None => {}
            Some(Json::Null) if !field.nullable => {
                errors.insert(field.name.to_owned(), "This field may not be null.".into());
            }
            Some(json) => match read_value(view, field.ty, json, offset_minutes) {
                Ok(value) => match (field.name, &value) {
                    ("lead_id", _) => input.lead = value.as_id(),
                    ("date_created", Value::Moment(at)) => input.created = Some(at.to_millis()),
                    _ => input.fields.push((Key::Name(field.name), value)),
                },
                Err(error) => {
                    errors.insert(field.name.to_owned(), error);
                }
            },
        }
    }
    if resource.custom_fields {
        custom_field::read_all(view, resource, body, offset_minutes, &mut input, &mut errors);
    }
    if errors.is_empty() { Ok(input) } else { Err(Refusal::Invalid { errors: Vec::new(), fields: errors }) }
}

/// Reads a body for an existing record. A field that would be refused, but has the value that the record already shows,
/// is not a change: an object that is posted back whole may name a contact that was deleted since.
///
/// # Errors
/// As [`read`].
pub fn read_again(
    view: &View<'_>,
    record: &Record,
    body: &Map<String, Json>,
    offset_minutes: i32,
) -> Result<(Input, Option<Map<String, Json>>), Refusal> {
    let resource = record.kind().resource();
    let refusal = match read(view, resource, body, false, offset_minutes) {
        Ok(input) => return Ok((input, None)),
        Err(refusal) => refusal,
    };
    let Refusal::Invalid { fields, .. } = &refusal else { return Err(refusal) };
    let mut shown = Vec::new();
    let selection = Selection::Named(fields.keys().cloned().collect());
    render::write(view, record, render::GET, &selection, &mut shown);
    let shown: Map<String, Json> = serde_json::from_slice(&shown).unwrap_or_default();
    let mut rest = body.clone();
    rest.retain(|name, json| !fields.contains_key(name) || shown.get(name) != Some(json));
    if rest.len() == body.len() {
        return Err(refusal);
    }
    Ok((read(view, resource, &rest, false, offset_minutes)?, Some(rest)))
}

/// Reads one value; the error is a text, or Close's nested form for lists and objects.
pub fn read_value(view: &View<'_>, ty: Type, json: &Json, offset_minutes: i32) -> Result<Value, Json> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    match ty {
        Type::Text(max) => match json {
            Json::String(text) if text.chars().count() > max => {
                Err(format!("String value is too long, at most {max} characters are allowed.").into())
            }
            Json::String(text) => Ok(Value::from(text.as_str())),
            _ => Err("Not a valid string.".into()),
        },
        Type::Bool => json.as_bool().map(Value::from).ok_or_else(|| "Not a valid boolean.".into()),
        Type::Int(min, max) => match json.as_i64().or_else(|| json.as_str()?.parse().ok()).or_else(|| whole(json)) {
            None => Err("Not a valid integer.".into()),
            Some(value) if value < min => Err(format!("Value must be greater than or equal to {min}.").into()),
            Some(value) if value > max => Err(format!("Value must be less than or equal to {max}.").into()),
            Some(value) => Ok(value.into()),
        },
        Type::Number => match json {
            Json::Number(number) => Ok(Value::Number(number.clone())),
            _ => Err("Not a valid number.".into()),
        },
        Type::Moment => match json.as_str().and_then(|text| Moment::parse(text, offset_minutes)) {
            Some(at) => Ok(at.into()),
            None => Err("Not a valid datetime.".into()),
        },
        Type::Day => match json.as_str().and_then(Day::parse) {
            Some(day) => Ok(day.into()),
            None => Err("Not a valid date.".into()),
        },
        Type::DayOrMoment => match json.as_str() {
            Some(text) if text.len() == 10 => {
                Day::parse(text).map(Value::from).ok_or_else(|| "Not a valid date.".into())
            }
            Some(text) => {
                Moment::parse(text, offset_minutes).map(Value::from).ok_or_else(|| "Not a valid datetime.".into())
            }
            None => Err("Not a valid date.".into()),
        },
        Type::Choice(words) => match json.as_str() {
            Some(text) if words.contains(&text) => Ok(text.into()),
            _ => Err(format!("Not a valid choice. Expected one of: {}.", words.join(", ")).into()),
        },
        Type::Ref(kinds) => read_reference(view, kinds, json).map(Value::Id),
        Type::List(item) => {
            let Some(items) = json.as_array() else { return Err("Not a valid list.".into()) };
            let mut read = Vec::with_capacity(items.len());
            let mut errors = Map::new();
            for (at, json) in items.iter().enumerate() {
                match read_value(view, *item, json, offset_minutes) {
                    Ok(value) => read.push(value),
                    Err(error) => {
                        let error = if error.is_string() {
                            serde_json::json!({ "errors": [error], "field-errors": {} })
                        } else {
                            error
                        };
                        errors.insert(at.to_string(), error);
                    }
                }
            }
            if errors.is_empty() { Ok(Value::list(read)) } else { Err(serde_json::json!({ "errors": errors })) }
        }
        Type::Object(fields) => read_object(view, fields, json, offset_minutes),
        Type::Json => Ok(Value::json(json)),
    }
}

/// Reads an id of one of these kinds; the object must exist and be visible to the caller.
pub fn read_reference(view: &View<'_>, kinds: &[Kind], json: &Json) -> Result<Id, Json> {
    let Some(text) = json.as_str() else { return Err("Not a valid id.".into()) };
    match view.parse_id(text).filter(|id| kinds.contains(&id.kind()) && view.visible(*id)) {
        Some(id) => Ok(id),
        None => Err(format!("Object with id '{text}' was not found.").into()),
    }
}

fn read_object(view: &View<'_>, fields: &'static [Field], json: &Json, offset_minutes: i32) -> Result<Value, Json> {
    let Some(body) = json.as_object() else { return Err("Not a valid object.".into()) };
    let mut members = Vec::with_capacity(fields.len());
    let mut errors = Map::new();
    for field in fields.iter().filter(|field| field.write != Write::No) {
        let required = matches!(field.write, Write::Required | Write::RequiredOnce);
        match body.get(field.name) {
            None | Some(Json::Null) if required => {
                drop(errors.insert(field.name.to_owned(), "This field is required.".into()));
            }
            None => {}
            Some(json) => match read_value(view, field.ty, json, offset_minutes) {
                Ok(value) => members.push((Key::Name(field.name), value)),
                Err(error) => drop(errors.insert(field.name.to_owned(), error)),
            },
        }
    }
    if errors.is_empty() {
        Ok(Value::Object(members.into()))
    } else {
        Err(serde_json::json!({ "field-errors": errors }))
    }
}

fn whole(json: &Json) -> Option<i64> {
    let value = json.as_f64()?;
    #[allow(clippy::cast_possible_truncation)]
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}
