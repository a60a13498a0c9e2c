//! Partial updates and soft deletes.

use super::{
    PARTITION, Parameters, Refused, Statement,
    arrays::{flags, masks, values},
    input_column, input_keys, is_deleted, key_names,
    order::{KEPT_SEQ, KEPT_TS, is_known, is_newer, is_undecided},
    same_key,
};
use crate::{
    config::MetadataColumns,
    fold::{Row, RowKind},
    key::Keys,
    name::quoted,
    table::Table,
};

/// Sets the fields that rows carry, and marks rows as deleted; with `inserts`, missing rows are inserted.
///
/// Returns one row of seven columns: rows inserted; rows updated, both without deletes; rows deleted; keys with a row;
/// keys with a row that was due to change; the places in `rows` (from 1) of rows whose order is unknown; and of rows
/// older than their row that the table has never applied.
///
/// # Errors
/// A row in `rows` has a value that its column does not hold.
pub(crate) fn patch(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    inserts: bool,
    rows: &[&Row<'_>],
) -> Result<Statement, Refused> {
    let metadata = table.metadata;
    let mut parameters = Parameters::with_partition(metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    parameters.add_times(table, rows);
    parameters.add("gone", flags(rows, |row| row.kind == RowKind::Delete));
    parameters.add("mask", masks(table, rows));
    let (mut list, mut inserted) = (key_names(&table.keys), input_keys(&table.keys));
    let mut assign = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        parameters.add(format!("c{at}"), values(column, rows)?);
        let (name, value) = (quoted(&column.name), input_column('c', at, column.cast.as_deref()));
        assign.push(format!(
            "{name} = CASE WHEN pg_catalog.get_bit(x.mask, {at}) = 1 THEN {value}
               WHEN {} AND NOT x.gone THEN NULL ELSE t.{name} END",
            is_deleted(metadata)
        ));
        list.push(name);
        inserted.push(value);
    }
    for (name, on_insert, on_update) in metadata_values(metadata) {
        list.push(name.to_owned());
        inserted.push(on_insert.to_owned());
        assign.push(format!("{name} = {on_update}"));
    }
    let newer = is_newer(metadata);
    if assign.is_empty() {
        // The table has only the key: nothing changes.
        assign
            .push(format!("{0} = t.{0}", quoted(&table.keys.first().map_or_else(String::new, |key| key.name.clone()))));
    }
    let name = table.name.sql();
    let same = same_key(&table.keys);
    let insert = if inserts {
        format!(
            "INSERT INTO {name} ({}) OVERRIDING SYSTEM VALUE
               SELECT {} FROM x WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same})
               ON CONFLICT ({}) DO NOTHING RETURNING {} AS gone",
            list.join(", "),
            inserted.join(", "),
            key_names(&table.keys).join(", "),
            if metadata == MetadataColumns::None { "false" } else { "_towpath_deleted" },
        )
    } else {
        "SELECT false AS gone WHERE false".to_owned()
    };
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}),
         updated AS (UPDATE {name} AS t SET {assign} FROM x WHERE {same} AND {newer} RETURNING x.gone),
         inserted AS ({insert})
         SELECT (SELECT pg_catalog.count(*) FROM inserted WHERE NOT gone),
                (SELECT pg_catalog.count(*) FROM updated WHERE NOT gone),
                (SELECT pg_catalog.count(*) FROM inserted WHERE gone)
                  + (SELECT pg_catalog.count(*) FROM updated WHERE gone), met.*
         FROM (SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE newer),
                 coalesce(pg_catalog.array_agg(place) FILTER (WHERE NOT newer AND undecided), '{{}}'),
                 coalesce(pg_catalog.array_agg(place) FILTER (WHERE NOT newer AND NOT undecided AND NOT known), '{{}}')
               FROM (SELECT x.place, {newer} AS newer, {undecided} AS undecided, {known} AS known
                     FROM x JOIN {name} AS t ON {same}) AS old) AS met",
        rows = parameters.counted_rows(),
        assign = assign.join(", "),
        undecided = is_undecided(metadata, "x.gone"),
        known = is_known(metadata),
    );
    Ok(parameters.into_statement(sql))
}

/// The metadata columns, with their values in an inserted and in an updated row.
fn metadata_values(metadata: MetadataColumns) -> Vec<(&'static str, &'static str, &'static str)> {
    if metadata == MetadataColumns::None {
        return vec![];
    }
    let mut values = vec![
        ("_towpath_ts", "x.ts", KEPT_TS),
        ("_towpath_seq", "x.seq", KEPT_SEQ),
        ("_towpath_offset", "x.o", "x.o"),
        ("_towpath_partition", PARTITION, PARTITION),
        ("_towpath_deleted", "x.gone", "x.gone"),
    ];
    values.extend((metadata == MetadataColumns::Full).then_some((
        "_towpath_applied_at",
        "pg_catalog.now()",
        "pg_catalog.now()",
    )));
    values
}
