//! The records of one post, each with its id, its action and its fields.
//!
//! Misfits are collected along the way, so that one answer lists them all. Only a record without a misfit becomes an
//! event.

use towpath_api::{ChangeEvent, Key, Op, Updates};
use towpath_mapping::{Contents, Json, Mapper, Mapping, Members, Path, Record, Violation, expected, quote};
use uuid::Uuid;

const ACTIONS: [&str; 3] = ["create", "update", "delete"];

/// A member that may be absent, and its place.
#[derive(Clone, Copy)]
pub(super) struct Part<'p> {
    pub(super) json: Option<&'p Json<'p>>,
    pub(super) at: Path<'p>,
}

impl<'p> Part<'p> {
    /// This part if it is given; otherwise it is missing at `at`.
    fn or_at(self, at: Path<'p>) -> Self {
        if self.json.is_some() { self } else { Part { json: None, at } }
    }
}

/// The place of a record's fields.
pub(super) enum Fields<'p> {
    /// In the member `data`.
    Data(Part<'p>),
    /// In an array item, beside its `id` and `action`.
    Inline(&'p Members<'p>, Path<'p>),
}

/// Maps the records of one post.
pub(super) struct Records<'m> {
    pub(super) mapper: &'m Mapper,
    pub(super) mapping: Mapping<'m>,
    pub(super) traceparent: Option<&'m str>,
}

impl Records<'_> {
    /// Maps the records of an array. `id` and `action` beside the array apply to items without their own.
    pub(super) fn items(
        &mut self,
        items: &[Json<'_>],
        id: Part<'_>,
        action: Part<'_>,
        at: Path<'_>,
    ) -> Vec<ChangeEvent> {
        if items.is_empty() {
            self.mapping.refuse(&at, Violation::new("required", "an array must hold at least one record"));
        }
        if id.json.is_some() && items.len() > 1 {
            let message = "several records cannot share one id; each needs its own";
            self.mapping.refuse(&id.at, Violation::new("id", message));
        }
        let item = |(index, item): (usize, &Json<'_>)| {
            let at = Path::Index(&at, index);
            let Json::Object(members) = item else {
                self.mapping.refuse(&at, expected("an object", item));
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
                let violation = Violation::new("duplicate", "a second spelling of the same field");
                self.mapping.refuse(&Path::Name(&at, name), violation);
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
            self.mapping.refuse(&Path::Name(&at, name), Violation::new("unknown", message));
        }
        self.event(id, action, &Fields::Data(data))
    }

    /// Maps one record; `None` after a misfit, which is reported.
    pub(super) fn event(&mut self, id: Part<'_>, action: Part<'_>, fields: &Fields<'_>) -> Option<ChangeEvent> {
        let before = self.mapping.misfits();
        let key = self.key(id);
        let op = self.op(action);
        let record = match op {
            Some(Op::Delete) => {
                self.ignore(fields);
                None
            }
            // Fields are checked even after an invalid action, so that all misfits are reported at once.
            _ => self.record(op, key.as_ref(), fields),
        };
        let (key, op) = (key?, op?);
        let (after, changed) = record.map_or((None, None), |record| (Some(record.after), record.changed));
        (self.mapping.misfits() == before).then(|| ChangeEvent {
            object: self.mapper.object().clone(),
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

    fn record(&mut self, op: Option<Op>, key: Option<&Key>, fields: &Fields<'_>) -> Option<Record> {
        let (members, inline, at) = match fields {
            Fields::Inline(members, at) => (*members, true, *at),
            Fields::Data(Part { json: Some(Json::Object(members)), at }) => (members, false, *at),
            Fields::Data(Part { json, at }) => {
                let violation = expected("an object, or an array of objects", json.unwrap_or(&Json::Null));
                self.mapping.refuse(at, violation);
                return None;
            }
        };
        let contents = match (op, self.mapper.object().updates()) {
            (None, _) => Contents::Unknown,
            (Some(Op::Update), Updates::Partial) => Contents::Changes,
            (Some(_), _) => Contents::Whole,
        };
        let is_field = |name: &str| {
            if inline { !name.eq_ignore_ascii_case("id") && !name.eq_ignore_ascii_case("action") } else { name != "id" }
        };
        let given = members.iter().filter(|(name, _)| is_field(name)).map(|(name, json)| (&**name, json));
        let record = self.mapping.record(contents, key, given, &at);
        if let Some((_, json)) = members.iter().find(|(name, _)| !inline && name == "id") {
            let at = Path::Name(&at, "id");
            let own = self.mapping.key(json, &at);
            if own.is_some() && key.is_some() && own.as_ref() != key {
                self.mapping.refuse(&at, Violation::new("id", "differs from the `id` of the record"));
            }
        }
        Some(record)
    }

    /// A delete needs no data. Data of one record is ignored; anything else is a misfit.
    fn ignore(&mut self, fields: &Fields<'_>) {
        if let Fields::Data(Part { json: Some(json), at }) = fields
            && !matches!(json, Json::Null | Json::Object(_))
        {
            self.mapping.refuse(at, expected("an object or null", json));
        }
    }

    fn op(&mut self, action: Part<'_>) -> Option<Op> {
        let violation = match action.json {
            None => Violation::new("required", "missing `action`: create, update or delete"),
            Some(Json::Text(text)) => {
                let is = |word: &str| text.eq_ignore_ascii_case(word);
                if let Some(at) = ACTIONS.into_iter().position(is) {
                    return Some([Op::Create, Op::Update, Op::Delete][at]);
                }
                let near = self.mapping.suggest(text, ACTIONS.into_iter());
                let message = format!("expected create, update or delete, got {}{near}", quote(text));
                Violation::new("action", message)
            }
            Some(json) => expected("create, update or delete", json),
        };
        self.mapping.refuse(&action.at, violation);
        None
    }

    fn key(&mut self, id: Part<'_>) -> Option<Key> {
        if let Some(json) = id.json {
            return self.mapping.key(json, &id.at);
        }
        self.mapping.refuse(&id.at, Violation::new("required", "missing `id`"));
        None
    }
}
