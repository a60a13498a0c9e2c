//! Deletes: of rows, by tombstones, and by truncates.

use super::{
    PARTITION, Parameters, Refused, Statement, input_keys, key_names,
    order::{KEPT_SEQ, KEPT_TS, is_newer, is_undecided, is_unordered},
    same_key,
};
use crate::{
    column::{ColumnArray, ColumnType},
    config::{DeleteMode, MetadataColumns},
    fold::{Row, RowVersion},
    key::Keys,
    table::Table,
};

/// Removes rows, for `delete.mode=hard`. Returns one row of four columns: rows removed; keys with a row; keys with a
/// row that was due to be removed; and the places in `rows` (from 1) of deletes whose order is unknown.
///
/// # Errors
/// The columns of the key do not hold that of a row in `rows`.
pub(crate) fn remove(table: &Table, keys: Keys<'_>, partition: i32, rows: &[&Row<'_>]) -> Result<Statement, Refused> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    parameters.add_times(table, rows);
    let newer = is_newer(table.metadata);
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}),
         removed AS (DELETE FROM {name} AS t USING x WHERE {same} AND {newer} RETURNING 1)
         SELECT (SELECT pg_catalog.count(*) FROM removed), met.* FROM {met}",
        met = met(table, &newer),
        rows = parameters.counted_rows(),
        name = table.name.sql(),
        same = same_key(&table.keys),
    );
    Ok(parameters.into_statement(sql))
}

/// SQL: the keys of `x` with a row; those of them whose row is due to change; and the places of those whose order is
/// unknown.
fn met(table: &Table, due: &str) -> String {
    format!(
        "(SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE due),
            coalesce(pg_catalog.array_agg(place) FILTER (WHERE NOT due AND undecided), '{{}}')
          FROM (SELECT x.place, {due} AS due, {undecided} AS undecided
                FROM x JOIN {name} AS t ON {same}) AS old) AS met",
        undecided = is_undecided(table.metadata, "true"),
        name = table.name.sql(),
        same = same_key(&table.keys),
    )
}

/// Deletes the live rows of tombstones. With `remembers`, a missing key gets a row marked as deleted, so an older
/// record arriving later cannot create it. Returns the columns of [`remove`], and as the fifth the keys that got a row.
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
) -> Result<Statement, Refused> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    parameters.add_times(table, rows);
    let (same, name, key_list) = (same_key(&table.keys), table.name.sql(), key_names(&table.keys).join(", "));
    let remembered = if remembers {
        let (column, value) = if table.metadata == MetadataColumns::Full {
            (", _towpath_applied_at", ", pg_catalog.now()")
        } else {
            ("", "")
        };
        format!(
            "remembered AS
              (INSERT INTO {name} ({key_list}, _towpath_ts, _towpath_seq, _towpath_offset, _towpath_partition,
                 _towpath_deleted{column})
               OVERRIDING SYSTEM VALUE SELECT {}, x.ts, x.seq, x.o, {PARTITION}, true{value}
                 FROM x WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same})
               ON CONFLICT ({key_list}) DO NOTHING RETURNING 1)",
            input_keys(&table.keys).join(", ")
        )
    } else {
        "remembered AS (SELECT 1 WHERE false)".to_owned()
    };
    let due = due(table, mode);
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}), buried AS ({end}), {remembered}
         SELECT (SELECT pg_catalog.count(*) FROM buried), met.*,
                (SELECT pg_catalog.count(*) FROM remembered) FROM {met}",
        end = end(table, mode, &format!("{same} AND {due}")),
        met = met(table, &due),
        rows = parameters.counted_rows(),
    );
    Ok(parameters.into_statement(sql))
}

/// Returns true if a tombstone for a key without a row gets a row marked as deleted.
pub(crate) fn remembers_tombstones(table: &Table, mode: DeleteMode) -> bool {
    mode == DeleteMode::Soft && table.metadata != MetadataColumns::None
}

/// Deletes every row that is older than a truncate. Returns one row of two columns: rows deleted, and whether the order
/// of any row is unknown, because it was written from another partition and the truncate has no version, or the same
/// version. In that case the caller must roll back.
pub(crate) fn truncate(table: &Table, partition: i32, mode: DeleteMode, version: RowVersion, offset: i64) -> Statement {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    // Without a time: the time of one row says nothing about rows that other partitions still have to write.
    for (name, number) in [("ts", version.0), ("seq", version.1), ("o", offset), ("tm", 0)] {
        parameters.add(name, one(number));
    }
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}), buried AS ({end})
         SELECT pg_catalog.count(*), EXISTS (SELECT FROM {name} AS t, x WHERE {unordered}) FROM buried",
        end = end(table, mode, &due(table, mode)),
        unordered = is_unordered(table.metadata),
        name = table.name.sql(),
        rows = parameters.rows(),
    );
    parameters.into_statement(sql)
}

/// SQL: the row in the table is live, and older than the input row.
fn due(table: &Table, mode: DeleteMode) -> String {
    let newer = is_newer(table.metadata);
    if removes(table, mode) { newer } else { format!("(NOT t._towpath_deleted AND {newer})") }
}

/// Without metadata columns a row cannot be marked as deleted.
fn removes(table: &Table, mode: DeleteMode) -> bool {
    mode == DeleteMode::Hard || table.metadata == MetadataColumns::None
}

/// The statement that deletes the rows for which the condition `which` holds.
fn end(table: &Table, mode: DeleteMode, which: &str) -> String {
    let name = table.name.sql();
    if removes(table, mode) {
        return format!("DELETE FROM {name} AS t USING x WHERE {which} RETURNING 1");
    }
    let full = if table.metadata == MetadataColumns::Full { ", _towpath_applied_at = pg_catalog.now()" } else { "" };
    format!(
        "UPDATE {name} AS t SET _towpath_deleted = true, _towpath_offset = x.o, _towpath_partition = {PARTITION}{full},
           _towpath_ts = {KEPT_TS}, _towpath_seq = {KEPT_SEQ} FROM x WHERE {which} RETURNING 1"
    )
}

fn one(number: i64) -> ColumnArray {
    let mut array = ColumnArray::with_capacity(ColumnType::Bigint, 1);
    array.push_i64(number);
    array
}
