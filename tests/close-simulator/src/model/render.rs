//! Serializes a record as Close shows it: straight into bytes, noting the range of every field, so that a selection and
//! the difference of two versions need no parsing.

use std::ops::Range;

use super::{
    Id, Kind, Stamps,
    record::{Key, Record, Value},
    resource::{self, Unset},
};
use crate::world::view::View;

/// A record and its surroundings: the input of computed fields.
pub struct Scene<'a> {
    /// The organization as one caller sees it at one moment.
    pub view: &'a View<'a>,
    /// The record to write.
    pub record: &'a Record,
}

/// The destination of a record, which decides which fields are shown: one of the bits of `resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(pub u8);

/// In a list.
pub const LIST: Shape = Shape(resource::LIST);
/// By id.
pub const GET: Shape = Shape(resource::GET);
/// In an event.
pub const EVENT: Shape = Shape(resource::EVENT);
/// For comparison.
pub const TRUTH: Shape = Shape(resource::TRUTH);
/// Inside its lead.
pub const NESTED: Shape = Shape(resource::NESTED);

/// The fields that `_fields` selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    #[default]
    Default,
    All,
    /// These fields; `custom` stands for every custom field.
    Named(Vec<String>),
}

impl Selection {
    /// Parses the comma list of `_fields`.
    pub fn parse(text: &str) -> Self {
        let names: Vec<String> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if names.iter().any(|name| name == "_all") {
            Self::All
        } else if names.is_empty() {
            Self::Default
        } else {
            Self::Named(names)
        }
    }

    fn names(&self, name: &str) -> bool {
        matches!(self, Self::Named(names) if names.iter().any(|n| n == name))
    }

    /// Returns true if a custom field is selected, by `custom.` and its id or name.
    pub(crate) fn wants_custom(&self, text: &str) -> bool {
        match self {
            Self::Default | Self::All => true,
            Self::Named(names) => names.iter().any(|n| n == "custom" || n == text),
        }
    }
}

/// A serialized object and the range of each of its fields.
#[derive(Default)]
pub struct Rendered {
    /// `{…}`.
    pub bytes: Vec<u8>,
    /// Key and value of each member inside `bytes`: `"key":value`.
    pub members: Vec<(Key, Range<usize>)>,
}

impl Rendered {
    /// The members that differ in `newer` or are missing in one of the two, in the order of `newer`.
    pub fn changed(&self, newer: &Self) -> Vec<Key> {
        let mut changed: Vec<Key> = newer
            .members
            .iter()
            .filter(|(key, range)| self.member(*key) != Some(&newer.bytes[range.clone()]))
            .map(|(key, _)| *key)
            .collect();
        changed.extend(self.members.iter().filter(|(key, _)| newer.member(*key).is_none()).map(|(key, _)| *key));
        changed
    }

    /// `"key":value` of a member.
    pub fn member(&self, key: Key) -> Option<&[u8]> {
        self.members.iter().find(|(k, _)| *k == key).map(|(_, range)| &self.bytes[range.clone()])
    }

    /// An object of these members only.
    pub fn pick(&self, keys: &[Key]) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (key, range) in &self.members {
            if keys.contains(key) {
                if out.len() > 1 {
                    out.push(b',');
                }
                out.extend_from_slice(&self.bytes[range.clone()]);
            }
        }
        out.push(b'}');
        out
    }
}

/// Serializes a record with the range of each field.
pub fn rendered(view: &View<'_>, record: &Record, shape: Shape, selection: &Selection) -> Rendered {
    let mut rendered = Rendered::default();
    let Rendered { bytes, members } = &mut rendered;
    write_members(view, record, shape, selection, bytes, |key, range| members.push((key, range)));
    rendered
}

pub fn write(view: &View<'_>, record: &Record, shape: Shape, selection: &Selection, out: &mut Vec<u8>) {
    write_members(view, record, shape, selection, out, |_, _| {});
}

