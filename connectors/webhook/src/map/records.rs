//! The records of one post, each with its id, its action and its fields.
//!
//! Everything that is wrong is noted on the way, so that one answer has all of it; an event comes out of a record
//! without a note.

use apache_avro::{schema::Schema, types::Value};
use towpath_api::{ChangeEvent, Key, Op, Updates};
use uuid::Uuid;

use super::{Mapper, for_topic, record};
use crate::{
    json::{Json, Members},
    misfit::{Path, Wrong, did_you_mean, expected, quote},
    value::Walk,
};

const ACTIONS: [&str; 3] = ["create", "update", "delete"];

/// The fields of a record as the topic has them.
type After = Vec<(String, Value)>;

/// Something that may be given, and where it is or should be.
#[derive(Clone, Copy)]
pub(super) struct Part<'p> {
    pub(super) json: Option<&'p Json<'p>>,
    pub(super) at: Path<'p>,
}

impl<'p> Part<'p> {
    /// This one where it is given; otherwise it is missed at `at`.
    fn or_at(self, at: Path<'p>) -> Self {
        if self.json.is_some() { self } else { Part { json: None, at } }
    }
}

/// Where the fields of a record are.
pub(super) enum Fields<'p> {
    /// In an object of their own.
    Data(Part<'p>),
    /// In an item, beside its `id` and `action`.
    Inline(&'p Members<'p>, Path<'p>),
}

/// One post on its way.
pub(super) struct Mapping<'m> {
    pub(super) mapper: &'m Mapper,
    /// Looks at values and keeps the notes.
    pub(super) walk: Walk<'m>,
    pub(super) traceparent: Option<&'m str>,
}

