//! One change of the organization: every write goes through here, so that each leaves the trace that Close leaves.
//!
//! What a caller asks for (`create`, `revise`, `delete`) runs the kind's laws around what is stored (`insert`, `update`, `touch`,
//! `remove`), and these write history and events. All that happens in one change has one moment and one request id.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::events::{Event, Members, join};
use super::people::{Caller, Credential};
use super::view::View;
use super::{Switches, World};
use crate::model::input;
use crate::model::render::{self, Rendered, Selection};
use crate::model::{Id, Key, Kind, Moment, Record, Refusal, Value};

/// A JSON object that a caller sent, with how it is to be read.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The members.
    pub map: Map<String, Json>,
    /// The caller's offset from UTC, from `x-tz-offset`.
    pub offset_minutes: i32,
}

impl Body {
    /// A member, null read as absent.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A member that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Json::as_str)
    }
}

/// Who changes something, and what goes into the events' `meta`.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// The caller; `None` for the system.
    pub caller: Option<Caller>,
    /// The user that is written down as author: the caller's, or one that a background job acts for.
    pub user: Option<Id>,
    /// The request, made when the first event needs it.
    pub request: Option<Id>,
    /// As `PUT`.
    pub method: Option<String>,
    /// As `/api/v1/lead/lead_…/`.
    pub path: Option<String>,
    /// Further members of `meta`: `bulk_action_id`, `merge_source_lead_id`, …
    pub meta: Vec<(&'static str, Id)>,
    /// No events at all: a customer-invisible change (reference, section 6.7).
    pub invisible: bool,
}

impl Actor {
    /// Nobody in particular: clocks and background work.
    pub fn system() -> Self {
        Self::default()
    }

    /// A user without a request: generated changes.
    pub fn user(user: Id) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// A caller with its request.
    pub fn caller(caller: Caller, method: &str, path: &str) -> Self {
        Self {
            user: Some(caller.user),
            caller: Some(caller),
            method: Some(method.to_owned()),
            path: Some(path.to_owned()),
            ..Self::default()
        }
    }
}

/// Fields that say when and by whom an object was changed, whatever changed.
const VERSION: [&str; 5] = ["date_updated", "updated_at", "updated_by", "updated_by_id", "updated_by_name"];

type ExtraMeta = Vec<(&'static str, Id)>;

/// A change under way.
pub struct Change<'w> {
    /// What is changed. Change objects through the methods here, never in the store.
    pub world: &'w mut World,
    /// By whom.
    pub actor: Actor,
    now: Moment,
    /// The `meta` of the last event with the members that went into it, shared by the events of one change.
    meta: Option<(ExtraMeta, Arc<[u8]>)>,
}

impl<'w> Change<'w> {
    /// Begins a change now.
    pub fn begin(world: &'w mut World, actor: Actor) -> Self {
        let now = world.clock.now();
        Self { world, actor, now, meta: None }
    }

