//! Every change in the order in which it happened, with the versions before and after it and the events it produced.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::model::{Id, Moment, Record};

/// One change of one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When.
    pub at: Moment,
    /// Of what.
    pub object: Id,
    /// The version before; `None` for a creation.
    pub before: Option<Arc<Record>>,
    /// The version after; `None` for a deletion.
    pub after: Option<Arc<Record>>,
    /// The request that caused it.
    pub request: Option<Id>,
    /// Events that tell of it, those included that it was folded into. Empty for a change nobody is told of.
    pub events: Vec<Id>,
}

/// The changes within the retention.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct History {
    entries: VecDeque<Entry>,
    last: u64,
    /// From when on every change is kept; `None` before the first pruning: from the beginning.
    kept_from: Option<Moment>,
}

impl History {
    /// The earliest moment whose state can be told.
    pub fn kept_from(&self) -> Option<Moment> {
        self.kept_from
    }

    /// Notes a change and returns its number.
    pub fn note(
        &mut self,
        at: Moment,
        before: Option<Arc<Record>>,
        after: Option<Arc<Record>>,
        request: Option<Id>,
    ) -> u64 {
        self.last += 1;
        let object = after.as_ref().or(before.as_ref()).expect("a change has a version before or after it").id;
        self.entries.push_back(Entry { number: self.last, at, object, before, after, request, events: Vec::new() });
        self.last
    }

    /// Notes that an event tells of a change.
    pub fn told(&mut self, number: u64, event: Id) {
        let first = self.entries.front().map_or(0, |entry| entry.number);
        if let Some(entry) = number.checked_sub(first).and_then(|at| self.entries.get_mut(usize::try_from(at).ok()?))
            && !entry.events.contains(&event)
        {
            entry.events.push(event);
        }
    }

    /// All changes that are kept, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Changes from a number on, oldest first.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Entry> {
        let first = self.entries.front().map_or(0, |entry| entry.number);
        self.entries.iter().skip(usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX))
    }

    /// The number of the newest change; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Forgets everything before now, but goes on counting: for a data set that was just generated.
    pub fn forget(&mut self, now: Moment) {
        self.entries.clear();
        self.kept_from = Some(now);
    }

    /// Makes one of the copies of a version that a snapshot holds apart, as the version after one change and before the
    /// next, and returns the last version of each object.
    pub(crate) fn share(&mut self) -> FxHashMap<Id, Arc<Record>> {
        let mut latest: FxHashMap<Id, Arc<Record>> = FxHashMap::default();
        for entry in &mut self.entries {
            if let (Some(before), Some(known)) = (&mut entry.before, latest.get(&entry.object))
                && before == known
            {
                *before = Arc::clone(known);
            }
            match &entry.after {
                Some(after) => drop(latest.insert(entry.object, Arc::clone(after))),
                None => drop(latest.remove(&entry.object)),
            }
        }
        latest
    }

    pub(super) fn prune(&mut self, before: Moment) {
        while self.entries.front().is_some_and(|entry| entry.at < before) {
            self.entries.pop_front();
            self.kept_from = self.kept_from.max(Some(before));
        }
    }
}
