//! The definitions of custom fields, as Close lists them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use towpath_api::{Error, Result};

use crate::{
    catalogue::Kind,
    client::{Close, Lane, concerns_one_object},
    field_type::FieldType,
};

/// Rows of a page.
const LIMIT: usize = 100;
/// Pages of a list at most; Close allows far fewer fields.
const PAGES: usize = 1_000;

/// The lists: the kind of objects that have the fields, the path, and the name for people.
const LISTS: [(&str, &str, &str); 5] = [
    ("lead", "custom_field/lead/", "custom fields of lead"),
    ("contact", "custom_field/contact/", "custom fields of contact"),
    ("opportunity", "custom_field/opportunity/", "custom fields of opportunity"),
    ("activity", "custom_field/activity/", "custom fields of custom_activity"),
    ("custom_object", "custom_field/custom_object_type/", "custom fields of custom_object"),
];
/// Fields of several kinds, which no other list has.
const SHARED: (&str, &str) = ("custom_field/shared/", "shared custom fields");

/// The definition of one custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The id, `cf_…`: the name of the field in the schema.
    pub(crate) id: String,
    /// The name that people gave it; it may change.
    pub(crate) label: String,
    /// The type, in Close's words.
    pub(crate) ty: String,
    /// True if values are lists.
    pub(crate) multiple: bool,
    /// The type to which values are being converted; both kinds of values are there meanwhile.
    pub(crate) converting_to: Option<String>,
}

impl Definition {
    /// The type of the field, which is that of its values before and after a conversion.
    pub(super) fn field_type(&self) -> FieldType {
        let present = FieldType::of_type(&self.ty, self.multiple);
        match &self.converting_to {
            Some(next) => present.widened(&FieldType::of_type(next, self.multiple)),
            None => present,
        }
    }

    /// Reads a row of a list; `None` if it has no id or no type.
    pub(crate) fn read(row: &Map<String, Json>) -> Option<Self> {
        let text = |name: &str| row.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Self {
            id: text("id")?,
            label: text("name").unwrap_or_default(),
            ty: text("type")?,
            multiple: row.get("accepts_multiple_values").and_then(Json::as_bool).unwrap_or(false),
            converting_to: text("converting_to_type"),
        })
    }
}

/// The definitions by the kind of objects that have the fields.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    fields: BTreeMap<&'static str, BTreeMap<String, Definition>>,
    pub(super) gaps: Vec<(&'static str, Error)>,
}

impl Definitions {
    /// Reads the lists that `kinds` need.
    ///
    /// # Errors
    /// Those of the client, but for those that concern one list: it is a gap.
    pub(crate) async fn read(close: &Close, kinds: &[&'static Kind]) -> Result<Self> {
        let mut definitions = Self::default();
        let needed = |custom: &str| kinds.iter().any(|kind| kind.custom == Some(custom));
        for (custom, path, name) in LISTS.into_iter().filter(|(custom, ..)| needed(custom)) {
            for row in definitions.list(close, path, name).await? {
                definitions.add(custom, &row);
            }
        }
        if kinds.iter().any(|kind| kind.custom.is_some()) {
            let (path, name) = SHARED;
            for row in definitions.list(close, path, name).await? {
                definitions.add_shared(&row);
            }
        }
        Ok(definitions)
    }

    /// Reads one list; if Close refuses it, a gap, with the rows that were read before.
    async fn list(&mut self, close: &Close, path: &str, name: &'static str) -> Result<Vec<Map<String, Json>>> {
        let (limit, mut skip, mut rows) = (LIMIT.to_string(), 0, Vec::new());
        for _ in 0..PAGES {
            let answer = close.get(Lane::Changes, path, &[("_limit", &limit), ("_skip", &skip.to_string())]).await;
            let mut body = match answer {
                Ok(answer) => answer.body,
                Err(error) if concerns_one_object(&error) => {
                    self.gaps.push((name, error));
                    break;
                }
                Err(error) => return Err(error),
            };
            let Some(Json::Array(data)) = body.remove("data") else { break };
            // A page may be short, or empty, although more follow.
            skip += if data.is_empty() { LIMIT } else { data.len() };
            rows.extend(data.into_iter().filter_map(|row| if let Json::Object(row) = row { Some(row) } else { None }));
            if body.get("has_more").and_then(Json::as_bool) != Some(true) {
                break;
            }
        }
        Ok(rows)
    }

    /// Adds a row of the list of one kind.
    pub(crate) fn add(&mut self, custom: &'static str, row: &Map<String, Json>) {
        if let Some(definition) = Definition::read(row) {
            self.fields.entry(custom).or_default().insert(definition.id.clone(), definition);
        }
    }

    /// Adds a row of the list of shared fields, to each kind that has the field; to all if that is not said.
    pub(crate) fn add_shared(&mut self, row: &Map<String, Json>) {
        let associations = row.get("associations").and_then(Json::as_array);
        let has = |custom: &str| {
            associations.is_none_or(|associations| {
                let mut types = associations.iter().filter_map(|one| one.get("object_type")?.as_str());
                types.any(|ty| {
                    ty == custom
                        || matches!(
                            (ty, custom),
                            ("custom_activity_type", "activity") | ("custom_object_type", "custom_object")
                        )
                })
            })
        };
        for (custom, ..) in LISTS.into_iter().filter(|(custom, ..)| has(custom)) {
            self.add(custom, row);
        }
    }

    /// The fields of an object, by id.
    pub(super) fn of(&self, kind: &Kind) -> impl Iterator<Item = &Definition> + Clone {
        kind.custom.and_then(|custom| self.fields.get(custom)).into_iter().flat_map(BTreeMap::values)
    }
}