    /// The moment of the change, the same from beginning to end.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The organization as the actor sees it.
    pub fn view(&self) -> View<'_> {
        View::now(self.world).for_caller(self.actor.caller.as_ref())
    }

    /// The organization without anything hidden.
    pub fn whole(&self) -> View<'_> {
        View::now(self.world)
    }

    /// The present version of an object.
    pub fn get(&self, id: Id) -> Option<Arc<Record>> {
        self.world.store.get(id).cloned()
    }

    /// A fresh record of a kind, by the actor, now.
    pub fn record(&mut self, kind: Kind) -> Record {
        let id = self.world.next_id(kind);
        Record { author: self.actor.user, editor: self.actor.user, ..Record::new(id, self.now) }
    }

    /// Creates an object from a body: validates, runs the laws, stores, tells.
    pub fn create(&mut self, kind: Kind, body: &Body) -> Result<Id, Refusal> {
        self.create_with(kind, body, |_| {})
    }

    /// As [`Change::create`], with something set before the laws run.
    pub fn create_with(&mut self, kind: Kind, body: &Body, preset: impl FnOnce(&mut Record)) -> Result<Id, Refusal> {
        let resource = kind.resource();
        let reworded = (resource.laws.reword)(&self.view(), body)?;
        let body = reworded.as_ref().unwrap_or(body);
        let mut input = input::read(&self.view(), resource, &body.map, true, body.offset_minutes)?;
        let mut record = self.record(kind);
        crate::resources::custom_field::merge_members(&record, &mut input);
        record.lead = input.lead;
        if let Some(created) = input.created {
            record.created = created;
        }
        for (key, value) in input.fields {
            record.put(key, value);
        }
        preset(&mut record);
        crate::resources::custom_field::check_record(&self.view(), &record, None)?;
        (resource.laws.prepare)(self, &mut record, body)?;
        let id = self.insert(record);
        (resource.laws.created)(self, id, body)?;
        Ok(id)
    }

    /// Changes an object as a body says: validates, runs the laws, stores, tells. A body that changes nothing leaves no trace.
    pub fn revise(&mut self, id: Id, body: &Body) -> Result<(), Refusal> {
        let before = self.get(id).ok_or_else(|| Refusal::missing_id(id, self.world.seed))?;
        let resource = id.kind().resource();
        let reworded = (resource.laws.reword)(&self.view(), body)?;
        let body = reworded.as_ref().unwrap_or(body);
        let (mut input, rest) = input::read_again(&self.view(), &before, &body.map, body.offset_minutes)?;
        let rest = rest.map(|map| Body { map, offset_minutes: body.offset_minutes });
        let body = rest.as_ref().unwrap_or(body);
        crate::resources::custom_field::merge_members(&before, &mut input);
        let mut after = Record::clone(&before);
        let keys: Vec<Key> = input.fields.iter().map(|(key, _)| *key).collect();
        for (key, value) in input.fields {
            after.put(key, value);
        }
        self.keep_what_is_written_alike(&before, &mut after, &keys);
        crate::resources::custom_field::check_record(&self.view(), &after, Some(&before))?;
        (resource.laws.revise)(self, &before, &mut after, body)?;
        if after == *before {
            return (resource.laws.updated)(self, &before, id, body);
        }
        self.update(after);
        (resource.laws.updated)(self, &before, id, body)
    }

    /// A field that is set to what it showed already keeps its stored form, so that an object posted back whole changes nothing: `false`
    /// where nothing was stored, or a moment that was computed.
    fn keep_what_is_written_alike(&self, before: &Record, after: &mut Record, keys: &[Key]) {
        if after == before {
            return;
        }
        let name = |key: &Key| match key {
            Key::Name(name) => Some((*name).to_owned()),
            Key::Custom(_) => None,
        };
        let selection = Selection::Named(keys.iter().filter_map(name).collect());
        let [old, new] = [before, after].map(|record| render::rendered(&self.whole(), record, render::GET, &selection));
        for (key, _) in &old.members {
            if old.member(*key) == new.member(*key) {
                after.put(*key, before.value(*key).cloned().unwrap_or(Value::Null));
            }
        }
    }

    /// Deletes an object as a caller asks for it, with what goes with it.
    pub fn delete(&mut self, id: Id) -> Result<(), Refusal> {
        let record = self.get(id).ok_or_else(|| Refusal::missing_id(id, self.world.seed))?;
        let laws = &id.kind().resource().laws;
        (laws.deleting)(self, &record)?;
        self.remove(id);
        (laws.deleted)(self, &record)
    }

    /// Stores a new object and tells of it. No laws.
    pub fn insert(&mut self, record: Record) -> Id {
        let id = record.id;
        let after = Arc::new(record);
        self.world.store.put(Arc::clone(&after));
        let number = self.note(None, Some(Arc::clone(&after)));
        if let Some(object_type) = self.event_type(&after) {
            let data = self.rendered(&after).bytes;
            self.tell(number, object_type, &after, "created", Vec::new(), Some(data.into()), Vec::new(), None);
        }
        id
    }

    /// Stores a new version, dated now and by the actor, and tells what changed. No laws. The id must exist.
    pub fn update(&mut self, mut after: Record) {
        after.updated = self.now.max(after.updated);
        after.editor = self.actor.user.or(after.editor);
        self.update_undated(after);
    }

    /// As [`Change::update`], but with `date_updated` and `updated_by` as the version has them.
    pub fn update_undated(&mut self, after: Record) {
        let Some(before) = self.get(after.id) else { return };
        let old = if self.event_type(&after).is_some() { self.rendered(&before) } else { Rendered::default() };
        self.update_seen(after, &old);
    }

    /// As [`Change::update_undated`], against the object as it was shown before the change began: for fields that are computed from
    /// others which have changed already, as a lead's `contact_ids`.
    pub fn update_seen(&mut self, after: Record, old: &Rendered) {
        let Some(before) = self.get(after.id) else { return };
        let after = Arc::new(after);
        self.world.store.put(Arc::clone(&after));
        let Some(object_type) = self.event_type(&after) else {
            self.note(Some(before), Some(after));
            return;
        };
        let new = self.rendered(&after);
        let changed = old.changed(&new);
        if changed.iter().all(|key| matches!(key, Key::Name(name) if VERSION.contains(name))) {
            // Nothing that anybody sees: no event, and so no later version either.
            let kept = Arc::new(Record { updated: before.updated, editor: before.editor, ..Record::clone(&after) });
            self.world.store.put(Arc::clone(&kept));
            if kept != before {
                self.note(Some(before), Some(kept));
            }
        } else {
            let number = self.note(Some(before), Some(Arc::clone(&after)));
            let previous = changed.iter().filter_map(|key| Some((*key, Arc::from(old.member(*key)?)))).collect();
            self.tell(number, object_type, &after, "updated", changed, Some(new.bytes.into()), previous, None);
        }
    }

    /// Changes some fields of an object and tells what changed. No laws; nothing when it does not exist or nothing differs.
    pub fn edit(&mut self, id: Id, edit: impl FnOnce(&mut Record)) {
        let Some(before) = self.get(id) else { return };
        let mut after = Record::clone(&before);
        edit(&mut after);
        if after != *before {
            self.update(after);
        }
    }

    /// Stores a new version and tells nobody: denormalised values, purges, invisible migrations. `date_updated` as the version has it.
    pub fn alter_silently(&mut self, after: Record) {
        let Some(before) = self.get(after.id) else { return };
        if *before == after {
            return;
        }
        let after = Arc::new(after);
        self.world.store.put(Arc::clone(&after));
        self.note(Some(before), Some(after));
    }

    /// Moves `date_updated` and tells nobody: a lead whose children change (reference, section 12, item 17).
    pub fn touch(&mut self, id: Id) {
        if let Some(before) = self.get(id)
            && before.updated < self.now
        {
            let after = Record { updated: self.now, ..Record::clone(&before) };
            self.alter_silently(after);
        }
    }

    /// Removes an object and tells of it, with everything it held. No laws.
    pub fn remove(&mut self, id: Id) {
        let Some(before) = self.get(id) else { return };
        let previous = self.event_type(&before).map(|object_type| (object_type, self.rendered(&before).bytes));
        self.world.store.remove(id);
        let number = self.note(Some(Arc::clone(&before)), None);
        if let Some((object_type, previous)) = previous {
            self.tell(number, object_type, &before, "deleted", Vec::new(), None, Vec::new(), Some(previous.into()));
        }
    }

    /// Removes objects that go together, in this order. Each is told with what it held while all of them were there.
    pub fn remove_together(&mut self, ids: &[Id]) {
        let told: Vec<_> = ids
            .iter()
            .filter_map(|id| self.get(*id))
            .map(|before| {
                let previous = self.event_type(&before).map(|object_type| (object_type, self.rendered(&before).bytes));
                (before, previous)
            })
            .collect();
        for (before, previous) in told {
            self.world.store.remove(before.id);
            let number = self.note(Some(Arc::clone(&before)), None);
            if let Some((object_type, previous)) = previous {
                self.tell(number, object_type, &before, "deleted", Vec::new(), None, Vec::new(), Some(previous.into()));
            }
        }
    }

    /// Removes an object and tells nobody.
    pub fn remove_silently(&mut self, id: Id) {
        if let Some(before) = self.world.store.remove(id) {
            self.note(Some(before), None);
        }
    }

    /// Tells of an action beside creation, update and deletion, as `completed` or `sent`, with the object as it now is.
    pub fn emit(&mut self, id: Id, action: &'static str) {
        self.emit_changed(id, action, Vec::new(), Vec::new());
    }

    /// As [`Change::emit`], naming what changed with it and the old values (`"key":value`).
    pub fn emit_changed(&mut self, id: Id, action: &'static str, changed: Vec<Key>, previous: Vec<(Key, Arc<[u8]>)>) {
        let Some(record) = self.get(id) else { return };
        let Some(object_type) = self.event_type(&record) else { return };
        let data = self.rendered(&record).bytes;
        let number = self.world.history.last();
        self.tell(number, object_type, &record, action, changed, Some(data.into()), previous, None);
    }

    /// Writes any event, for what is no object of the store or has another object than its data.
    pub fn emit_raw(
        &mut self,
        object_type: &'static str,
        object: Id,
        lead: Option<Id>,
        action: &'static str,
        data: Option<Arc<[u8]>>,
    ) {
        let number = self.world.history.last();
        let event = self.event(object_type, object, lead, action, data);
        self.put_event(number, event, Members::new());
    }

    /// Puts work off.
    pub fn schedule(&mut self, at: Moment, job: super::jobs::Job) {
        self.world.jobs.schedule(at, job);
    }

    /// Refuses an actor whose caller lacks a permission (reference, section 9.2); the system itself may do everything.
    pub fn require(&self, permission: &str) -> Result<(), Refusal> {
        match &self.actor.caller {
            Some(caller) if !caller.may(permission) => Err(Refusal::Forbidden(self.world.switches.forbidden_text.clone())),
            _ => Ok(()),
        }
    }

    /// The request id of this change, made at the first call.
    pub fn request(&mut self) -> Id {
        if let Some(request) = self.actor.request {
            return request;
        }
        let request = self.world.next_id(Kind::Request);
        self.actor.request = Some(request);
        request
    }

    /// The record as events show it.
    pub fn rendered(&self, record: &Record) -> Rendered {
        render::rendered(&self.whole(), record, render::EVENT, &Selection::Default)
    }

    fn event_type(&self, record: &Record) -> Option<&'static str> {
        if self.actor.invisible {
            return None;
        }
        let object_type = record.kind().resource().event.map(|name| name(record))?;
        let switches = &self.world.switches;
        Some(match object_type {
            "activity.note" if switches.legacy_note_type => "note",
            "activity.lead_merge" if switches.merge_spelling == super::switches::MergeSpelling::Plain => "lead_merge",
            "activity.created" if !switches.created_activity_events => return None,
            other => other,
        })
    }

    fn note(&mut self, before: Option<Arc<Record>>, after: Option<Arc<Record>>) -> u64 {
        let request = self.request();
        self.world.history.note(self.now, before, after, Some(request))
    }

    #[allow(clippy::too_many_arguments)]
    fn tell(
        &mut self,
        number: u64,
        object_type: &'static str,
        record: &Record,
        action: &'static str,
        changed: Vec<Key>,
        data: Option<Arc<[u8]>>,
        previous_members: Vec<(Key, Arc<[u8]>)>,
        previous: Option<Arc<[u8]>>,
    ) {
        let lead = if record.kind() == Kind::Lead { Some(record.id) } else { record.lead };
        let mut event = self.event(object_type, record.id, lead, action, data);
        event.changed = changed.into();
        // An update whose fields were all unset before has old values too: none (reference, section 6.3).
        let changes = !event.changed.is_empty() || action == "updated";
        event.previous = previous.or_else(|| changes.then(|| join(&previous_members)));
        self.put_event(number, event, previous_members);
    }

    fn event(
        &mut self,
        object_type: &'static str,
        object: Id,
        lead: Option<Id>,
        action: &'static str,
        data: Option<Arc<[u8]>>,
    ) -> Event {
        let request = self.request();
        let (api_key, oauth) = match self.actor.caller.as_ref().map(|caller| &caller.credential) {
            Some(Credential::Key(key)) => (Some(*key), None),
            Some(Credential::OAuth { client, scope }) => (None, Some((*client, Arc::from(scope.as_str())))),
            None => (None, None),
        };
        Event {
            id: Id::new(Kind::Event, 1),
            order: 0,
            created: self.now,
            updated: self.now,
            visible: self.now,
            user: self.actor.user,
            request: Some(request),
            api_key,
            oauth,
            object_type,
            object,
            lead,
            action,
            changed: Box::default(),
            data,
            previous: None,
            meta: self.meta(),
        }
    }

    fn put_event(&mut self, number: u64, mut event: Event, members: Members) {
        if self.actor.invisible {
            return;
        }
        event.visible = self.now.plus_millis(self.world.event_lag());
        let id = if let Some(id) = self.world.events.consolidate(&event, &members, &self.world.switches) {
            id
        } else {
            event.id = self.world.next_id(Kind::Event);
            self.world.events.add(event, members)
        };
        self.world.history.told(number, id);
        crate::webhooks::told(self.world, id);
    }

    fn meta(&mut self) -> Arc<[u8]> {
        if let Some((members, meta)) = &self.meta
            && *members == self.actor.meta
        {
            return Arc::clone(meta);
        }
        let mut meta = Map::new();
        if let Some(method) = &self.actor.method {
            meta.insert("request_method".to_owned(), method.as_str().into());
        }
        if let Some(path) = &self.actor.path {
            meta.insert("request_path".to_owned(), path.as_str().into());
        }
        for (name, id) in &self.actor.meta {
            meta.insert((*name).to_owned(), id.text(self.world.seed).into());
        }
        let meta: Arc<[u8]> = serde_json::to_vec(&meta).expect("JSON can be written").into();
        self.meta = Some((self.actor.meta.clone(), Arc::clone(&meta)));
        meta
    }
}

impl World {
    /// Milliseconds until the next event becomes visible: drawn from the seed and the number of events so far.
    fn event_lag(&self) -> i64 {
        let Switches { event_lag_ms, event_late_share, .. } = self.switches;
        if event_lag_ms <= 0 {
            return 0;
        }
        let count = self.events.count() * 2;
        if draw(self.seed, count) >= event_late_share {
            return 0;
        }
        (draw(self.seed, count + 1) * event_lag_ms as f64) as i64
    }
}

/// A number in `[0, 1)` that follows from the seed and a count.
pub fn draw(seed: u64, count: u64) -> f64 {
    use rand::{Rng, SeedableRng};
    rand_chacha::ChaCha8Rng::seed_from_u64(seed ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).random()
}
