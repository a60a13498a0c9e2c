//! One change of the organization: every write goes through here, so that each leaves the same trace as in Close.
//!
//! The operations of a caller (`create`, `revise`, `delete`) run the kind's laws around the stored operations
//! (`insert`, `update`, `touch`, `remove`), which write history and events. Everything in one change has one moment and
//! one request id.

mod stored;
mod told;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{World, people::Caller, view::View};
use crate::model::{
    Id, Key, Kind, Moment, Record, Refusal, Value, input,
    render::{self, Selection},
};

/// A JSON object from a caller, with the context for reading it.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub map: Map<String, Json>,
    /// The caller's offset from UTC in minutes, from `x-tz-offset`.
    pub offset_minutes: i32,
}

impl Body {
    /// A member; null counts as absent.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A member that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Json::as_str)
    }
}

/// The author of a change, and the contents of its events' `meta`.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// `None` for the system.
    pub caller: Option<Caller>,
    /// The user recorded as author: the caller's, or the user that a background job acts for.
    pub user: Option<Id>,
    /// The request id, created for the first event.
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
    /// The system: clocks and background work.
    pub fn system() -> Self {
        Self::default()
    }

    /// A user without a request: generated changes.
    pub fn user(user: Id) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

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

/// Fields with the time and the author of a version; they differ after any change.
const VERSION: [&str; 5] = ["date_updated", "updated_at", "updated_by", "updated_by_id", "updated_by_name"];

type ExtraMeta = Vec<(&'static str, Id)>;

/// A change in progress.
pub struct Change<'w> {
    /// The world. Change objects through the methods here, never in the store.
    pub world: &'w mut World,
    pub actor: Actor,
    now: Moment,
    /// The `meta` of the last event with its extra members, shared by the events of one change.
    meta: Option<(ExtraMeta, Arc<[u8]>)>,
}

impl<'w> Change<'w> {
    pub fn begin(world: &'w mut World, actor: Actor) -> Self {
        let now = world.clock.now();
        Self { world, actor, now, meta: None }
    }

    /// The moment of the change, constant from beginning to end.
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

    pub fn get(&self, id: Id) -> Option<Arc<Record>> {
        self.world.store.get(id).cloned()
    }

    /// A new record of a kind, by the actor, now.
    pub fn record(&mut self, kind: Kind) -> Record {
        let id = self.world.next_id(kind);
        Record { author: self.actor.user, editor: self.actor.user, ..Record::new(id, self.now) }
    }

    /// Creates an object from a body: validates, runs the laws, stores, emits events.
    pub fn create(&mut self, kind: Kind, body: &Body) -> Result<Id, Refusal> {
        self.create_with(kind, body, |_| {})
    }

    /// As [`Change::create`]; `preset` sets fields before the laws run.
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

    /// Changes an object by a body: validates, runs the laws, stores, emits events. A body that changes nothing leaves
    /// no trace.
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

    /// A field that is set to the value that it already showed keeps its stored form, so that posting back a whole
    /// object changes nothing: `false` where nothing was stored, or a computed moment.
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

    /// Deletes an object for a caller, with its dependents.
    pub fn delete(&mut self, id: Id) -> Result<(), Refusal> {
        let record = self.get(id).ok_or_else(|| Refusal::missing_id(id, self.world.seed))?;
        let laws = &id.kind().resource().laws;
        (laws.deleting)(self, &record)?;
        self.remove(id);
        (laws.deleted)(self, &record)
    }

    /// Schedules work for later.
    pub fn schedule(&mut self, at: Moment, job: super::jobs::Job) {
        self.world.jobs.schedule(at, job);
    }

    /// Refuses an actor whose caller lacks a permission (reference, section 9.2); the system may do everything.
    pub fn require(&self, permission: &str) -> Result<(), Refusal> {
        match &self.actor.caller {
            Some(caller) if !caller.may(permission) => {
                Err(Refusal::Forbidden(self.world.switches.forbidden_text.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The request id of this change, created on the first call.
    pub fn request(&mut self) -> Id {
        if let Some(request) = self.actor.request {
            return request;
        }
        let request = self.world.next_id(Kind::Request);
        self.actor.request = Some(request);
        request
    }
}

/// A number in `[0, 1)`, derived from the seed and a count.
pub fn draw(seed: u64, count: u64) -> f64 {
    use rand::{Rng, SeedableRng};
    rand_chacha::ChaCha8Rng::seed_from_u64(seed ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).random()
}
