//! Several changes of one key become one, in topic order and by version.
//!
//! Two versions of one key in one statement fail (SQLSTATE 21000), and would be waste. Folding a batch and applying the
//! result must leave the row as applying its records one by one would; a property test holds the two against each other.
//! Pure: no database, no I/O.

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::{schema::Schema, types::Value};
use towpath_api::{Body, Change, Identity, Op, Record};

/// A version as it lies in a row: the rank is folded into the second number. A record without one has `(0, offset)`.
pub(crate) type RowVersion = (i64, i64);

/// What one key comes to within a batch.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) key: &'a Identity,
    /// The last record that counts; its offset goes into the row.
    pub(crate) record: &'a Record,
    pub(crate) version: RowVersion,
    pub(crate) kind: Kind,
    pub(crate) content: Content<'a>,
    /// Fields that `content` does not carry become null, since a delete lies between them and this row. The table does the same
    /// when it finds its own row deleted: what comes after a delete starts from nothing.
    pub(crate) reset: bool,
    /// Earlier records of the key that this row absorbed.
    pub(crate) folded: u64,
    /// Rows of one key that cannot be folded are applied one after the other; 0 comes first.
    pub(crate) round: usize,
}

/// What a row does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sets every field of its schema.
    Whole,
    /// Sets the fields that it carries; the others stay.
    Partial,
    /// Marks the row as deleted, after setting what it carries.
    Delete,
}

/// The values of a row.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// None: a delete on its own.
    Nothing,
    /// Those of one change, the usual case; no copy is made.
    One(&'a Change),
    /// Those of several changes, by field.
    Merged(BTreeMap<&'a str, Field<'a>>),
}

/// One value, with the schema of its field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) value: &'a Value,
    pub(crate) schema: &'a Schema,
}

/// A batch after folding.
#[derive(Debug, Default)]
pub(crate) struct Folded<'a> {
    /// Ascending by key, then by round; within a round one row a key.
    pub(crate) rows: Vec<Row<'a>>,
    /// Records older than an earlier one of the same key.
    pub(crate) stale: u64,
    /// Partial updates older than an earlier record of the same key: to be set aside.
    pub(crate) stale_partials: Vec<&'a Record>,
    /// Null values.
    pub(crate) tombstones: u64,
    /// Records that nobody can read: to be set aside.
    pub(crate) undecodable: Vec<&'a Record>,
}

/// Folds records that lie in offset order.
pub(crate) fn fold(records: &[Record]) -> Folded<'_> {
    let mut folded = Folded::default();
    let mut changes: Vec<(&Identity, &Record, &Change)> = Vec::with_capacity(records.len());
    for record in records {
        match &record.body {
            Body::Change(change) => match &change.key {
                Some(key) => changes.push((&key.identity, record, change)),
                None => folded.undecodable.push(record),
            },
            Body::Tombstone(_) | Body::Filtered => folded.tombstones += 1,
            Body::Undecodable { .. } => folded.undecodable.push(record),
        }
    }
    // In key order the index is filled page by page, and two writers of one table cannot deadlock.
    changes.sort_unstable_by(|a, b| (a.0, a.1.offset).cmp(&(b.0, b.1.offset)));
    folded.rows.reserve(changes.len());
    for (key, record, change) in changes {
        match folded.rows.last_mut() {
            Some(row) if row.key == key => match row.absorb(record, change) {
                Outcome::Taken => {}
                Outcome::NextRound => {
                    let round = row.round + 1;
                    folded.rows.push(Row { round, ..Row::new(key, record, change) });
                }
                Outcome::Stale => folded.stale += 1,
                Outcome::StalePartial => folded.stale_partials.push(record),
            },
            _ => folded.rows.push(Row::new(key, record, change)),
        }
    }
    folded
}

