//! The SQL that changes rows, and the arrays it is given.
//!
//! One statement takes all rows of a kind, whatever their number: an array for each column, unnested side by side.
//! Each is guarded by the version of the row, so that a stale record changes nothing.

use std::fmt::Write as _;

use apache_avro::{schema::Schema, types::Value};
use tokio_postgres::types::ToSql;
use towpath_api::Change;

use crate::{
    column::{ColumnArray, ColumnType, Misfit},
    fold::{Content, Field, Kind, Row, carried, revives},
    name::quoted,
    table::{Column, Table},
};

/// A statement with its parameters.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    arrays: Vec<ColumnArray>,
    partition: i32,
}

impl Statement {
    /// The parameters, in the order of `$1`, `$2` and so on.
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let partition: &(dyn ToSql + Sync) = &self.partition;
        std::iter::once(partition).chain(self.arrays.iter().map(|array| array as _)).collect()
    }
}

/// Which columns a whole row sets: positions in [`Table::columns`], ascending.
pub(crate) type ColumnSet = Vec<usize>;

/// The columns that a row sets: those it carries values for, or all of them when the others become null.
pub(crate) fn columns_of(table: &Table, row: &Row<'_>) -> ColumnSet {
    if row.reset {
        return (0..table.columns.len()).collect();
    }
    let mut set: ColumnSet = match &row.content {
        Content::Nothing => Vec::new(),
        Content::One(change) => carried(change).filter_map(|(field, _)| table.position(field)).collect(),
        Content::Merged(fields) => fields.keys().filter_map(|field| table.position(field)).collect(),
    };
    set.sort_unstable();
    set
}

/// Inserts whole rows or overwrites older ones. Returns one row: inserted, applied.
///
/// # Errors
/// The index in `rows` of a row that holds a value which no column takes.
pub(crate) fn upsert(table: &Table, partition: i32, set: &ColumnSet, rows: &[&Row<'_>]) -> Result<Statement, usize> {
    let columns: Vec<&Column> = set.iter().filter_map(|&at| table.columns.get(at)).collect();
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let (mut casts, mut given, mut list, mut assign) = (String::new(), String::new(), String::new(), String::new());
    for (at, (column, name)) in columns.iter().zip(&names).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(casts, ", ${}::{}[]", at + OWN + 1, column.ty.array_element());
        let _ = write!(given, ", c{at}");
        let _ = write!(list, ", {name}");
        let _ = write!(assign, ", {name} = EXCLUDED.{name}");
    }
    // A record of an older schema leaves newer columns alone, unless the row was deleted: then it starts from nothing.
    for column in table.columns.iter().enumerate().filter(|(at, _)| set.binary_search(at).is_err()).map(|(_, column)| column) {
        let name = quoted(&column.name);
        let _ = write!(assign, ", {name} = CASE WHEN t._towpath_deleted THEN NULL ELSE t.{name} END");
    }
    let sql = format!(
        "WITH applied AS (
           INSERT INTO {name} AS t (id{list}, {OWN_COLUMNS})
           SELECT k{given}, ts, seq, o, now(), $1::integer, false
           FROM unnest($2::{key}[], $3::bigint[], $4::bigint[], $5::bigint[]{casts}) AS x(k, ts, seq, o{given})
           ON CONFLICT (id) DO UPDATE SET {ASSIGN_OWN}{assign}
           WHERE (EXCLUDED._towpath_ts, EXCLUDED._towpath_seq) > (t._towpath_ts, t._towpath_seq)
           RETURNING xmax = 0 AS inserted)
         SELECT count(*) FILTER (WHERE inserted), count(*) FROM applied",
        name = table.name.sql(),
        key = table.key.array_element(),
    );
    let mut arrays = own_arrays(table, rows)?;
    for column in columns {
        arrays.push(values(column, rows)?);
    }
    Ok(Statement { sql, arrays, partition })
}

