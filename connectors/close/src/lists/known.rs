//! What the topic of a list has.

use std::collections::HashMap;

use towpath_api::{ChangeEvent, Depth, Key, Op, Published, PublishedRecords, Result, Version};

use crate::record::content_hash;

/// The rows of one topic, by key.
#[derive(Debug, Default)]
pub(super) struct Known {
    rows: HashMap<Key, Entry>,
}

/// The newest record of a row.
#[derive(Debug, Clone, Copy)]
struct Entry {
    version: Version,
    /// The hash of its content; `None` if it is deleted.
    content: Option<u64>,
}

impl Known {
    /// Reads the topic of `object`.
    ///
    /// # Errors
    /// Those of [`PublishedRecords::read`].
    pub(super) async fn read(records: &dyn PublishedRecords, object: &str) -> Result<Self> {
        let mut known = Self::default();
        records.read(object, &[], Depth::Whole, &mut |published| known.note(published)).await?;
        Ok(known)
    }

    fn note(&mut self, Published { key, op, after, version, .. }: Published) {
        let Some(op) = op else { return };
        let version = version.unwrap_or(Version { ts: i64::MIN, seq: 0, rank: 0 });
        self.set(key, version, (op != Op::Delete).then(|| content_hash(op, after.as_deref())));
    }

    fn set(&mut self, key: Key, version: Version, content: Option<u64>) {
        let entry = self.rows.entry(key).or_insert(Entry { version, content });
        if version >= entry.version {
            *entry = Entry { version, content };
        }
    }

    /// The record that makes the topic show this row; `None` if it shows it already.
    pub(super) fn differing(&self, mut row: ChangeEvent) -> Option<ChangeEvent> {
        let Some(entry) = self.rows.get(&row.key) else { return Some(row) };
        if entry.content == Some(content_hash(row.op, row.after.as_deref())) {
            return None;
        }
        row.op = Op::Update;
        // A row whose time was set back is still what Close has now, and so is one that was read within the second of
        // the record that is there.
        row.version = row.version.map(|version| {
            let Version { ts, seq, .. } = entry.version;
            let at_least = if version.ts <= ts { seq.saturating_add(1) } else { version.seq };
            Version { ts: version.ts.max(ts), seq: version.seq.max(at_least), ..version }
        });
        Some(row)
    }

    /// Notes a record that is published.
    pub(super) fn published(&mut self, event: &ChangeEvent) {
        if let Some(version) = event.version {
            let content = (event.op != Op::Delete).then(|| content_hash(event.op, event.after.as_deref()));
            self.set(event.key.clone(), version, content);
        }
    }

    /// The rows that are not deleted, with their versions.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Key, Version)> {
        self.rows.iter().filter(|(_, entry)| entry.content.is_some()).map(|(key, entry)| (key, entry.version))
    }
}