/// The version of a record: its source's, or else its offset.
pub(crate) fn version(record: &Record, change: &Change) -> RowVersion {
    change.version.map_or((0, record.offset), |version| {
        (version.ts, version.seq.saturating_mul(4).saturating_add(i64::from(version.rank & 3)))
    })
}

enum Outcome {
    Taken,
    NextRound,
    Stale,
    StalePartial,
}

fn kind(change: &Change) -> Kind {
    match (change.op, &change.changed) {
        (Op::Delete, _) => Kind::Delete,
        (_, Some(_)) => Kind::Partial,
        (_, None) => Kind::Whole,
    }
}

impl<'a> Row<'a> {
    fn new(key: &'a Identity, record: &'a Record, change: &'a Change) -> Self {
        let kind = kind(change);
        let content = if kind == Kind::Delete { Content::Nothing } else { Content::One(change) };
        Self { key, record, version: version(record, change), kind, content, reset: false, folded: 0, round: 0 }
    }

    /// Lets the next record of the same key act on this row, if its version permits.
    fn absorb(&mut self, record: &'a Record, change: &'a Change) -> Outcome {
        let (next, next_kind) = (version(record, change), kind(change));
        // Partial updates of one version are applied in topic order; for whole records the first of a version stands.
        let newer = if next_kind == Kind::Partial { next >= self.version } else { next > self.version };
        if !newer {
            return if next_kind == Kind::Partial { Outcome::StalePartial } else { Outcome::Stale };
        }
        // What merges with an earlier record is only right if the table would have taken that record. Offsets say so, for they are
        // the order of the topic; with versions of the source only the table knows.
        let by_offset = self.version.0 == 0 && next.0 == 0;
        let replaces = match (&self.content, next_kind) {
            (Content::Nothing, Kind::Delete) => true,
            (Content::One(before), Kind::Whole) => {
                self.kind != Kind::Delete && !self.reset && Arc::ptr_eq(&before.schema, &change.schema)
            }
            _ => false,
        };
        if !(by_offset || replaces) {
            return Outcome::NextRound;
        }
        match next_kind {
            Kind::Delete => self.kind = Kind::Delete,
            Kind::Whole if self.kind == Kind::Delete => {
                (self.kind, self.reset, self.content) = (Kind::Whole, true, Content::One(change));
            }
            Kind::Whole => {
                if replaces {
                    self.content = Content::One(change);
                } else {
                    self.merge(change);
                }
                self.kind = Kind::Whole;
            }
            Kind::Partial if self.kind == Kind::Delete => {
                (self.kind, self.reset, self.content) = (Kind::Partial, true, Content::One(change));
            }
            Kind::Partial => self.merge(change),
        }
        (self.record, self.version) = (record, next);
        self.folded += 1;
        Outcome::Taken
    }

    /// Takes the fields that `change` carries over those already there.
    fn merge(&mut self, change: &'a Change) {
        let mut merged = match std::mem::replace(&mut self.content, Content::Nothing) {
            Content::Nothing => BTreeMap::new(),
            Content::One(before) => carried(before).collect(),
            Content::Merged(merged) => merged,
        };
        merged.extend(carried(change));
        self.content = Content::Merged(merged);
    }

    /// The schema of the one change that the row consists of; rows with the same one set the same columns.
    pub(crate) fn schema(&self) -> Option<&'a Schema> {
        match &self.content {
            Content::One(change) => Some(&change.schema),
            Content::Nothing | Content::Merged(_) => None,
        }
    }
}

/// Whether the record lived at some moment of the batch: if the table's row is deleted, it then starts from nothing.
pub(crate) fn revives(row: &Row<'_>) -> bool {
    !matches!(row.content, Content::Nothing)
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
        let carries = changed.is_none_or(|changed| u16::try_from(at).is_ok_and(|at| changed.binary_search(&at).is_ok()));
        carries.then_some((field.name.as_str(), Field { value, schema: &field.schema }))
    })
}

#[cfg(test)]
mod tests;
