//! The advanced query: a tree of JSON (reference, section 2.6), read into a [`Node`] or refused with the position of
//! the error.

use serde_json::{Map, Value as Json};

use super::{
    condition::{Bounds, Condition, Term},
    field::Field,
    moments::{self, Interval},
    order::Order,
    property,
    query::{Node, Query},
    trouble::{Step, Trouble, enumeration},
    types::{self, Target},
    words::{Mode, Words},
};
use crate::{
    model::{Day, Id, Kind, Moment, Record, Value},
    world::view::View,
};

/// Maximum depth of saved searches inside saved searches.
const MAX_DEPTH: usize = 8;

pub struct Reader<'v> {
    /// The view for looking up ids and custom fields.
    pub view: &'v View<'v>,
    /// The start of the caller's days: minutes from UTC.
    pub offset_minutes: i32,
    /// Kinds that `object_type` may name at the top.
    pub returnable: &'v [Kind],
    /// Number of enclosing saved searches.
    pub depth: usize,
}

/// The query of a saved search, which must be visible to the caller.
pub fn saved_search(view: &View<'_>, target: Target, text: &str, offset_minutes: i32, depth: usize) -> Option<Node> {
    let saved = view.parse_id(text).filter(|id| id.kind() == Kind::SmartView).and_then(|id| view.see(id))?;
    if depth >= MAX_DEPTH {
        return None;
    }
    if let Some(json) = tree_of(saved) {
        let reader = Reader { view, offset_minutes, returnable: Kind::ALL, depth: depth + 1 };
        return reader.node(bare(&json), None).ok();
    }
    Some(property::nested(view, target, saved.text("query").unwrap_or_default(), offset_minutes, depth + 1).node)
}

fn tree_of(saved: &Record) -> Option<Json> {
    match saved.get("s_query")? {
        Value::Json(text) => serde_json::from_str(text).ok().filter(|json: &Json| !json.is_null()),
        _ => None,
    }
}

/// The tree of `{"query": …, "sort": …}`, or the tree itself.
pub fn bare(json: &Json) -> &Json {
    match json.get("query") {
        Some(query) if json.get("type").is_none() => query,
        _ => json,
    }
}

