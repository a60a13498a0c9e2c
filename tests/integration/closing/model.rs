//! The rows that a topic's records lead to, computed from the records alone.

use std::collections::BTreeMap;

/// A record of a topic, reduced to its effect on its row.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) id: i64,
    /// The op, as the history names it.
    pub(super) op: &'static str,
    /// The version of the source; `None` if the offset is the version.
    pub(super) version: Option<i64>,
    /// Whether fields that the record does not carry keep their values.
    pub(super) is_partial: bool,
    /// The fields that the record carries, as text; an empty text is null.
    pub(super) values: BTreeMap<&'static str, String>,
}

#[derive(Debug, Default)]
struct Row {
    values: BTreeMap<&'static str, String>,
    deleted: bool,
    place: (i32, i64),
    version: (i64, i64),
}

/// The rows of a table, and its history.
#[derive(Debug)]
pub(super) struct Model {
    columns: &'static [&'static str],
    rows: BTreeMap<i64, Row>,
    history: BTreeMap<(i32, i64), String>,
    records: usize,
    ends: BTreeMap<i32, i64>,
    /// Records that were older than their row.
    pub(super) stale: usize,
}

impl Model {
    pub(super) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: BTreeMap::new(), history: BTreeMap::new(), records: 0, ends: BTreeMap::new(), stale: 0 }
    }

    /// Applies the next record of its partition.
    pub(super) fn take(&mut self, act: &Act) {
        let place = (act.partition, act.offset);
        let line = format!("{}|{}|{}|{}|{}", act.partition, act.offset, act.id, act.op, self.text(&act.values));
        self.records += 1;
        self.ends.insert(act.partition, act.offset + 1);
        // A tombstone directly after its delete is ignored; all tombstones here are such.
        if act.op == "tombstone" {
            return;
        }
        assert!(self.history.insert(place, line).is_none(), "each offset has one record");
        let version = act.version.map_or((0, act.offset), |version| (version, 0));
        let row = self.rows.entry(act.id).or_insert_with(|| Row { deleted: true, version: (-1, -1), ..Row::default() });
        if version < row.version || (version == row.version && !act.is_partial) {
            self.stale += 1;
            return;
        }
        (row.version, row.place) = (version, place);
        if act.op == "delete" {
            row.deleted = true;
            return;
        }
        // A record after a delete starts from an empty row.
        if std::mem::take(&mut row.deleted) {
            row.values.clear();
        }
        row.values.extend(act.values.clone());
    }

    fn text(&self, values: &BTreeMap<&'static str, String>) -> String {
        let values: Vec<&str> =
            self.columns.iter().map(|column| values.get(column).map_or("", String::as_str)).collect();
        values.join("|")
    }

    /// The number of records.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The next offset of each partition.
    pub(super) fn ends(&self) -> BTreeMap<i32, i64> {
        self.ends.clone()
    }

    /// The lines of the table: id, columns, deleted, and partition and offset of the last effective record.
    pub(super) fn table(&self) -> Vec<String> {
        let line = |(id, row): (&i64, &Row)| {
            let deleted = if row.deleted { "t" } else { "f" };
            format!("{id}|{}|{deleted}|{}|{}", self.text(&row.values), row.place.0, row.place.1)
        };
        self.rows.iter().map(line).collect()
    }

    /// The lines of the history: partition, offset, id, op, columns.
    pub(super) fn history(&self) -> Vec<String> {
        self.history.values().cloned().collect()
    }
}
