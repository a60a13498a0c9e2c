//! Associations of fields. A field of a kind belongs to that kind, or to one custom type; a shared field belongs to
//! every object that it is associated with, each with its own `required` and `editable_with_roles` (reference, section
//! 5.3).

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::conversion;
use crate::{
    http::{Answer, Endpoint, Exactness, Handler, Request, Source, collection::Deed, object, router},
    model::{Id, Key, Kind, Record, Refusal, Stamps, Value, input, render::write_value, resource::Type},
    world::{change::Change, people::Caller, view::View},
};

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[
        endpoint("POST", "custom_field/shared/{}/association", Handler::Write(create)),
        endpoint("GET", "custom_field/shared/{}/association/{}", Handler::Read(get)),
        endpoint("GET", "custom_field/shared/{}/association/{}/{}", Handler::Read(get)),
        endpoint("PUT", "custom_field/shared/{}/association/{}", Handler::Write(update)),
        endpoint("PUT", "custom_field/shared/{}/association/{}/{}", Handler::Write(update)),
        endpoint("DELETE", "custom_field/shared/{}/association/{}", Handler::Write(delete)),
        endpoint("DELETE", "custom_field/shared/{}/association/{}/{}", Handler::Write(delete)),
    ],
};

const fn endpoint(method: &'static str, path: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method, path, handler, section: "5.3", exactness: Exactness::Inferred }
}

/// Possible targets of an association: the word, the kind of records, and the member with the id of a custom type.
const OBJECTS: &[(&str, Kind, Option<&str>)] = &[
    ("lead", Kind::Lead, None),
    ("contact", Kind::Contact, None),
    ("opportunity", Kind::Opportunity, None),
    ("custom_activity_type", Kind::CustomActivity, Some("custom_activity_type_id")),
    ("custom_object_type", Kind::CustomObject, Some("custom_object_type_id")),
];

/// One association of a shared field.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    object: &'static str,
    kind: Kind,
    of: Option<(&'static str, Id)>,
}

impl Place {
    fn of_record(record: &Record) -> Option<Self> {
        let (object, kind, name) = OBJECTS.iter().find(|(_, kind, _)| *kind == record.kind())?;
        let of = match name {
            Some(name) => Some((*name, record.id_of(name)?)),
            None => None,
        };
        Some(Self { object, kind: *kind, of })
    }

    fn parse(view: &View<'_>, object: &str, of: Option<&str>) -> Result<Self, Refusal> {
        let words: Vec<&str> = OBJECTS.iter().map(|(word, ..)| *word).collect();
        let (object, kind, name) = OBJECTS.iter().find(|(word, ..)| *word == object).ok_or_else(|| {
            Refusal::field("object_type", format!("Not a valid choice. Expected one of: {}.", words.join(", ")))
        })?;
        let Some(name) = *name else { return Ok(Self { object, kind: *kind, of: None }) };
        let text = of.ok_or_else(|| Refusal::field(name, "This field is required."))?;
        let wanted = if *kind == Kind::CustomActivity { Kind::CustomActivityType } else { Kind::CustomObjectType };
        let of = view.parse_id(text).filter(|id| id.kind() == wanted && view.exists(*id));
        let of = of.ok_or_else(|| Refusal::field(name, format!("Object with id '{text}' was not found.")))?;
        Ok(Self { object, kind: *kind, of: Some((name, of)) })
    }

    fn is(self, association: &Value) -> bool {
        association.member("object_type").and_then(Value::as_text) == Some(self.object)
            && self.of.is_none_or(|(name, id)| association.member(name).and_then(Value::as_id) == Some(id))
    }
}

fn associations(definition: &Record) -> &[Value] {
    definition.get("associations").map(Value::items).unwrap_or_default()
}

/// The association of a shared field with a record's kind.
fn with_record<'d>(definition: &'d Record, record: &Record) -> Option<&'d Value> {
    let place = Place::of_record(record)?;
    associations(definition).iter().find(|association| place.is(association))
}

/// Returns true if a record may have a value of a field.
pub fn used(definition: &Record, record: &Record) -> bool {
    let of_type = |name: &'static str| definition.id_of(name).is_none_or(|id| record.id_of(name) == Some(id));
    match (definition.text("object").unwrap_or("lead"), record.kind()) {
        ("shared", _) => with_record(definition, record).is_some(),
        ("lead", Kind::Lead) | ("contact", Kind::Contact) | ("opportunity", Kind::Opportunity) => true,
        ("activity", Kind::CustomActivity) => of_type("custom_activity_type_id"),
        ("custom_object", Kind::CustomObject) => of_type("custom_object_type_id"),
        _ => false,
    }
}

/// Returns true if a record must have a value of a field.
pub fn required(definition: &Record, record: &Record) -> bool {
    match definition.text("object") {
        Some("shared") => {
            with_record(definition, record).and_then(|association| association.member("required"))
                == Some(&Value::Bool(true))
        }
        _ => definition.is("required"),
    }
}

/// The roles that may set a field on a record; empty means all.
pub fn editable_with_roles<'d>(definition: &'d Record, record: &Record) -> &'d [Value] {
    match definition.text("object") {
        Some("shared") => {
            let association = with_record(definition, record);
            association
                .and_then(|association| association.member("editable_with_roles"))
                .map(Value::items)
                .unwrap_or_default()
        }
        _ => definition.get("editable_with_roles").map(Value::items).unwrap_or_default(),
    }
}