impl Reader<'_> {
    /// Reads `query` and `sort` of a body.
    pub fn query(&self, query: Option<&Json>, sort: Option<&Json>) -> Result<Query, Trouble> {
        let Some(query) = query.filter(|json| !json.is_null()) else {
            return Err(Trouble::new("field required").under("query"));
        };
        let node = self.node(query, None).map_err(|trouble| trouble.under("query"))?;
        let orders = match sort {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(sort)) => {
                let kinds = node.kinds(self.returnable);
                let read =
                    |(at, json)| self.order(json, &kinds).map_err(|trouble: Trouble| trouble.within(Step::Item(at)));
                sort.iter().enumerate().map(read).collect::<Result<_, _>>().map_err(|trouble| trouble.under("sort"))?
            }
            Some(_) => return Err(Trouble::new("value is not a valid list").under("sort")),
        };
        Ok(Query { node, orders })
    }

    /// Reads one node; `inside` is the type of a related query.
    pub fn node(&self, json: &Json, inside: Option<Target>) -> Result<Node, Trouble> {
        const TYPES: &[&str] =
            &["and", "or", "object_type", "id", "text", "has_related", "field_condition", "saved_search"];
        let map = object(json)?;
        let node = match word(map, "type", TYPES)? {
            kind @ ("and" | "or") => {
                let read = |(at, json)| {
                    self.node(json, inside).map_err(|trouble| trouble.within(Step::Item(at)).under("queries"))
                };
                let nodes = list(map, "queries")?.iter().enumerate().map(read).collect::<Result<_, _>>()?;
                if kind == "and" { Node::All(nodes) } else { Node::Any(nodes) }
            }
            "object_type" => {
                let target = target(map, "object_type")?;
                let public =
                    matches!(target, Target::Records(kinds) if kinds.iter().any(|kind| self.returnable.contains(kind)));
                if inside.is_none() && !public {
                    let names = self.returnable.iter().map(|kind| types::name_of(*kind));
                    return Err(Trouble::new(enumeration(names)).under("object_type"));
                }
                Node::Type(target)
            }
            "id" => {
                let text = text(map, "value")?;
                self.view.parse_id(text).map_or(Node::Nothing, Node::Id)
            }
            "text" => Node::Words(words(map)?),
            "has_related" => {
                let this = target(map, "this_object_type")?;
                let other = target(map, "related_object_type")?;
                let query = match map.get("related_query") {
                    None | Some(Json::Null) => Node::Every,
                    Some(json) => self.node(json, Some(other)).map_err(|trouble| trouble.under("related_query"))?,
                };
                Node::All(vec![Node::Type(this), Node::Related(other, Box::new(query))])
            }
            "field_condition" => self.field_condition(map, inside)?,
            _ => {
                let text = text(map, "saved_search_id")?;
                saved_search(self.view, inside.unwrap_or(types::LEAD), text, self.offset_minutes, self.depth)
                    .ok_or_else(|| {
                        Trouble::new(format!("Saved search '{text}' was not found.")).under("saved_search_id")
                    })?
            }
        };
        match map.get("negate") {
            None | Some(Json::Null | Json::Bool(false)) => Ok(node),
            Some(Json::Bool(true)) => Ok(Node::Not(Box::new(node))),
            Some(_) => Err(Trouble::new("value could not be parsed to a boolean").under("negate")),
        }
    }

    fn field_condition(&self, map: &Map<String, Json>, inside: Option<Target>) -> Result<Node, Trouble> {
        let (target, field) = self.field(required(map, "field")?).map_err(|trouble| trouble.under("field"))?;
        let condition = self.condition(required(map, "condition")?).map_err(|trouble| trouble.under("condition"))?;
        Ok(match (target, &field) {
            (Some(target), _) => Node::Field(target, field, condition),
            // A custom field determines its own kinds: only their objects have values.
            (None, _) => Node::Field(inside.unwrap_or(Target::Records(Kind::ALL)), field, condition),
        })
    }

    fn field(&self, json: &Json) -> Result<(Option<Target>, Field), Trouble> {
        let map = object(json)?;
        if word(map, "type", &["regular_field", "custom_field"])? == "custom_field" {
            let text = text(map, "custom_field_id")?;
            let Some(definition) = self.view.custom_field(text) else {
                return Err(Trouble::new(format!("Custom field '{text}' does not exist.")).under("custom_field_id"));
            };
            return Ok((None, Field::Custom([definition.id].into())));
        }
        let target = target(map, "object_type")?;
        let name = text(map, "field_name")?;
        match Field::named(self.view, target, name) {
            Some(field) => Ok((Some(target), field)),
            None => {
                Err(Trouble::new(format!("Field '{name}' does not exist on this object type.")).under("field_name"))
            }
        }
    }

    fn condition(&self, json: &Json) -> Result<Condition, Trouble> {
        const TYPES: &[&str] =
            &["boolean", "current_user", "exists", "text", "term", "reference", "number_range", "moment_range"];
        let map = object(json)?;
        Ok(match word(map, "type", TYPES)? {
            "boolean" => match required(map, "value")? {
                Json::Bool(value) => Condition::Flag(*value),
                _ => return Err(Trouble::new("value could not be parsed to a boolean").under("value")),
            },
            "current_user" => Condition::References(self.view.caller.iter().map(|caller| caller.user).collect()),
            "exists" => Condition::Exists,
            "text" => Condition::Text(words(map)?),
            "term" => {
                let read = |(at, json): (usize, &Json)| {
                    let text = match json {
                        Json::String(text) => text.clone(),
                        Json::Number(_) | Json::Bool(_) => json.to_string(),
                        _ => return Err(Trouble::new("str type expected").within(Step::Item(at)).under("values")),
                    };
                    Ok(Term { id: self.view.parse_id(&text), text })
                };
                Condition::Terms(list(map, "values")?.iter().enumerate().map(read).collect::<Result<_, _>>()?)
            }
            "reference" => {
                let read = |(at, json): (usize, &Json)| match json.as_str() {
                    Some(text) => Ok(self.view.parse_id(text)),
                    None => Err(Trouble::new("str type expected").within(Step::Item(at)).under("object_ids")),
                };
                let ids: Vec<Option<Id>> =
                    list(map, "object_ids")?.iter().enumerate().map(read).collect::<Result<_, _>>()?;
                Condition::References(ids.into_iter().flatten().collect())
            }
            "number_range" => {
                let number = |name: &str| match map.get(name) {
                    None | Some(Json::Null) => Ok(None),
                    Some(json) => match json.as_f64() {
                        Some(number) => Ok(Some(number)),
                        None => Err(Trouble::new("value is not a valid number").under(name)),
                    },
                };
                Condition::Numbers(Bounds {
                    gt: number("gt")?,
                    gte: number("gte")?,
                    lt: number("lt")?,
                    lte: number("lte")?,
                })
            }
            _ => {
                let moment = |name: &str| match map.get(name) {
                    None | Some(Json::Null) => Ok(None),
                    Some(json) => self.moment(json).map(Some).map_err(|trouble| trouble.under(name)),
                };
                let within = Interval { from: moment("on_or_after")?, before: moment("before")? };
                Condition::Moments { within, offset_minutes: self.offset_minutes }
            }
        })
    }

    fn moment(&self, json: &Json) -> Result<Moment, Trouble> {
        let map = object(json)?;
        match word(map, "type", &["now", "fixed_utc", "fixed_local_date", "offset"])? {
            "now" => Ok(self.view.world.clock.now()),
            "fixed_utc" => {
                let text = text(map, "value")?;
                Moment::parse(text, 0).ok_or_else(|| Trouble::new("invalid datetime format").under("value"))
            }
            "fixed_local_date" => {
                let text = text(map, "value")?;
                let day = Day::parse(text).ok_or_else(|| Trouble::new("invalid date format").under("value"))?;
                let day = match word(map, "which", &["start", "end"])? {
                    "end" => Day(day.0.saturating_add(1)),
                    _ => day,
                };
                Ok(day.start(self.offset_minutes))
            }
            _ => {
                let back = word(map, "direction", &["past", "future"])? == "past";
                let base = match map.get("moment") {
                    None | Some(Json::Null) => self.view.world.clock.now(),
                    Some(json) => self.moment(json).map_err(|trouble| trouble.under("moment"))?,
                };
                let units = object(required(map, "offset")?).map_err(|trouble| trouble.under("offset"))?;
                let mut span = jiff::Span::new();
                for (unit, count) in units.iter().filter(|(_, count)| !count.is_null()) {
                    let wrong = |message| Trouble::new(message).under(unit).under("offset");
                    let count = count.as_i64().ok_or_else(|| wrong("value is not a valid integer"))?;
                    let count = if back { count.saturating_neg() } else { count };
                    span = moments::with(span, unit, count).ok_or_else(|| wrong("extra fields not permitted"))?;
                }
                moments::moved(base, span, self.offset_minutes)
                    .ok_or_else(|| Trouble::new("date value out of range").under("offset"))
            }
        }
    }

    /// Texts, numbers and dates of the searched type only (reference, section 2.6).
    fn order(&self, json: &Json, kinds: &[Kind]) -> Result<Order, Trouble> {
        let map = object(json)?;
        let descending = match map.get("direction") {
            None | Some(Json::Null) => false,
            _ => word(map, "direction", &["asc", "desc"])? == "desc",
        };
        let json = required(map, "field")?;
        let (target, field) = self.field(json).map_err(|trouble| trouble.under("field"))?;
        let refused = |message: &str| Err(Trouble::new(message).under("field"));
        if let Some(target) = target
            && !matches!(target, Target::Records(of) if of.iter().any(|kind| kinds.contains(kind)))
        {
            return refused("Sorting is only possible by fields of the object type that is searched.");
        }
        if !sortable(self.view, &field, json.get("field_name").and_then(Json::as_str).unwrap_or_default(), kinds) {
            return refused("Sorting is only possible by text, number and date fields.");
        }
        Ok(Order { target: target.unwrap_or(Target::Records(Kind::ALL)), field, descending })
    }
}

