//! Folds several changes of one key into one, in topic order and by version.
//!
//! One statement must not contain a key twice (SQLSTATE 21000). Applying a folded batch must leave the same rows as
//! applying its records one by one; a property test compares the two. Pure: no database, no I/O.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use apache_avro::{schema::Schema, types::Value};
use towpath_api::{Body, Change, Identity, Record, RecordOp};

use crate::{
    config::DeleteMode,
    key::{Keyed, Keys, Unkeyed},
};

/// A version as stored in a row, with the rank in the second number. A record without a version has `(0, offset)`.
/// Records of one partition with equal versions, or without versions, are ordered by offset: see
/// `statement/order.rs`.
pub(crate) type RowVersion = (i64, i64);

/// The folded changes of one key in a batch.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) key: Cow<'a, Identity>,
    /// The record schema that describes the parts of the key.
    pub(crate) key_schema: &'a Arc<Schema>,
    /// The last record that took effect; its offset is stored in the row.
    pub(crate) record: &'a Record,
    /// The other records that this row contains: earlier ones, and tombstones after a delete.
    pub(crate) absorbed: Vec<&'a Record>,
    pub(crate) version: RowVersion,
    /// The time of the earliest record whose fields are in `content`.
    pub(crate) timestamp_ms: i64,
    pub(crate) kind: RowKind,
    pub(crate) content: Content<'a>,
    /// True if the source did not have the values of the fields that a partial row does not carry.
    pub(crate) lacks_values: bool,
    /// Rows of one key that cannot be folded are applied in rounds, from 0.
    pub(crate) round: usize,
}

/// The effect of a row on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// Sets every field of its schema.
    Whole,
    /// Sets the fields that it carries; other fields stay.
    Partial,
    /// Marks the row as deleted; the values stay.
    Delete,
    /// Marks the row as deleted if it exists and is live. The record has a null value.
    Tombstone,
}

/// The parts of the configuration that folding depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'c> {
    pub(crate) keys: Keys<'c>,
    pub(crate) delete_mode: DeleteMode,
    /// False if the table has no columns for versions, so that each record changes its row.
    pub(crate) compares_versions: bool,
    /// The version of the last truncate of the table.
    pub(crate) truncated: Option<RowVersion>,
}

/// The values of a row.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// A delete has no values.
    Nothing,
    /// The values of one change, the usual case; not copied.
    One(&'a Change),
    /// The values of several changes, by field.
    Merged(BTreeMap<&'a str, Field<'a>>),
}

/// A value, and the schema of its field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) value: &'a Value,
    pub(crate) schema: &'a Schema,
}

#[derive(Debug, Default)]
pub(crate) struct Folded<'a> {
    /// Ascending by key, then by round; one row per key and round.
    pub(crate) rows: Vec<Row<'a>>,
    /// Records older than an earlier record of the same key.
    pub(crate) stale: u64,
    /// Partial updates older than an earlier record of the same key; dead-lettered.
    pub(crate) stale_partials: Vec<&'a Record>,
    /// Tombstones without effect.
    pub(crate) tombstones: u64,
    /// Records that the configuration leaves out.
    pub(crate) filtered: u64,
    /// Records that cannot be decoded; dead-lettered.
    pub(crate) undecodable: Vec<&'a Record>,
    /// Records without a key; dead-lettered.
    pub(crate) unkeyed: Vec<(&'a Record, Unkeyed)>,
}

/// A record with a key, about to be folded.
#[derive(Debug, Clone, Copy)]
enum Incoming<'a> {
    Change(&'a Change),
    Tombstone,
}

