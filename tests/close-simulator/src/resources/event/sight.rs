//! Visibility of events: data hidden after an hour, hidden leads, events that are not visible yet or too old
//! (reference, sections 6.1, 6.3 and 6.7).

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use super::write::Parts;
use crate::{
    model::{Id, Key, Moment, Value},
    resources::role,
    world::{
        World,
        events::{By, Event},
        people::Caller,
        switches::Hidden,
        view::View,
    },
};

/// Readers without rights get no data after this time: one hour.
const OPEN_SECS: i64 = 3_600;

/// The log as one reader sees it.
pub(super) struct Sight<'v> {
    view: &'v View<'v>,
    caller: &'v Caller,
    /// `date_updated` of the oldest events within the retention.
    pub(super) oldest: Moment,
    leads: FxHashMap<Id, bool>,
}

impl<'v> Sight<'v> {
    pub(super) fn of(view: &'v View<'v>, caller: &'v Caller) -> Self {
        let oldest = view.now.plus_days(-World::RETENTION_DAYS);
        Self { view, caller, oldest, leads: FxHashMap::default() }
    }

    /// Returns true if the reader may see an event.
    pub(super) fn sees(&mut self, event: &Event) -> bool {
        if event.visible > self.view.now || event.updated < self.oldest {
            return false;
        }
        if self.caller.sees_all_leads || self.view.switches().restricted_sees_all_events {
            return true;
        }
        let Some(lead) = event.lead else { return true };
        if let Some(known) = self.leads.get(&lead) {
            return *known;
        }
        let sees = match self.view.get(lead) {
            Some(record) => role::sees_lead(self.view, self.caller, record),
            None => self.saw(lead),
        };
        self.leads.insert(lead, sees);
        sees
    }

    /// The parts of an event that the reader may see.
    pub(super) fn parts(&self, event: &Event) -> Parts {
        if self.caller.is_admin() || self.view.now.millis_since(event.updated) <= OPEN_SECS * 1_000 {
            return Parts::All;
        }
        match self.view.switches().hidden_data {
            Hidden::Absent => Parts::WithoutData,
            Hidden::Null => Parts::NullData,
        }
    }

    /// Returns true if the reader would see a deleted lead, by its last state in the log.
    fn saw(&self, lead: Id) -> bool {
        let last = self.view.world.events.older_by(By::Object(lead), (Moment::LAST, u64::MAX)).next();
        let state = last.and_then(|event| event.data.as_ref().or(event.previous.as_ref()));
        let Some(Json::Object(state)) = state.and_then(|state| serde_json::from_slice(state).ok()) else {
            return false;
        };
        let seed = self.view.seed();
        let mut record = crate::model::Record::new(lead, Moment::FIRST);
        for (name, value) in &state {
            let Some(field) = name.strip_prefix("custom.").and_then(|text| Id::parse(text, seed)) else { continue };
            let id = |value: &Json| value.as_str().and_then(|text| Id::parse(text, seed)).map(Value::Id);
            let value = match value {
                Json::Array(items) => Some(Value::list(items.iter().filter_map(id))),
                single => id(single),
            };
            if let Some(value) = value {
                record.put(Key::Custom(field), value);
            }
        }
        role::sees_lead(self.view, self.caller, &record)
    }
}