fn sortable(view: &View<'_>, field: &Field, name: &str, kinds: &[Kind]) -> bool {
    use crate::model::resource::Type;
    match field {
        Field::Created | Field::Updated => true,
        Field::Stored(_) => kinds.iter().filter_map(|kind| kind.resource().field(name)).all(|field| {
            matches!(
                field.ty,
                Type::Text(_)
                    | Type::Int(..)
                    | Type::Number
                    | Type::Moment
                    | Type::Day
                    | Type::DayOrMoment
                    | Type::Choice(_)
            )
        }),
        // A computed field has no declared type; references are recognized by their names.
        Field::Computed(_) | Field::Named(_) => !name.ends_with("_id") && !name.ends_with('s'),
        Field::Custom(ids) => ids.iter().filter_map(|id| view.get(*id)).all(|definition| {
            !definition.is("accepts_multiple_values")
                && matches!(
                    definition.text("type"),
                    Some("text" | "textarea" | "number" | "date" | "datetime" | "choices") | None
                )
        }),
        _ => false,
    }
}

fn words(map: &Map<String, Json>) -> Result<Words, Trouble> {
    let mode = match map.get("mode") {
        None | Some(Json::Null) => Mode::FullWords,
        _ => match word(map, "mode", &["full_words", "phrase", "beginning_of_words"])? {
            "phrase" => Mode::Phrase,
            "beginning_of_words" => Mode::Beginnings,
            _ => Mode::FullWords,
        },
    };
    Ok(Words::new(text(map, "value")?, mode))
}

fn object(json: &Json) -> Result<&Map<String, Json>, Trouble> {
    json.as_object().ok_or_else(|| Trouble::new("value is not a valid dict"))
}

fn required<'j>(map: &'j Map<String, Json>, name: &str) -> Result<&'j Json, Trouble> {
    map.get(name).filter(|json| !json.is_null()).ok_or_else(|| Trouble::new("field required").under(name))
}

fn text<'j>(map: &'j Map<String, Json>, name: &str) -> Result<&'j str, Trouble> {
    required(map, name)?.as_str().ok_or_else(|| Trouble::new("str type expected").under(name))
}

fn list<'j>(map: &'j Map<String, Json>, name: &str) -> Result<&'j Vec<Json>, Trouble> {
    required(map, name)?.as_array().ok_or_else(|| Trouble::new("value is not a valid list").under(name))
}

fn word<'w>(map: &Map<String, Json>, name: &str, words: &[&'w str]) -> Result<&'w str, Trouble> {
    let text = text(map, name)?;
    let found = words.iter().find(|word| **word == text);
    found.copied().ok_or_else(|| Trouble::new(enumeration(words.iter().copied())).under(name))
}

fn target(map: &Map<String, Json>, name: &str) -> Result<Target, Trouble> {
    let text = text(map, name)?;
    match types::named(text) {
        Some(one) => Ok(one.target),
        None => Err(Trouble::new(enumeration(types::TYPES.iter().map(|one| one.names[0]))).under(name)),
    }
}