/// Folds records in offset order, none of them a truncate. Records older than the last truncate are left out.
pub(crate) fn fold<'a>(records: &'a [Record], rules: Rules<'_>) -> Folded<'a> {
    let mut folded = Folded::default();
    let mut incoming: Vec<(Keyed<'a>, &'a Record, Incoming<'a>)> = Vec::with_capacity(records.len());
    for record in records {
        match &record.body {
            Body::Change(change) if change.op == RecordOp::Delete && rules.delete_mode == DeleteMode::Ignore => {
                folded.filtered += 1;
            }
            Body::Change(change) => match rules.keys.of(change) {
                Ok(key) => incoming.push((key, record, Incoming::Change(change))),
                Err(why) => folded.unkeyed.push((record, why)),
            },
            Body::Tombstone(_) if rules.delete_mode == DeleteMode::Ignore => folded.filtered += 1,
            Body::Tombstone(Some(key)) => incoming.push((rules.keys.of_record(key), record, Incoming::Tombstone)),
            Body::Tombstone(None) => folded.tombstones += 1,
            Body::Filtered => folded.filtered += 1,
            Body::Undecodable { .. } => folded.undecodable.push(record),
        }
    }
    // In key order, the index fills page by page, and two writers of one table cannot deadlock.
    incoming.sort_unstable_by(|a, b| (&a.0.identity, a.1.offset).cmp(&(&b.0.identity, b.1.offset)));
    folded.rows.reserve(incoming.len());
    for (key, record, incoming) in incoming {
        let version = if rules.compares_versions { incoming.version(record) } else { (0, record.offset) };
        if version.0 != 0 && rules.truncated.is_some_and(|truncated| version < truncated) {
            folded.stale += 1;
            continue;
        }
        match folded.rows.last_mut() {
            Some(row) if row.key == key.identity => match row.absorb(record, incoming, version) {
                Outcome::Absorbed => {}
                Outcome::NextRound => {
                    let round = row.round + 1;
                    folded.rows.push(Row { round, ..Row::new(key, record, incoming, version) });
                }
                Outcome::Stale => folded.stale += 1,
                Outcome::StalePartial => folded.stale_partials.push(record),
            },
            _ => folded.rows.push(Row::new(key, record, incoming, version)),
        }
    }
    folded
}

/// The version of a record: its source's version, or its offset.
pub(crate) fn version(record: &Record, change: &Change) -> RowVersion {
    change.version.map_or((0, record.offset), |version| {
        (version.ts, version.seq.saturating_mul(4).saturating_add(i64::from(version.rank & 3)))
    })
}

enum Outcome {
    Absorbed,
    NextRound,
    Stale,
    StalePartial,
}

impl<'a> Incoming<'a> {
    fn version(self, record: &Record) -> RowVersion {
        match self {
            Self::Change(change) => version(record, change),
            Self::Tombstone => (0, record.offset),
        }
    }

    fn kind(self) -> RowKind {
        match self {
            Self::Tombstone => RowKind::Tombstone,
            Self::Change(change) => match (change.op, &change.changed) {
                (RecordOp::Delete, _) => RowKind::Delete,
                (_, Some(_)) => RowKind::Partial,
                (_, None) => RowKind::Whole,
            },
        }
    }

    fn lacks_values(self) -> bool {
        matches!(self, Self::Change(change) if change.lacks_values())
    }

    fn content(self) -> Content<'a> {
        match self {
            Self::Change(change) if change.op != RecordOp::Delete => Content::One(change),
            Self::Change(_) | Self::Tombstone => Content::Nothing,
        }
    }
}

impl RowKind {
    /// Returns true for deletes and tombstones.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::Delete | Self::Tombstone)
    }
}

impl<'a> Row<'a> {
    fn new(key: Keyed<'a>, record: &'a Record, incoming: Incoming<'a>, version: RowVersion) -> Self {
        Self {
            key: key.identity,
            key_schema: key.schema,
            record,
            absorbed: Vec::new(),
            version,
            timestamp_ms: record.timestamp_ms,
            kind: incoming.kind(),
            content: incoming.content(),
            lacks_values: incoming.lacks_values(),
            round: 0,
        }
    }

