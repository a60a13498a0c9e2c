//! Collects generated records: allocates the ids of one block of leads and shares repeated words.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Id, Key, Kind, Moment, Record, Value};

/// Records that are being generated.
pub struct Sheet {
    next: [u64; Kind::COUNT],
    words: FxHashMap<(usize, usize), Arc<str>>,
    records: Vec<Arc<Record>>,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { next: [0; Kind::COUNT], words: FxHashMap::default(), records: Vec::new() }
    }
}

impl Sheet {
    /// Continues after these serials, the last ones already used.
    pub fn number_from(&mut self, last: &[u64; Kind::COUNT]) {
        self.next = *last;
    }

    /// The last used serials.
    pub fn numbers(&self) -> &[u64; Kind::COUNT] {
        &self.next
    }

    pub fn id(&mut self, kind: Kind) -> Id {
        let serial = &mut self.next[kind as usize];
        *serial += 1;
        Id::new(kind, *serial)
    }

    /// A record with the next id of its kind, belonging to a lead, created and last changed by one user or by the
    /// system.
    pub fn record(&mut self, kind: Kind, at: Moment, lead: Option<Id>, author: Option<Id>) -> Record {
        let id = self.id(kind);
        Record { lead, author, editor: author, fields: Vec::with_capacity(16), ..Record::new(id, at) }
    }

    /// A static word as a value, one copy for all records.
    pub fn word(&mut self, word: &'static str) -> Value {
        let place = (word.as_ptr() as usize, word.len());
        Value::Text(Arc::clone(self.words.entry(place).or_insert_with(|| word.into())))
    }

    pub fn put(&mut self, mut record: Record) {
        record.fields.shrink_to_fit();
        self.records.push(Arc::new(record));
    }

    pub fn take(&mut self) -> Vec<Arc<Record>> {
        std::mem::take(&mut self.records)
    }
}

/// Adds a field that the record does not have yet: `Record::set` without the lookup. Null adds nothing.
pub fn add(record: &mut Record, name: &'static str, value: impl Into<Value>) {
    let value = value.into();
    debug_assert!(record.get(name).is_none(), "{name} twice");
    if value != Value::Null {
        record.fields.push((Key::Name(name), value));
    }
}
