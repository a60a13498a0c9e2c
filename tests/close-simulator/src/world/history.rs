//! Every change in order, with the versions before and after it and its events.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::model::{Id, Moment, Record};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    pub at: Moment,
    pub object: Id,
    /// The version before; `None` for a creation.
    pub before: Option<Arc<Record>>,
    /// The version after; `None` for a deletion.
    pub after: Option<Arc<Record>>,
    /// The request that caused it.
    pub request: Option<Id>,
    /// Events that report it, consolidated ones included, and the semantic events of other objects that followed it,
    /// such as a lead's `merged`. Empty for a change without events.
    pub events: Vec<Id>,
}

/// The changes within the retention.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct History {
    entries: VecDeque<Entry>,
    last: u64,
    /// Every change since this moment is kept; `None` before the first pruning: all changes.
    kept_from: Option<Moment>,
}

impl History {
    /// The earliest moment whose state is known.
    pub fn kept_from(&self) -> Option<Moment> {
        self.kept_from
    }

    /// Adds a change and returns its number.
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

    /// Adds an event to a change.
    pub fn told(&mut self, number: u64, event: Id) {
        let first = self.entries.front().map_or(0, |entry| entry.number);
        if let Some(entry) = number.checked_sub(first).and_then(|at| self.entries.get_mut(usize::try_from(at).ok()?))
            && !entry.events.contains(&event)
        {
            entry.events.push(event);
        }
    }

    /// All kept changes, oldest first.
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

    /// Drops all earlier changes, but continues to count: for a data set that was just generated.
    pub fn forget(&mut self, now: Moment) {
        self.entries.clear();
        self.kept_from = Some(now);
    }

    /// Shares the copies of a version that a snapshot stores separately, as the version after one change and before the
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
