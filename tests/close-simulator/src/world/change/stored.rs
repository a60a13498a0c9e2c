//! The stored operations of a change: they store a version, note it in the history, and emit the events that Close has.
//! They run no laws.

use std::sync::Arc;

use super::{Change, VERSION};
use crate::model::{Id, Key, Record, render::Rendered};

impl Change<'_> {
    /// Stores a new object and emits its event. Runs no laws.
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

    /// Stores a new version, dated now and by the actor, and emits the difference. Runs no laws. The id must exist.
    pub fn update(&mut self, mut after: Record) {
        after.updated = self.now.max(after.updated);
        after.editor = self.actor.user.or(after.editor);
        self.update_undated(after);
    }

    /// As [`Change::update`], but keeps `date_updated` and `updated_by` of the version.
    pub fn update_undated(&mut self, after: Record) {
        let Some(before) = self.get(after.id) else { return };
        let old = if self.event_type(&after).is_some() { self.rendered(&before) } else { Rendered::default() };
        self.update_seen(after, &old);
    }

    /// As [`Change::update_undated`], compared with the object as it was shown before the change began: for fields
    /// computed from others that have already changed, such as a lead's `contact_ids`.
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
            // No visible difference: no event, and so no later version either.
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

    /// Changes some fields of an object and emits the difference. Runs no laws; does nothing if the object does not
    /// exist or nothing differs.
    pub fn edit(&mut self, id: Id, edit: impl FnOnce(&mut Record)) {
        let Some(before) = self.get(id) else { return };
        let mut after = Record::clone(&before);
        edit(&mut after);
        if after != *before {
            self.update(after);
        }
    }

    /// Stores a new version without events: denormalized values, purges, invisible migrations. `date_updated` stays as
    /// in the version.
    pub fn alter_silently(&mut self, after: Record) {
        let Some(before) = self.get(after.id) else { return };
        if *before == after {
            return;
        }
        let after = Arc::new(after);
        self.world.store.put(Arc::clone(&after));
        self.note(Some(before), Some(after));
    }

    /// Moves `date_updated` without an event: a lead whose children change (reference, section 12, item 17).
    pub fn touch(&mut self, id: Id) {
        if let Some(before) = self.get(id)
            && before.updated < self.now
        {
            let after = Record { updated: self.now, ..Record::clone(&before) };
            self.alter_silently(after);
        }
    }

    /// Removes an object and emits its event with all its values. Runs no laws.
    pub fn remove(&mut self, id: Id) {
        let Some(before) = self.get(id) else { return };
        let previous = self.event_type(&before).map(|object_type| (object_type, self.rendered(&before).bytes));
        self.world.store.remove(id);
        let number = self.note(Some(Arc::clone(&before)), None);
        if let Some((object_type, previous)) = previous {
            self.tell(number, object_type, &before, "deleted", Vec::new(), None, Vec::new(), Some(previous.into()));
        }
    }

    /// Removes objects together, in this order. Each event has the values from before the first removal.
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

    /// Removes an object without an event.
    pub fn remove_silently(&mut self, id: Id) {
        if let Some(before) = self.world.store.remove(id) {
            self.note(Some(before), None);
        }
    }
}
