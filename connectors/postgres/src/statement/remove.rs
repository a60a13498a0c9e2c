//! Deletes: of rows, by tombstones, and by truncates.

use super::{PARTITION, Parameters, Statement, came_later, input_keys, is_newer, is_undecided, key_names, same_key};
use crate::{
    column::{ColumnArray, ColumnType},
    config::{DeleteMode, MetadataColumns},
    fold::{Row, RowVersion},
    key::Keys,
    table::Table,
};

/// Removes rows, for `delete.mode=hard`. Returns one row of three columns: rows deleted; keys with a newer row; and the
/// places in `rows` (from 1) of deletes whose order is unknown.
///
/// # Errors
/// The index in `rows` of a row whose key is out of the range of its column.
pub(crate) fn remove(table: &Table, keys: Keys<'_>, partition: i32, rows: &[&Row<'_>]) -> Result<Statement, usize> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    let newer = newer(table.metadata);
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}),
         removed AS (DELETE FROM {name} AS t USING x WHERE {same} AND {newer} RETURNING 1),
         old AS (SELECT x.place, {undecided} AS undecided FROM x JOIN {name} AS t ON {same} WHERE NOT {newer})
         SELECT (SELECT count(*) FROM removed), (SELECT count(*) FROM old WHERE NOT undecided),
                (SELECT coalesce(array_agg(place), '{{}}') FROM old WHERE undecided)",
        undecided = is_undecided(table.metadata),
        rows = parameters.counted_rows(),
        name = table.name.sql(),
        same = same_key(&table.keys),
    );
    Ok(parameters.into_statement(sql))
}

/// Deletes the live rows of tombstones. With `remembers`, a missing key gets a row marked as deleted, so an older
/// record arriving later cannot create it. Returns one row of two columns: rows deleted, and places as [`remove`] does.
///
/// # Errors
/// As for [`remove`].
pub(crate) fn delete_by_tombstone(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    mode: DeleteMode,
    remembers: bool,
    rows: &[&Row<'_>],
) -> Result<Statement, usize> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    let (same, name, key_list) = (same_key(&table.keys), table.name.sql(), key_names(&table.keys).join(", "));
    let remembered = if remembers && mode == DeleteMode::Soft && table.metadata != MetadataColumns::None {
        let (column, value) =
            if table.metadata == MetadataColumns::Full { (", _towpath_applied_at", ", now()") } else { ("", "") };
        format!(
            ", remembered AS
              (INSERT INTO {name} ({key_list}, _towpath_ts, _towpath_seq, _towpath_offset, _towpath_partition,
                 _towpath_deleted{column})
               SELECT {}, x.ts, x.seq, x.o, {PARTITION}, true{value}
                 FROM x WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same})
               ON CONFLICT ({key_list}) DO NOTHING)",
            input_keys(&table.keys).join(", ")
        )
    } else {
        String::new()
    };
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}), buried AS ({end}){remembered},
         undecided AS (SELECT x.place FROM x JOIN {name} AS t ON {same} WHERE {undecided})
         SELECT (SELECT count(*) FROM buried), (SELECT coalesce(array_agg(place), '{{}}') FROM undecided)",
        end = end(table, mode, &format!("{same} AND")),
        undecided = is_undecided(table.metadata),
        rows = parameters.counted_rows(),
    );
    Ok(parameters.into_statement(sql))
}

/// Deletes every row that is older than a truncate. Returns one row of two columns: rows deleted, and whether the order
/// of any row is unknown, because it was written from another partition and the truncate has no version. In that case
/// the caller must roll back.
pub(crate) fn truncate(table: &Table, partition: i32, mode: DeleteMode, version: RowVersion, offset: i64) -> Statement {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    for (name, number) in [("ts", version.0), ("seq", version.1), ("o", offset)] {
        parameters.add(name, one(number));
    }
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}), buried AS ({end})
         SELECT count(*), EXISTS (SELECT FROM {name} AS t, x WHERE x.ts = 0
           AND t._towpath_partition NOT IN (-1, {PARTITION}))
         FROM buried",
        end = end(table, mode, ""),
        name = table.name.sql(),
        rows = parameters.rows(),
    );
    parameters.into_statement(sql)
}

/// The statement that deletes live, older rows for which the condition `which` holds.
fn end(table: &Table, mode: DeleteMode, which: &str) -> String {
    let (name, newer) = (table.name.sql(), newer(table.metadata));
    if mode == DeleteMode::Hard || table.metadata == MetadataColumns::None {
        return format!("DELETE FROM {name} AS t USING x WHERE {which} {newer} RETURNING 1");
    }
    let full = if table.metadata == MetadataColumns::Full { ", _towpath_applied_at = now()" } else { "" };
    format!(
        "UPDATE {name} AS t SET _towpath_deleted = true, _towpath_offset = x.o, _towpath_partition = {PARTITION}{full},
           _towpath_ts = CASE WHEN x.ts = 0 THEN t._towpath_ts ELSE x.ts END,
           _towpath_seq = CASE WHEN x.ts = 0 AND t._towpath_ts <> 0 THEN t._towpath_seq ELSE x.seq END
         FROM x WHERE {which} NOT t._towpath_deleted AND {newer} RETURNING 1"
    )
}

fn newer(metadata: MetadataColumns) -> String {
    format!("({} OR {})", is_newer(metadata), came_later(metadata))
}

fn one(number: i64) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Bigint, 1);
    array.push_i64(number);
    array
}