fn write_members(
    view: &View<'_>,
    record: &Record,
    shape: Shape,
    selection: &Selection,
    out: &mut Vec<u8>,
    mut note: impl FnMut(Key, Range<usize>),
) {
    let scene = Scene { view, record };
    let kind = record.kind().resource();
    let seed = view.seed();
    let shape = match shape {
        EVENT if view.switches().nested_in_lead_events => Shape(resource::EVENT | resource::NESTED_IN_EVENT),
        other => other,
    };
    let begin = out.len();
    out.push(b'{');
    for field in kind.fields() {
        let wanted = match selection {
            Selection::Default => field.shown & shape.0 != 0,
            Selection::All => true,
            Selection::Named(_) => selection.names(field.name),
        };
        if !wanted {
            continue;
        }
        let computed;
        let value = if let Some(compute) = field.compute {
            computed = compute(&scene);
            Some(&computed)
        } else {
            record.get(field.name)
        };
        let value = value.filter(|value| **value != Value::Null);
        let absent = match field.unset {
            Unset::Absent => true,
            Unset::Where(has, _) => !has(record),
            _ => false,
        };
        if value.is_none() && absent {
            continue;
        }
        if out.len() > begin + 1 {
            out.push(b',');
        }
        let at = out.len();
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        match (value, field.unset) {
            (Some(value), _) => write_value(value, seed, kind.stamps, out),
            (None, Unset::Null | Unset::Absent) => out.extend_from_slice(b"null"),
            (None, Unset::EmptyList) => out.extend_from_slice(b"[]"),
            (None, Unset::EmptyObject) => out.extend_from_slice(b"{}"),
            (None, Unset::False) => out.extend_from_slice(b"false"),
            (None, Unset::Zero) => out.push(b'0'),
            (None, Unset::Text(text)) => write_text(text, out),
            (None, Unset::Json(json) | Unset::Where(_, json)) => out.extend_from_slice(json.as_bytes()),
        }
        note(Key::Name(field.name), at..out.len());
    }
    if kind.custom_fields {
        let mut custom: Vec<(Id, &Value)> = record
            .fields
            .iter()
            .filter_map(|(key, value)| match key {
                Key::Custom(id) if view.exists(*id) => Some((*id, value)),
                _ => None,
            })
            .collect();
        custom.sort_by_key(|(id, _)| *id);
        for (id, value) in custom {
            let mut name = b"custom.".to_vec();
            id.write(seed, &mut name);
            if !selection.wants_custom(std::str::from_utf8(&name).unwrap_or_default()) {
                continue;
            }
            if out.len() > begin + 1 {
                out.push(b',');
            }
            let at = out.len();
            out.push(b'"');
            out.extend_from_slice(&name);
            out.extend_from_slice(b"\":");
            write_value(value, seed, kind.stamps, out);
            note(Key::Custom(id), at..out.len());
        }
        if shape.0 & (resource::TRUTH) == 0 && *selection != Selection::All && view.switches().deprecated_custom_names {
            view.write_custom_by_name(record, selection, begin, out);
        }
    }
    if shape.0 & resource::TRUTH == 0
        && view.switches().unknown_fields
        && *selection == Selection::Default
        && record.kind() != Kind::Organization
    {
        if out.len() > begin + 1 {
            out.push(b',');
        }
        let at = out.len();
        out.extend_from_slice(b"\"x_unannounced\":{\"of\":\"the future\",\"n\":[1,2.5,null]}");
        note(Key::Name("x_unannounced"), at..out.len());
    }
    out.push(b'}');
}

pub fn write_value(value: &Value, seed: u64, stamps: Stamps, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => serde_json::to_writer(out, number).expect("a number can be written"),
        Value::Text(text) => write_text(text, out),
        Value::Moment(at) => {
            out.push(b'"');
            at.write(stamps, out);
            out.push(b'"');
        }
        Value::Day(day) => {
            out.push(b'"');
            day.write(out);
            out.push(b'"');
        }
        Value::Id(id) => {
            out.push(b'"');
            id.write(seed, out);
            out.push(b'"');
        }
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(item, seed, stamps, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_key(*key, seed, out);
                out.push(b':');
                write_value(member, seed, stamps, out);
            }
            out.push(b'}');
        }
        Value::Json(json) => out.extend_from_slice(json.as_bytes()),
    }
}

/// Appends a key in quotes.
pub fn write_key(key: Key, seed: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    match key {
        Key::Name(name) => out.extend_from_slice(name.as_bytes()),
        Key::Custom(id) => {
            out.extend_from_slice(b"custom.");
            id.write(seed, out);
        }
    }
    out.push(b'"');
}

/// Appends a text in quotes.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("text can be written");
    }
}