impl Mapping<'_> {
    /// The records of an array. What stands beside the array stands in where an item has none of its own.
    pub(super) fn items(
        &mut self,
        items: &[Json<'_>],
        id: Part<'_>,
        action: Part<'_>,
        at: Path<'_>,
    ) -> Vec<ChangeEvent> {
        if items.is_empty() {
            self.walk.wrong.add(&at, Wrong::new("required", "an array must hold at least one record"));
        }
        if id.json.is_some() && items.len() > 1 {
            self.walk.wrong.add(&id.at, Wrong::new("id", "several records cannot share one id; each carries its own"));
        }
        let item = |(index, item): (usize, &Json<'_>)| {
            let at = Path::Index(&at, index);
            let Json::Object(members) = item else {
                self.walk.wrong.add(&at, expected("an object", item));
                return None;
            };
            self.item(members, id, action, at)
        };
        items.iter().enumerate().filter_map(item).collect()
    }

    fn item(&mut self, members: &Members<'_>, id: Part<'_>, action: Part<'_>, at: Path<'_>) -> Option<ChangeEvent> {
        let mut own = |word: &'static str| {
            let mut spelled = members.iter().filter(|(name, _)| name.eq_ignore_ascii_case(word));
            let (name, json) = spelled.next()?;
            for (name, _) in spelled {
                self.walk
                    .wrong
                    .add(&Path::Name(&at, name), Wrong::new("duplicate", "a second spelling of the same field"));
            }
            Some(Part { json: Some(json), at: Path::Name(&at, name) })
        };
        let (own_id, own_action, data) = (own("id"), own("action"), own("data"));
        let id = own_id.unwrap_or_else(|| id.or_at(Path::Name(&at, "id")));
        let action = own_action.unwrap_or_else(|| action.or_at(Path::Name(&at, "action")));
        let Some(data) = data else { return self.event(id, action, &Fields::Inline(members, at)) };
        for (name, _) in members
            .iter()
            .filter(|(name, _)| !["id", "action", "data"].iter().any(|word| name.eq_ignore_ascii_case(word)))
        {
            let message = "beside `data` an item has `id` and `action` only";
            self.walk.wrong.add(&Path::Name(&at, name), Wrong::new("unknown", message));
        }
        self.event(id, action, &Fields::Data(data))
    }

    /// One record; `None` when something in it is wrong, which is then noted.
    pub(super) fn event(&mut self, id: Part<'_>, action: Part<'_>, fields: &Fields<'_>) -> Option<ChangeEvent> {
        let before = self.walk.wrong.total();
        let key = self.key(id);
        let op = self.op(action);
        let (after, changed) = match op {
            Some(Op::Delete) => {
                self.ignore(fields);
                (None, None)
            }
            // After a wrong action the fields are looked at all the same, so that all complaints come at once.
            _ => self.after(op, key.as_ref(), fields),
        };
        let (key, op) = (key?, op?);
        (self.walk.wrong.total() == before).then(|| ChangeEvent {
            object: self.mapper.object.clone(),
            key,
            op,
            after,
            changed,
            version: None,
            event_id: Uuid::now_v7().to_string(),
            source_time_ms: None,
            traceparent: self.traceparent.map(ToOwned::to_owned),
        })
    }

    /// The record as the topic holds it, and for a partial update what it carries.
    fn after(
        &mut self,
        op: Option<Op>,
        key: Option<&Key>,
        fields: &Fields<'_>,
    ) -> (Option<After>, Option<Vec<String>>) {
        let (members, inline, at) = match fields {
            Fields::Inline(members, at) => (*members, true, *at),
            Fields::Data(Part { json: Some(Json::Object(members)), at }) => (members, false, *at),
            Fields::Data(Part { json, at }) => {
                self.walk.wrong.add(at, expected("an object, or an array of objects", json.unwrap_or(&Json::Null)));
                return (None, None);
            }
        };
        let Some(record) = record(&self.mapper.object) else { return (None, None) };
        let is_field = |name: &str| {
            if inline { !name.eq_ignore_ascii_case("id") && !name.eq_ignore_ascii_case("action") } else { name != "id" }
        };
        let given = members.iter().filter(|(name, _)| is_field(name)).map(|(name, json)| (&**name, json));
        let mut present = self.walk.present(record, given, &at);
        if let Some((_, json)) = members.iter().find(|(name, _)| !inline && name == "id") {
            let at = Path::Name(&at, "id");
            let own = self.key(Part { json: Some(json), at });
            if own.is_some() && key.is_some() && own.as_ref() != key {
                self.walk.wrong.add(&at, Wrong::new("id", "differs from the `id` of the record"));
            }
        }
        let updates = self.mapper.object.updates();
        let partial = op == Some(Op::Update) && updates == Updates::Partial;
        let changed: Option<Vec<String>> = partial.then(|| {
            record
                .fields
                .iter()
                .zip(&present)
                .filter(|(_, value)| value.is_some())
                .map(|(field, _)| field.name.clone())
                .collect()
        });
        if changed.as_ref().is_some_and(Vec::is_empty) {
            self.walk.wrong.add(&at, Wrong::new("required", "an update must carry at least one field"));
        }
        let after = record.fields.iter().zip(&mut present).zip(&self.mapper.absent).map(|((field, value), absent)| {
            let value = match value.take() {
                _ if field.name == "id" => key.map_or(Value::Null, |key| id_value(key, &field.schema)),
                Some(value) => for_topic(value, &field.schema, updates),
                None if partial => Value::Union(0, Box::new(Value::Null)),
                None => match absent {
                    Some(value) => value.clone(),
                    None if op.is_some() => self.walk.missing(field, &at),
                    None => Value::Null,
                },
            };
            (field.name.clone(), value)
        });
        (Some(after.collect()), changed)
    }

    /// A delete needs no data; what is there is not looked at as long as it is one record's.
    fn ignore(&mut self, fields: &Fields<'_>) {
        if let Fields::Data(Part { json: Some(json), at }) = fields
            && !matches!(json, Json::Null | Json::Object(_))
        {
            self.walk.wrong.add(at, expected("an object or null", json));
        }
    }

    fn op(&mut self, action: Part<'_>) -> Option<Op> {
        let wrong = match action.json {
            None => Wrong::new("required", "missing `action`: create, update or delete"),
            Some(Json::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "create" => return Some(Op::Create),
                "update" => return Some(Op::Update),
                "delete" => return Some(Op::Delete),
                _ => Wrong::new(
                    "action",
                    format!("expected create, update or delete, got {}{}", quote(text), did_you_mean(text, ACTIONS)),
                ),
            },
            Some(json) => expected("create, update or delete", json),
        };
        self.walk.wrong.add(&action.at, wrong);
        None
    }

    fn key(&mut self, id: Part<'_>) -> Option<Key> {
        let key = match id.json {
            None => Err(Wrong::new("required", "missing `id`")),
            Some(json) => self.mapper.key(json),
        };
        key.map_err(|wrong| self.walk.wrong.add(&id.at, wrong)).ok()
    }
}

fn id_value(key: &Key, schema: &Schema) -> Value {
    match (key, schema) {
        (Key::Long(number), _) => Value::Long(*number),
        (Key::Text(text), Schema::Uuid(_)) => Uuid::try_parse(text).map_or(Value::Null, Value::Uuid),
        (Key::Text(text), _) => Value::String(text.clone()),
    }
}
