//! The way from a row to the fields of a schema.

use std::collections::HashMap;

use apache_avro::types::Value;
use serde_json::{Map, Value as Json};
use towpath_api::Object;

use super::{Misfits, value};
use crate::{
    catalogue::Kind,
    field_type::{Branch, FieldType},
    moment::Moment,
};

/// The prefix of custom fields in rows.
const CUSTOM: &str = "custom.";
/// The field of what does not fit.
const EXTRA: &str = "_extra";

/// The fields of a schema, prepared for mapping rows.
#[derive(Debug)]
pub(crate) struct Fields {
    kind: &'static Kind,
    names: Vec<String>,
    /// The branches of each field, with their place in the union; no place where a value is written bare.
    branches: Vec<Vec<(Option<u32>, Branch)>>,
    /// The members of a row, by name. Custom fields without their prefix.
    members: HashMap<String, Member>,
    id: usize,
    extra: Option<usize>,
}

/// What becomes of a member of a row.
#[derive(Debug, Clone, Copy)]
enum Member {
    Field(usize),
    Ignored,
    Unknown,
}

impl Fields {
    /// For the schema of `object`.
    pub(crate) fn new(kind: &'static Kind, object: &Object) -> Self {
        let (mut names, mut branches, mut members) = (Vec::new(), Vec::new(), HashMap::new());
        let (mut id, mut extra) = (0, None);
        for (place, field) in object.fields().iter().enumerate() {
            let mut of_field = FieldType::branches(field);
            if let [(union, _)] = of_field.as_mut_slice() {
                *union = None;
            }
            match &*field.name {
                EXTRA => extra = Some(place),
                "id" => {
                    id = place;
                    members.insert("id".to_owned(), Member::Ignored);
                }
                name => drop(members.insert(name.to_owned(), Member::Field(place))),
            }
            names.push(field.name.clone());
            branches.push(of_field);
        }
        members.extend(kind.ignored.iter().map(|name| ((*name).to_owned(), Member::Ignored)));
        Self { kind, names, branches, members, id, extra }
    }

    /// As [`row_id`].
    pub(crate) fn id(&self, row: &Map<String, Json>) -> Option<String> {
        row_id(self.kind, row)
    }

    /// The time of the last change of a row.
    pub(crate) fn updated(&self, row: &Map<String, Json>) -> Option<Moment> {
        Moment::parse(row.get(self.kind.updated?)?.as_str()?)
    }

    /// The record of a row: one value for each field of the schema, in its order.
    pub(crate) fn map(&self, row: &Map<String, Json>, id: &str) -> (Vec<(String, Value)>, Misfits) {
        let mut after: Vec<_> = self.names.iter().map(|name| (name.clone(), Value::Null)).collect();
        after[self.id].1 = Value::String(id.to_owned());
        let mut misfits = Misfits::default();
        let mut extra: Vec<(&str, &Json)> = Vec::new();
        for (name, json) in row {
            // Null says nothing, whether the schema knows the field or not.
            if json.is_null() {
                continue;
            }
            let (own, is_custom) = self.own_name(name);
            match self.member(own, is_custom) {
                Member::Ignored => continue,
                Member::Field(place) => {
                    if let Some(value) = value::value(&self.branches[place], json) {
                        after[place].1 = value;
                        continue;
                    }
                    misfits.mistyped += 1;
                }
                Member::Unknown => misfits.unknown += 1,
            }
            misfits.custom |= is_custom;
            extra.push((own, json));
        }
        if let Some(place) = self.extra.filter(|_| !extra.is_empty()) {
            after[place].1 = Value::String(value::object_text(&extra));
        }
        (after, misfits)
    }

    /// The name of a member in the schema, and whether it is a custom field.
    fn own_name<'a>(&self, name: &'a str) -> (&'a str, bool) {
        match self.kind.custom.and_then(|_| name.strip_prefix(CUSTOM)) {
            Some(own) => (own, true),
            None => (name, false),
        }
    }

    fn member(&self, own: &str, is_custom: bool) -> Member {
        // The older form, by the field's label, which may be that of any other field, repeats the one by its id.
        if is_custom && !is_custom_id(own) {
            return Member::Ignored;
        }
        self.members.get(own).copied().unwrap_or(Member::Unknown)
    }
}

/// The id of a row; made from other fields if the kind has no `id`.
pub(crate) fn row_id(kind: &Kind, row: &Map<String, Json>) -> Option<String> {
    match row.get("id") {
        Some(Json::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(Json::Number(id)) => Some(id.to_string()),
        _ if kind.key.is_empty() => None,
        _ => {
            let parts = kind.key.iter().map(|name| row.get(*name).and_then(Json::as_str));
            parts.collect::<Option<Vec<_>>>().map(|parts| parts.join("/"))
        }
    }
}

/// Returns true for the id of a custom field: `cf_…`, or `lcf_…` and the like for old ones.
fn is_custom_id(name: &str) -> bool {
    let Some((prefix, rest)) = name.split_once('_') else { return false };
    prefix.ends_with("cf")
        && prefix.len() <= 6
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
