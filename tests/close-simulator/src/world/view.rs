//! The organization as one caller sees it at one moment: now, or in the past.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Switches, World, people::Caller};
use crate::{
    model::{Id, Key, Kind, Moment, Record, Value, render::Selection},
    resources::role,
};

pub struct View<'w> {
    pub world: &'w World,
    /// The reader; `None` sees everything.
    pub caller: Option<&'w Caller>,
    /// The time of the reading.
    pub now: Moment,
    past: Option<Arc<Past>>,
}

/// Differences between a past moment and now: for every object that changed since, the version before its first later
/// change.
#[derive(Clone, Debug, Default)]
pub struct Past {
    versions: FxHashMap<Id, Option<Arc<Record>>>,
    /// The last change that was undone.
    until: u64,
}

impl Past {
    /// The organization at a moment. Walks over the changes since.
    pub fn at(world: &World, moment: Moment) -> Self {
        let mut versions = FxHashMap::default();
        for entry in world.history.entries().rev().take_while(|entry| entry.at > moment) {
            versions.insert(entry.object, entry.before.clone());
        }
        Self { versions, until: world.history.last() }
    }

    /// The same moment, after further changes: for a reading that releases the world in between.
    pub fn follow(&mut self, world: &World) {
        for entry in world.history.since(self.until + 1) {
            self.versions.entry(entry.object).or_insert_with(|| entry.before.clone());
        }
        self.until = world.history.last();
    }
}

impl<'w> View<'w> {
    /// Everything, now.
    pub fn now(world: &'w World) -> Self {
        Self { world, caller: None, now: world.clock.now(), past: None }
    }

    /// The organization as a caller sees it, now.
    pub fn of(world: &'w World, caller: &'w Caller) -> Self {
        Self { caller: Some(caller), ..Self::now(world) }
    }

    /// The organization at a moment within the retention; a later moment means now. Walks over the changes since.
    pub fn at(world: &'w World, caller: Option<&'w Caller>, moment: Moment) -> Self {
        Self::of_past(world, caller, moment, Arc::new(Past::at(world, moment)))
    }

    /// The organization at the moment of a prepared past.
    pub fn of_past(world: &'w World, caller: Option<&'w Caller>, moment: Moment, past: Arc<Past>) -> Self {
        let past = (!past.versions.is_empty()).then_some(past);
        Self { world, caller, now: world.clock.now().min(moment), past }
    }

    /// The same view for another caller.
    pub fn for_caller(self, caller: Option<&'w Caller>) -> Self {
        Self { caller, ..self }
    }

    /// The same view, with another version of an object: for the state before a change in progress.
    pub fn supposing(mut self, id: Id, version: Option<Arc<Record>>) -> Self {
        Arc::make_mut(self.past.get_or_insert_with(Arc::default)).versions.insert(id, version);
        self
    }

    pub fn seed(&self) -> u64 {
        self.world.seed
    }