/// Inserts or changes rows by the fields that they carry, and marks deleted ones.
///
/// Returns one row: rows inserted and rows updated that live on, rows deleted, rows that were older than the table's, and of these
/// the places in `rows` (from 1) of partial updates that the table's row has not taken in before.
///
/// # Errors
/// As for [`upsert`].
pub(crate) fn patch(table: &Table, partition: i32, rows: &[&Row<'_>]) -> Result<Statement, usize> {
    let (mut casts, mut given, mut list, mut assign) = (String::new(), String::new(), String::new(), String::new());
    for (at, column) in table.columns.iter().enumerate() {
        let name = quoted(&column.name);
        let _ = write!(casts, ", ${}::{}[]", at + OWN + 4, column.ty.array_element());
        let _ = write!(given, ", c{at}");
        let _ = write!(list, ", {name}");
        let _ = write!(
            assign,
            ", {name} = CASE WHEN get_bit(x.mask, {at}) = 1 THEN x.c{at} \
             WHEN t._towpath_deleted AND x.revives THEN NULL ELSE t.{name} END"
        );
    }
    // The row holds what came before it in its own partition.
    let known = "($1::integer = t._towpath_partition AND x.o <= t._towpath_offset)";
    // A partial update of the row's own version comes later in the topic; a delete of it came before.
    let newer = format!(
        "((x.ts, x.seq) > (t._towpath_ts, t._towpath_seq)
          OR (NOT x.gone AND (x.ts, x.seq) = (t._towpath_ts, t._towpath_seq) AND NOT {known}))"
    );
    let sql = format!(
        "WITH x AS MATERIALIZED (
           SELECT * FROM unnest($2::{key}[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::boolean[], $8::bytea[]{casts})
             WITH ORDINALITY AS x(k, ts, seq, o, gone, revives, mask{given}, place)),
         updated AS (
           UPDATE {name} AS t SET _towpath_ts = x.ts, _towpath_seq = x.seq, _towpath_offset = x.o, _towpath_applied_at = now(),
             _towpath_partition = $1::integer, _towpath_deleted = x.gone{assign}
           FROM x WHERE t.id = x.k AND {newer} RETURNING x.gone),
         inserted AS (
           INSERT INTO {name} (id{list}, {OWN_COLUMNS})
           SELECT k{given}, ts, seq, o, now(), $1::integer, gone FROM x WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE t.id = x.k)
           RETURNING _towpath_deleted AS gone),
         old AS (SELECT x.place, x.gone OR {known} AS known FROM x JOIN {name} AS t ON t.id = x.k WHERE NOT {newer})
         SELECT (SELECT count(*) FROM inserted WHERE NOT gone), (SELECT count(*) FROM updated WHERE NOT gone),
                (SELECT count(*) FROM inserted WHERE gone) + (SELECT count(*) FROM updated WHERE gone),
                (SELECT count(*) FROM old), (SELECT coalesce(array_agg(place), '{{}}') FROM old WHERE NOT known)",
        name = table.name.sql(),
        key = table.key.array_element(),
    );
    let mut arrays = own_arrays(table, rows)?;
    arrays.push(flags(rows, |row| row.kind == Kind::Delete));
    arrays.push(flags(rows, revives));
    arrays.push(masks(table, rows));
    for column in &table.columns {
        arrays.push(values(column, rows)?);
    }
    Ok(Statement { sql, arrays, partition })
}

/// Removes rows, for `delete.mode=hard`. Returns one row: deleted, and how many of the keys have a newer row.
///
/// # Errors
/// As for [`upsert`].
pub(crate) fn remove(table: &Table, partition: i32, rows: &[&Row<'_>]) -> Result<Statement, usize> {
    let sql = format!(
        "WITH x AS MATERIALIZED (
           SELECT * FROM unnest($2::{key}[], $3::bigint[], $4::bigint[], $5::bigint[]) AS x(k, ts, seq, o)),
         removed AS (
           DELETE FROM {name} AS t USING x
           WHERE t.id = x.k AND (x.ts, x.seq) > (t._towpath_ts, t._towpath_seq) RETURNING 1)
         SELECT (SELECT count(*) FROM removed),
                (SELECT count(*) FROM x JOIN {name} AS t ON t.id = x.k
                 WHERE $1::integer IS NOT NULL AND (x.ts, x.seq) <= (t._towpath_ts, t._towpath_seq))",
        name = table.name.sql(),
        key = table.key.array_element(),
    );
    Ok(Statement { sql, arrays: own_arrays(table, rows)?, partition })
}

