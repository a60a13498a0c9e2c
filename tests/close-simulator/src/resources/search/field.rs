//! A property of an object as queries and orders name it, and its values.

use serde_json::Value as Json;

use super::types::{Subject, Target};
use crate::{
    model::{Id, Key, Kind, Value, render::Scene, resource::Compute},
    world::view::View,
};

/// The source of a property's values.
#[derive(Clone)]
pub enum Field {
    Id,
    Lead,
    /// `date_created`.
    Created,
    /// `date_updated`.
    Updated,
    /// `created_by`.
    Author,
    /// `updated_by`.
    Editor,
    /// A stored field.
    Stored(&'static str),
    /// A field that is computed on reading.
    Computed(Compute),
    /// A field of several kinds, looked up in each object's own kind.
    Named(&'static str),
    /// A member of a list's entry.
    Member(&'static str),
    /// Custom fields: several if a name is not unique.
    Custom(Box<[Id]>),
    /// The number of objects of a type.
    Count(Target),
}

impl Field {
    /// The property of this name of a type's objects, as the API spells it; custom fields as `custom.cf_…` or
    /// `custom.NAME`.
    pub fn named(view: &View<'_>, target: Target, name: &str) -> Option<Self> {
        let kinds = match target {
            Target::Part(part) => {
                return part.members().iter().find(|member| **member == name).map(|member| Self::Member(member));
            }
            Target::Records(kinds) => kinds,
        };
        if let Some(text) = name.strip_prefix("custom.") {
            return Self::custom(view, text);
        }
        Some(match name {
            "id" => Self::Id,
            "lead_id" if kinds == [Kind::Lead] => Self::Id,
            "lead_id" => Self::Lead,
            "date_created" => Self::Created,
            "date_updated" => Self::Updated,
            "created_by" => Self::Author,
            "updated_by" => Self::Editor,
            _ => {
                let field = kinds.iter().find_map(|kind| kind.resource().field(name))?;
                match (kinds, field.compute) {
                    ([_], Some(compute)) => Self::Computed(compute),
                    ([_], None) => Self::Stored(field.name),
                    _ => Self::Named(field.name),
                }
            }
        })
    }

    /// A custom field by id or, ignoring case, by name.
    pub fn custom(view: &View<'_>, text: &str) -> Option<Self> {
        if let Some(definition) = view.custom_field(text) {
            return Some(Self::Custom([definition.id].into()));
        }
        let same = |name: &str| name.chars().flat_map(char::to_lowercase).eq(text.chars().flat_map(char::to_lowercase));
        let ids: Vec<Id> = view
            .all(Kind::CustomField)
            .filter(|field| field.text("name").is_some_and(same))
            .map(|field| field.id)
            .collect();
        (!ids.is_empty()).then(|| Self::Custom(ids.into()))
    }

    /// Calls `visit` for each single value, list items one by one, until it returns true; returns whether it did. Unset
    /// values are skipped.
    pub fn any<'v>(&self, view: &'v View<'_>, subject: Subject<'v>, visit: &mut dyn FnMut(&Value) -> bool) -> bool {
        let record = subject.record();
        match self {
            Field::Id => visit(&record.id.into()),
            Field::Lead => record.lead.is_some_and(|id| visit(&id.into())),
            Field::Created => visit(&record.created.into()),
            Field::Updated => visit(&record.updated.into()),
            Field::Author => record.author.is_some_and(|id| visit(&id.into())),
            Field::Editor => record.editor.is_some_and(|id| visit(&id.into())),
            Field::Stored(name) => record.get(name).is_some_and(|value| each(value, visit)),
            Field::Computed(compute) => each(&compute(&Scene { view, record }), visit),
            Field::Named(name) => match record.kind().resource().field(name).and_then(|field| field.compute) {
                Some(compute) => each(&compute(&Scene { view, record }), visit),
                None => record.get(name).is_some_and(|value| each(value, visit)),
            },
            Field::Member(name) => match subject {
                Subject::Part(_, _, entry) => entry.member(name).is_some_and(|value| each(value, visit)),
                Subject::Record(_) => false,
            },
            Field::Custom(ids) => {
                ids.iter().any(|id| record.value(Key::Custom(*id)).is_some_and(|value| each(value, visit)))
            }
            Field::Count(target) => visit(&(target.count(view, subject) as i64).into()),
        }
    }
}

fn each(value: &Value, visit: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Null => false,
        Value::List(items) => items.iter().any(|item| each(item, visit)),
        // Hidden fields hold JSON of any form.
        Value::Json(json) => match serde_json::from_str(json) {
            Ok(Json::Array(items)) => items.iter().any(|item| each(&scalar(item), visit)),
            Ok(single) => each(&scalar(&single), visit),
            Err(_) => false,
        },
        single => visit(single),
    }
}

fn scalar(json: &Json) -> Value {
    match json {
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => text.as_str().into(),
        _ => Value::Null,
    }
}