    pub fn switches(&self) -> &'w Switches {
        &self.world.switches
    }

    pub fn organization(&self) -> Id {
        self.world.organization()
    }

    pub fn id_text(&self, id: Id) -> String {
        id.text(self.world.seed)
    }

    /// Parses an id of this organization; the object may no longer exist.
    pub fn parse_id(&self, text: &str) -> Option<Id> {
        self.world.parse_id(text)
    }

    /// A record, visible to the caller or not.
    pub fn get(&self, id: Id) -> Option<&Record> {
        if let Some(past) = &self.past
            && let Some(version) = past.versions.get(&id)
        {
            return version.as_deref();
        }
        self.world.store.get(id).map(Arc::as_ref)
    }

    /// A record that is visible to the caller.
    pub fn see(&self, id: Id) -> Option<&Record> {
        self.get(id).filter(|record| self.sees(record))
    }

    pub fn exists(&self, id: Id) -> bool {
        self.get(id).is_some()
    }

    /// Returns true if the object exists and is visible to the caller.
    pub fn visible(&self, id: Id) -> bool {
        self.see(id).is_some()
    }

    /// Returns true if the caller may see a record: a caller who sees a lead sees its children (reference, section
    /// 9.3).
    pub fn sees(&self, record: &Record) -> bool {
        let Some(caller) = self.caller else { return true };
        if caller.sees_all_leads {
            return true;
        }
        let lead = match (record.kind(), record.lead) {
            (Kind::Lead, _) => record,
            (_, Some(lead)) => match self.get(lead) {
                Some(lead) => lead,
                None => return false,
            },
            (_, None) => return true,
        };
        role::sees_lead(self, caller, lead)
    }

    /// The visible records of a kind, in the order of `date_created`.
    pub fn all(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Record> {
        self.range(kind, Moment(i64::MIN), Moment::LAST)
    }

    /// As [`View::all`], created between two moments, both inclusive.
    pub fn range(&self, kind: Kind, from: Moment, to: Moment) -> impl DoubleEndedIterator<Item = &Record> {
        let present = self
            .world
            .store
            .of_kind(kind, from, to)
            .filter(|id| !self.differs(*id))
            .filter_map(|id| self.world.store.get(id))
            .map(Arc::as_ref);
        let mut past: Vec<&Record> = self
            .past_versions()
            .filter(|record| record.kind() == kind && (from..=to).contains(&record.created))
            .collect();
        past.sort_by_key(|record| (record.created, record.id));
        Merged::new(present, past).filter(|record| self.sees(record))
    }

    /// All visible activities created between two moments, both inclusive, in the order of `date_created`. Present ones
    /// only: the past is read kind by kind.
    pub fn activities(&self, from: Moment, to: Moment) -> impl DoubleEndedIterator<Item = &Record> {
        self.world.store.activities(from, to).filter_map(|id| self.get(id)).filter(|record| self.sees(record))
    }

    /// The children of a kind of a lead, in the order of `date_created`.
    pub fn of_lead(&self, lead: Id, kind: Kind) -> impl DoubleEndedIterator<Item = &Record> {
        let present = self
            .world
            .store
            .of_lead(lead, kind)
            .filter(|id| !self.differs(*id))
            .filter_map(|id| self.world.store.get(id))
            .map(Arc::as_ref);
        let mut past: Vec<&Record> =
            self.past_versions().filter(|record| record.kind() == kind && record.lead == Some(lead)).collect();
        past.sort_by_key(|record| (record.created, record.id));
        Merged::new(present, past)
    }

    /// The full name of a user; null for none.
    pub fn user_name(&self, user: Option<Id>) -> Value {
        let Some(user) = user.and_then(|id| self.get(id)) else { return Value::Null };
        match user.get("full_name") {
            Some(name) => name.clone(),
            None => Value::Null,
        }
    }

    /// Returns true if an address is unsubscribed; ignores case.
    pub fn is_unsubscribed(&self, email: &str) -> bool {
        if self.past.is_none() {
            return self.world.store.is_unsubscribed(email);
        }
        let is = |record: &Record| record.text("email").is_some_and(|known| known.eq_ignore_ascii_case(email));
        self.all(Kind::UnsubscribedEmail).any(is)
    }

    /// A field of another record; null without a record.
    pub fn field_of(&self, id: Option<Id>, name: &'static str) -> Value {
        id.and_then(|id| self.get(id)).and_then(|record| record.get(name)).cloned().unwrap_or(Value::Null)
    }

    /// The definition of a custom field by the text of its id.
    pub fn custom_field(&self, text: &str) -> Option<&Record> {
        self.parse_id(text).filter(|id| id.kind() == Kind::CustomField).and_then(|id| self.get(id))
    }

    /// Appends the deprecated forms of custom fields, keyed by the fields' names (reference, section 5.1).
    pub(crate) fn write_custom_by_name(&self, record: &Record, selection: &Selection, begin: usize, out: &mut Vec<u8>) {
        let comma = |out: &mut Vec<u8>| {
            if out.len() > begin + 1 {
                out.push(b',');
            }
        };
        let stamps = record.kind().resource().stamps;
        let named: Vec<(&str, &Value)> = record
            .fields
            .iter()
            .filter_map(|(key, value)| match key {
                Key::Custom(id) => Some((self.get(*id)?.text("name")?, value)),
                Key::Name(_) => None,
            })
            .collect();
        for (name, value) in &named {
            let key = format!("custom.{name}");
            if !selection.wants_custom(&key) {
                continue;
            }
            comma(out);
            crate::model::render::write_text(&key, out);
            out.push(b':');
            crate::model::render::write_value(value, self.seed(), stamps, out);
        }
        if !selection.wants_custom("custom") {
            return;
        }
        comma(out);
        out.extend_from_slice(b"\"custom\":{");
        for (at, (name, value)) in named.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            crate::model::render::write_text(name, out);
            out.push(b':');
            crate::model::render::write_value(value, self.seed(), stamps, out);
        }
        out.push(b'}');
    }

    fn differs(&self, id: Id) -> bool {
        self.past.as_ref().is_some_and(|past| past.versions.contains_key(&id))
    }

    fn past_versions(&self) -> impl Iterator<Item = &Record> {
        self.past.iter().flat_map(|past| past.versions.values()).filter_map(|version| version.as_deref())
    }
}

/// Two runs in the order of `date_created`, read as one from either end.
struct Merged<'r, I: Iterator<Item = &'r Record>> {
    present: std::iter::Peekable<I>,
    back: Option<&'r Record>,
    past: std::collections::VecDeque<&'r Record>,
}

impl<'r, I: DoubleEndedIterator<Item = &'r Record>> Merged<'r, I> {
    fn new(present: I, past: Vec<&'r Record>) -> Self {
        Self { present: present.peekable(), back: None, past: past.into() }
    }
}

fn place(record: &Record) -> (Moment, Id) {
    (record.created, record.id)
}

impl<'r, I: DoubleEndedIterator<Item = &'r Record>> Iterator for Merged<'r, I> {
    type Item = &'r Record;

    fn next(&mut self) -> Option<Self::Item> {
        let present = self.present.peek().copied().or(self.back);
        match (present, self.past.front()) {
            (Some(present), Some(past)) if place(past) < place(present) => self.past.pop_front(),
            (Some(_), _) => self.present.next().or_else(|| self.back.take()),
            (None, _) => self.past.pop_front(),
        }
    }
}

impl<'r, I: DoubleEndedIterator<Item = &'r Record>> DoubleEndedIterator for Merged<'r, I> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.back.is_none() {
            self.back = self.present.next_back();
        }
        match (self.back, self.past.back()) {
            (Some(present), Some(past)) if place(past) > place(present) => self.past.pop_back(),
            (Some(_), _) => self.back.take(),
            (None, _) => self.past.pop_back(),
        }
    }
}
