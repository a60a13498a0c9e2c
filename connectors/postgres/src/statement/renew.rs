//! Rows of records that lack values which their source did not have.

use super::{Parameters, Refused, Statement, input_keys, is_deleted, key_names, order::is_newer, same_key};
use crate::{
    column::{ColumnArray, ColumnType},
    config::MetadataColumns,
    fold::Row,
    key::Keys,
    name::{literal, quoted},
    table::Table,
};

/// Finds rows that the table cannot supply with values: their key has no row, or one that is deleted and older. Returns
/// their places in `rows`, from 1.
///
/// # Errors
/// The refused value of a row whose key is out of the range of its column.
pub(crate) fn unsupplied(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    rows: &[&Row<'_>],
) -> Result<Statement, Refused> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    parameters.add_times(table, rows);
    let sql = format!(
        "SELECT coalesce(pg_catalog.array_agg(x.place), '{{}}') FROM {rows}
         WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same} AND NOT ({deleted} AND {newer}))",
        rows = parameters.counted_rows(),
        name = table.name.sql(),
        same = same_key(&table.keys),
        deleted = is_deleted(table.metadata),
        newer = is_newer(table.metadata),
    );
    Ok(parameters.into_statement(sql))
}

/// Gives the key of `row` a row that is older than every record, with the values of a deleted row: that of the key
/// which the JSON object `old` has, by the names `parts`. That row must have the values of the fields `wanted`, which
/// are never null: an unavailable value is a large one. The table must have metadata columns. Returns the number of
/// rows, 0 or 1.
///
/// # Errors
/// 0 if the key is out of the range of its column.
pub(crate) fn renew(
    table: &Table,
    keys: Keys<'_>,
    row: &Row<'_>,
    old: &str,
    parts: &[&str],
    wanted: &[&str],
) -> Result<Statement, Refused> {
    let mut parameters = Parameters::default();
    parameters.add_keys(table, keys, &[row])?;
    let mut text = ColumnArray::with_capacity(ColumnType::Text, 1);
    text.push_text(old);
    parameters.add("old", text);
    let old_keys: Vec<_> = table
        .keys
        .iter()
        .zip(parts)
        .enumerate()
        .map(|(at, (key, part))| {
            let value = format!("(x.old::jsonb OPERATOR(pg_catalog.->>) {}::text)", literal(part));
            format!("{value}::{} AS k{at}", key.ty.sql())
        })
        .collect();
    let names = key_names(&table.keys).join(", ");
    let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    let list: String = columns.iter().map(|column| format!(", {column}")).collect();
    let values: String = columns.iter().map(|column| format!(", o.{column}")).collect();
    let assign: String = columns.iter().map(|column| format!("{column} = EXCLUDED.{column}, ")).collect();
    let known: String = wanted
        .iter()
        .filter_map(|field| table.columns.get(table.position(field)?))
        .map(|column| format!(" AND t.{} IS NOT NULL", quoted(&column.name)))
        .collect();
    let (own, value) = if table.metadata == MetadataColumns::Full {
        (", _towpath_applied_at", ", pg_catalog.now()")
    } else {
        ("", "")
    };
    let sql = format!(
        "WITH n AS MATERIALIZED (SELECT * FROM {rows}),
           o AS (SELECT t.* FROM (SELECT {old_keys} FROM n AS x) AS x JOIN {name} AS t ON {same}
                 WHERE t._towpath_deleted{known}),
           renewed AS (
             INSERT INTO {name} AS t ({names}{list}, _towpath_ts, _towpath_seq, _towpath_offset, _towpath_partition,
               _towpath_deleted{own})
             SELECT {new_keys}{values}, 0, -1, -1, -1, false{value} FROM n AS x, o
             ON CONFLICT ({names}) DO UPDATE SET {assign}_towpath_deleted = false RETURNING 1)
         SELECT pg_catalog.count(*) FROM renewed",
        rows = parameters.rows(),
        old_keys = old_keys.join(", "),
        name = table.name.sql(),
        same = same_key(&table.keys),
        known = known,
        new_keys = input_keys(&table.keys).join(", "),
    );
    Ok(parameters.into_statement(sql))
}
