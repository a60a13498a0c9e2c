//! The present objects, with the orders in which lists walk them.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{Id, Kind, Moment, Record};

pub struct Store {
    records: FxHashMap<Id, Arc<Record>>,
    /// By kind, in the order of `date_created`.
    by_kind: Vec<BTreeSet<(Moment, Id)>>,
    /// All activities in one order.
    activities: BTreeSet<(Moment, Id)>,
    /// The children of a lead, by kind.
    by_lead: BTreeSet<(Id, Kind, Moment, Id)>,
    /// Unsubscribed addresses in lower case, collected on demand: every shown contact needs them.
    unsubscribed: OnceLock<FxHashSet<String>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            records: FxHashMap::default(),
            by_kind: vec![BTreeSet::new(); Kind::COUNT],
            activities: BTreeSet::new(),
            by_lead: BTreeSet::new(),
            unsubscribed: OnceLock::new(),
        }
    }
}

impl Store {
    pub fn get(&self, id: Id) -> Option<&Arc<Record>> {
        self.records.get(&id)
    }

    /// Stores a version and returns the previous one.
    pub fn put(&mut self, record: Arc<Record>) -> Option<Arc<Record>> {
        if record.kind() == Kind::UnsubscribedEmail {
            self.unsubscribed.take();
        }
        let (kind, at, lead) = (record.kind(), (record.created, record.id), record.lead);
        let before = self.records.insert(record.id, record);
        if let Some(before) = &before {
            if (before.created, before.lead) == (at.0, lead) {
                return Some(Arc::clone(before));
            }
            self.unlist(before);
        }
        self.by_kind[kind as usize].insert(at);
        if kind.is_activity() {
            self.activities.insert(at);
        }
        if let Some(lead) = lead {
            self.by_lead.insert((lead, kind, at.0, at.1));
        }
        before
    }

    /// Stores many new objects at once: the orders are rebuilt from sorted runs, which is faster and more compact.
    pub fn fill(&mut self, records: impl IntoIterator<Item = Arc<Record>>) {
        let mut by_kind: Vec<Vec<(Moment, Id)>> = vec![Vec::new(); Kind::COUNT];
        let mut activities: Vec<(Moment, Id)> = Vec::new();
        let mut by_lead = Vec::new();
        for record in records {
            let at = (record.created, record.id);
            by_kind[record.kind() as usize].push(at);
            if record.kind().is_activity() {
                activities.push(at);
            }
            if let Some(lead) = record.lead {
                by_lead.push((lead, record.kind(), at.0, at.1));
            }
            let before = self.records.insert(record.id, record);
            debug_assert!(before.is_none(), "only new objects");
        }
        for (order, more) in self.by_kind.iter_mut().zip(by_kind) {
            order.append(&mut BTreeSet::from_iter(more));
        }
        self.activities.append(&mut BTreeSet::from_iter(activities));
        self.by_lead.append(&mut BTreeSet::from_iter(by_lead));
    }

    /// Removes an object and returns its last version.
    pub fn remove(&mut self, id: Id) -> Option<Arc<Record>> {
        if id.kind() == Kind::UnsubscribedEmail {
            self.unsubscribed.take();
        }
        let before = self.records.remove(&id)?;
        self.unlist(&before);
        Some(before)
    }

    /// Returns true if an address is unsubscribed; ignores case.
    pub fn is_unsubscribed(&self, email: &str) -> bool {
        let all = self.unsubscribed.get_or_init(|| {
            self.of_kind(Kind::UnsubscribedEmail, Moment(i64::MIN), Moment::LAST)
                .filter_map(|id| self.get(id)?.text("email").map(str::to_lowercase))
                .collect()
        });
        !all.is_empty() && all.contains(&email.to_lowercase())
    }

    pub fn count(&self, kind: Kind) -> usize {
        self.by_kind[kind as usize].len()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The objects of a kind in the order of `date_created`, between two moments, both inclusive.
    pub fn of_kind(&self, kind: Kind, from: Moment, to: Moment) -> impl DoubleEndedIterator<Item = Id> + '_ {
        between(&self.by_kind[kind as usize], from, to)
    }

    /// All activities in the order of `date_created`, between two moments, both inclusive.
    pub fn activities(&self, from: Moment, to: Moment) -> impl DoubleEndedIterator<Item = Id> + '_ {
        between(&self.activities, from, to)
    }

    /// The children of a kind of a lead, in the order of `date_created`.
    pub fn of_lead(&self, lead: Id, kind: Kind) -> impl DoubleEndedIterator<Item = Id> + '_ {
        let first = Id::new(Kind::ALL[0], 1);
        let last = Id::new(Kind::ALL[Kind::COUNT - 1], (1 << 56) - 1);
        self.by_lead
            .range((lead, kind, Moment(i64::MIN), first)..=(lead, kind, Moment::LAST, last))
            .map(|entry| entry.3)
    }

    fn unlist(&mut self, record: &Record) {
        let at = (record.created, record.id);
        self.by_kind[record.kind() as usize].remove(&at);
        self.activities.remove(&at);
        if let Some(lead) = record.lead {
            self.by_lead.remove(&(lead, record.kind(), at.0, at.1));
        }
    }
}

fn between(order: &BTreeSet<(Moment, Id)>, from: Moment, to: Moment) -> impl DoubleEndedIterator<Item = Id> + '_ {
    let first = Id::new(Kind::ALL[0], 1);
    let last = Id::new(Kind::ALL[Kind::COUNT - 1], (1 << 56) - 1);
    // Crossed bounds select nothing, but `BTreeSet::range` panics on them.
    let crossed = from > to;
    let to = to.max(from);
    order.range((from, first)..=(to, last)).filter(move |_| !crossed).map(|(_, id)| *id)
}

impl Serialize for Store {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut records: Vec<&Arc<Record>> = self.records.values().collect();
        records.sort_by_key(|record| record.id);
        records.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Store {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut store = Store::default();
        store.fill(Vec::<Arc<Record>>::deserialize(deserializer)?);
        Ok(store)
    }
}
