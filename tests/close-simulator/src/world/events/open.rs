//! Events that can still be consolidated, with the old value of each changed field, which only consolidation needs.
//!
//! An event is removed after its window, so that old events store nothing twice.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Members;
use crate::model::{Id, Moment};

/// The last `created` or `updated` event of an object.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OpenEvent {
    pub(super) event: Id,
    pub(super) updated: Moment,
    pub(super) members: Members,
}

/// All of them, by object.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Open {
    objects: FxHashMap<Id, OpenEvent>,
    /// In the order in which they were opened or extended.
    order: VecDeque<(Moment, Id)>,
}

impl Open {
    pub(super) fn get(&self, object: Id) -> Option<&OpenEvent> {
        self.objects.get(&object)
    }

    pub(super) fn put(&mut self, object: Id, open: OpenEvent) {
        self.order.push_back((open.updated, object));
        self.objects.insert(object, open);
    }

    pub(super) fn take(&mut self, object: Id) -> Option<OpenEvent> {
        self.objects.remove(&object)
    }

    /// Closes events that were last updated at or before a moment.
    pub(super) fn close(&mut self, until: Moment) {
        while let Some((at, object)) = self.order.front().copied().filter(|(at, _)| *at <= until) {
            self.order.pop_front();
            if self.objects.get(&object).is_some_and(|open| open.updated <= at) {
                self.objects.remove(&object);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }
}