    /// Folds the next record of the same key into this row, if its version permits.
    fn absorb(&mut self, record: &'a Record, incoming: Incoming<'a>, next: RowVersion) -> Outcome {
        let next_kind = incoming.kind();
        // Only the table knows whether it accepts a record without a version after one with a version, or the reverse.
        if (self.version.0 == 0) != (next.0 == 0) {
            return Outcome::NextRound;
        }
        // The effect of a delete, and of a record after one, depends on the row in the table. Only a delete after a
        // delete can be folded.
        if self.kind.ends() || next_kind.ends() {
            return match (self.kind, next_kind) {
                // It changes nothing more, and has the fate of the delete, which ends the row if the tombstone would.
                (RowKind::Delete | RowKind::Tombstone, RowKind::Tombstone) => {
                    self.absorbed.push(record);
                    self.timestamp_ms = record.timestamp_ms;
                    Outcome::Absorbed
                }
                (RowKind::Delete, RowKind::Delete) if next < self.version => Outcome::Stale,
                (RowKind::Delete, RowKind::Delete) => self.take_over(record, next, record.timestamp_ms),
                _ => Outcome::NextRound,
            };
        }
        // All records are of one partition, so with equal versions the later record wins.
        if next < self.version {
            return if next_kind == RowKind::Partial { Outcome::StalePartial } else { Outcome::Stale };
        }
        // Merging with an earlier record is correct only if the table would have accepted that record. Offsets
        // guarantee it, because they are the order of the topic; with versions of the source only the table knows.
        let by_offset = next.0 == 0;
        let Incoming::Change(change) = incoming else { return Outcome::NextRound };
        let mut timestamp_ms = record.timestamp_ms;
        match &self.content {
            Content::One(before) if next_kind == RowKind::Whole && Arc::ptr_eq(&before.schema, &change.schema) => {
                self.content = Content::One(change);
            }
            _ if by_offset => {
                self.merge(change);
                timestamp_ms = timestamp_ms.min(self.timestamp_ms);
            }
            _ => return Outcome::NextRound,
        }
        // A whole record stays whole after a partial update.
        if next_kind == RowKind::Whole {
            self.kind = RowKind::Whole;
        }
        self.lacks_values = self.kind == RowKind::Partial && (self.lacks_values || incoming.lacks_values());
        self.take_over(record, next, timestamp_ms)
    }

    /// Makes `record` the last record that took effect.
    fn take_over(&mut self, record: &'a Record, version: RowVersion, timestamp_ms: i64) -> Outcome {
        self.absorbed.push(std::mem::replace(&mut self.record, record));
        (self.version, self.timestamp_ms) = (version, timestamp_ms);
        Outcome::Absorbed
    }

    /// Merges the fields of `change` into the row.
    fn merge(&mut self, change: &'a Change) {
        let mut merged = match std::mem::replace(&mut self.content, Content::Nothing) {
            Content::Nothing => BTreeMap::new(),
            Content::One(before) => carried(before).collect(),
            Content::Merged(merged) => merged,
        };
        merged.extend(carried(change));
        self.content = Content::Merged(merged);
    }

    /// The schema of the row, if it is a single change. Rows of one schema set the same columns.
    pub(crate) fn schema(&self) -> Option<&'a Schema> {
        match &self.content {
            Content::One(change) => Some(&change.schema),
            Content::Nothing | Content::Merged(_) => None,
        }
    }
}

/// The fields that a change carries, by name.
pub(crate) fn carried(change: &Change) -> impl Iterator<Item = (&str, Field<'_>)> {
    let fields = match change.schema.as_ref() {
        Schema::Record(record) => record.fields.as_slice(),
        _ => &[],
    };
    let values = change.after.as_deref().unwrap_or_default();
    let changed = change.changed.as_deref();
    fields.iter().zip(values).enumerate().filter_map(move |(at, (field, value))| {
        let carries =
            changed.is_none_or(|changed| u16::try_from(at).is_ok_and(|at| changed.binary_search(&at).is_ok()));
        carries.then_some((field.name.as_str(), Field { value, schema: &field.schema }))
    })
}

#[cfg(test)]
mod tests;