/// How many parameters each statement has before those of its own kind: partition, key, version (two), offset.
const OWN: usize = 5;
const OWN_COLUMNS: &str = "_towpath_ts, _towpath_seq, _towpath_offset, _towpath_applied_at, _towpath_partition, _towpath_deleted";
const ASSIGN_OWN: &str = "_towpath_ts = EXCLUDED._towpath_ts, _towpath_seq = EXCLUDED._towpath_seq, \
    _towpath_offset = EXCLUDED._towpath_offset, _towpath_applied_at = EXCLUDED._towpath_applied_at, \
    _towpath_partition = EXCLUDED._towpath_partition, _towpath_deleted = EXCLUDED._towpath_deleted";

/// Keys, versions and offsets.
fn own_arrays(table: &Table, rows: &[&Row<'_>]) -> Result<Vec<ColumnArray>, usize> {
    let mut keys = ColumnArray::with_capacity(table.key, rows.len());
    let [mut ts, mut seq, mut offsets] = [(); 3].map(|()| ColumnArray::with_capacity(ColumnType::Bigint, rows.len()));
    for (place, row) in rows.iter().enumerate() {
        keys.push_key(row.key).map_err(|Misfit| place)?;
        ts.push_i64(row.version.0);
        seq.push_i64(row.version.1);
        offsets.push_i64(row.record.offset);
    }
    Ok(vec![keys, ts, seq, offsets])
}

fn flags(rows: &[&Row<'_>], flag: impl Fn(&Row<'_>) -> bool) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Boolean, rows.len());
    rows.iter().for_each(|row| array.push_bool(flag(row)));
    array
}

/// One bit for each column, the lowest first as `get_bit` counts them: 1 where the row sets it.
fn masks(table: &Table, rows: &[&Row<'_>]) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Bytea, rows.len());
    let mut mask = vec![0_u8; table.columns.len().div_ceil(8).max(1)];
    for row in rows {
        mask.fill(0);
        for position in columns_of(table, row) {
            mask[position / 8] |= 1 << (position % 8);
        }
        array.push_bytea(&mask);
    }
    array
}

/// The values of one column for all rows; null where a row does not carry the field.
fn values(column: &Column, rows: &[&Row<'_>]) -> Result<ColumnArray, usize> {
    let mut array = ColumnArray::with_capacity(column.ty, rows.len());
    let mut lookup = FieldLookup::new(&column.field);
    for (place, row) in rows.iter().enumerate() {
        let field = match &row.content {
            Content::Nothing => None,
            Content::One(change) => lookup.find(change),
            Content::Merged(fields) => fields.get(column.field.as_str()).copied(),
        };
        match field {
            None => array.push_null(),
            Some(Field { value, schema }) => array.push(value, schema).map_err(|Misfit| place)?,
        }
    }
    Ok(array)
}

/// Finds one field in many changes: its place is looked up once for each schema, and a batch has one or two.
struct FieldLookup<'a> {
    field: &'a str,
    schema: Option<&'a Schema>,
    place: Option<usize>,
}

impl<'a> FieldLookup<'a> {
    fn new(field: &'a str) -> Self {
        Self { field, schema: None, place: None }
    }

    fn find(&mut self, change: &'a Change) -> Option<Field<'a>> {
        let Schema::Record(record) = change.schema.as_ref() else { return None };
        if !self.schema.is_some_and(|schema| std::ptr::eq(schema, change.schema.as_ref())) {
            self.place = record.lookup.get(self.field).copied();
            self.schema = Some(&change.schema);
        }
        let place = self.place?;
        if let Some(changed) = &change.changed {
            changed.binary_search(&u16::try_from(place).ok()?).ok()?;
        }
        let value: &Value = change.after.as_ref()?.get(place)?;
        Some(Field { value, schema: &record.fields[place].schema })
    }
}