/// The association of a shared field with an object, or with one custom type.
pub fn with_object<'d>(definition: &'d Record, object: &str, of: Option<Id>) -> Option<&'d Value> {
    let (word, kind, name) = OBJECTS.iter().find(|(word, ..)| *word == object)?;
    let of = match name {
        Some(name) => Some((*name, of?)),
        None => None,
    };
    let place = Place { object: word, kind: *kind, of };
    associations(definition).iter().find(|association| place.is(association))
}

/// Removes a deleted custom type from shared fields.
pub fn forget_type(change: &mut Change<'_>, of: Id) {
    let shared: Vec<Id> =
        change.whole().all(Kind::CustomField).filter(|field| !associations(field).is_empty()).map(|f| f.id).collect();
    for id in shared {
        change.edit(id, |field| {
            let names = [Key::Name("custom_activity_type_id"), Key::Name("custom_object_type_id")];
            let is_of = |association: &Value| match association {
                Value::Object(members) => {
                    members.iter().any(|(key, value)| names.contains(key) && value.as_id() == Some(of))
                }
                _ => false,
            };
            let left: Vec<Value> =
                associations(field).iter().filter(|association| !is_of(association)).cloned().collect();
            if left.len() != associations(field).len() {
                field.set("associations", Value::list(left));
            }
        });
    }
}

fn create(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let field = found(change, request)?;
    let body = request.json()?;
    let object = body.text("object_type").ok_or_else(|| Refusal::field("object_type", "This field is required."))?;
    let of = body.text("custom_activity_type_id").or(body.text("custom_object_type_id"));
    let place = Place::parse(&change.view(), object, of)?;
    if associations(&field).iter().any(|association| place.is(association)) {
        return Err(Refusal::field("object_type", "The field is associated with this object already."));
    }
    let association = written(&change.view(), place, &Value::object([]), &body.map)?;
    let mut all = associations(&field).to_vec();
    all.push(association.clone());
    change.edit(field.id, |field| field.set("associations", Value::list(all)));
    Ok(shown(&change.whole(), &association, 201))
}

fn get(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let field = shared(view, &request.segments[0])?;
    let place = place(view, request)?;
    let association = associations(field).iter().find(|association| place.is(association));
    Ok(shown(view, association.ok_or_else(|| Refusal::missing(&request.segments[1]))?, 200))
}

fn update(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let field = found(change, request)?;
    let place = place(&change.view(), request)?;
    let mut all = associations(&field).to_vec();
    let at = all.iter().position(|association| place.is(association));
    let at = at.ok_or_else(|| Refusal::missing(&request.segments[1]))?;
    all[at] = written(&change.view(), place, &all[at], &request.json()?.map)?;
    let association = all[at].clone();
    change.edit(field.id, |field| field.set("associations", Value::list(all)));
    Ok(shown(&change.whole(), &association, 200))
}

fn delete(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let field = found(change, request)?;
    let place = place(&change.view(), request)?;
    let left: Vec<Value> = associations(&field).iter().filter(|association| !place.is(association)).cloned().collect();
    if left.len() == associations(&field).len() {
        return Err(Refusal::missing(&request.segments[1]));
    }
    change.edit(field.id, |field| field.set("associations", Value::list(left)));
    conversion::withdraw(change, field.id, &[place.kind], |record| {
        place.of.is_none_or(|(name, id)| record.id_of(name) == Some(id))
    });
    Ok(Answer::empty(204))
}

fn place(view: &View<'_>, request: &Request) -> Result<Place, Refusal> {
    let of = request.segments.get(2).map(String::as_str);
    Place::parse(view, &request.segments[1], of).map_err(|_| Refusal::missing(of.unwrap_or(&request.segments[1])))
}

/// An association with the values of a body.
fn written(view: &View<'_>, place: Place, before: &Value, body: &Map<String, Json>) -> Result<Value, Refusal> {
    let read = |name: &'static str, ty, otherwise: Value| match body.get(name) {
        Some(json) if !json.is_null() => input::read_value(view, ty, json, 0).map_err(|error| Refusal::Invalid {
            errors: Vec::new(),
            fields: [(name.to_owned(), error)].into_iter().collect(),
        }),
        _ => Ok(before.member(name).cloned().unwrap_or(otherwise)),
    };
    let required = read("required", Type::Bool, Value::Bool(false))?;
    let roles = read("editable_with_roles", Type::List(&Type::Ref(&[Kind::Role])), Value::list([]))?;
    let mut members = vec![("object_type", Value::from(place.object))];
    members.extend(place.of.map(|(name, id)| (name, Value::Id(id))));
    members.extend([("required", required), ("editable_with_roles", roles)]);
    Ok(Value::object(members))
}

fn shown(view: &View<'_>, association: &Value, status: u16) -> Answer {
    let mut out = Vec::new();
    write_value(association, view.seed(), Stamps::Offset, &mut out);
    Answer::json_bytes(status, out)
}

fn shared<'v>(view: &'v View<'_>, text: &str) -> Result<&'v Record, Refusal> {
    view.custom_field(text).filter(|field| field.text("object") == Some("shared")).ok_or_else(|| Refusal::missing(text))
}

fn found(change: &Change<'_>, request: &Request) -> Result<Arc<Record>, Refusal> {
    let view = change.view();
    let field = shared(&view, &request.segments[0])?;
    let collection = router::collection("custom_field/shared").expect("it is served");
    if let Some(caller) = &change.actor.caller {
        object::permit(&view, caller, collection, Deed::Update, Some(field))?;
    }
    Ok(Arc::new(field.clone()))
}
