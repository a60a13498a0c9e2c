//! Partial updates and soft deletes.

use super::{
    PARTITION, Parameters, Statement,
    arrays::{flags, masks, values},
    came_later, input_column, input_keys, is_deleted, is_newer, is_undecided, key_names, same_key,
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
/// Returns one row of six columns: rows inserted; rows updated, both without deletes; rows deleted; stale rows; of the
/// stale rows, the places in `rows` (from 1) of those that the table has never applied and of deletes whose order is
/// unknown; and rows left out because there is no row to update.
///
/// # Errors
/// The index in `rows` of a row with a value out of the range of its column.
pub(crate) fn patch(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    inserts: bool,
    rows: &[&Row<'_>],
) -> Result<Statement, usize> {
    let metadata = table.metadata;
    let mut parameters = Parameters::with_partition(metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    parameters.add("gone", flags(rows, |row| row.kind == RowKind::Delete));
    parameters.add("mask", masks(table, rows));
    let (mut list, mut inserted) = (key_names(&table.keys), input_keys(&table.keys));
    let mut assign = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        parameters.add(format!("c{at}"), values(column, rows)?);
        let (name, value) = (quoted(&column.name), input_column('c', at, column.cast.as_deref()));
        assign.push(format!(
            "{name} = CASE WHEN get_bit(x.mask, {at}) = 1 THEN {value}
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
    let known = known(metadata);
    let newer = newer(metadata, &known);
    if assign.is_empty() {
        // The table has only the key: nothing changes.
        assign
            .push(format!("{0} = t.{0}", quoted(&table.keys.first().map_or_else(String::new, |key| key.name.clone()))));
    }
    let name = table.name.sql();
    let same = same_key(&table.keys);
    let insert = if inserts {
        format!(
            "INSERT INTO {name} ({}) SELECT {} FROM x WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same})
               RETURNING {} AS gone",
            list.join(", "),
            inserted.join(", "),
            if metadata == MetadataColumns::None { "false" } else { "_towpath_deleted" },
        )
    } else {
        "SELECT false AS gone WHERE false".to_owned()
    };
    let absent = if inserts {
        "0::bigint".to_owned()
    } else {
        format!("(SELECT count(*) FROM x WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same}))")
    };
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}),
         updated AS (UPDATE {name} AS t SET {assign} FROM x WHERE {same} AND {newer} RETURNING x.gone),
         inserted AS ({insert}),
         old AS (SELECT x.place, CASE WHEN x.gone THEN NOT {undecided} ELSE {known} END AS known
           FROM x JOIN {name} AS t ON {same} WHERE NOT {newer})
         SELECT (SELECT count(*) FROM inserted WHERE NOT gone), (SELECT count(*) FROM updated WHERE NOT gone),
                (SELECT count(*) FROM inserted WHERE gone) + (SELECT count(*) FROM updated WHERE gone),
                (SELECT count(*) FROM old),
                (SELECT coalesce(array_agg(place), '{{}}') FROM old WHERE NOT known), {absent}",
        rows = parameters.counted_rows(),
        assign = assign.join(", "),
        undecided = is_undecided(metadata),
    );
    Ok(parameters.into_statement(sql))
}

/// SQL: the table's row has already applied the input row, because its last record comes later in the same partition.
fn known(metadata: MetadataColumns) -> String {
    if metadata == MetadataColumns::None {
        return "true".to_owned();
    }
    format!("({PARTITION} = t._towpath_partition AND x.o <= t._towpath_offset)")
}

/// SQL: the input row changes the table's row. A partial update of the same version comes later in the topic; a delete
/// of the same version came earlier.
fn newer(metadata: MetadataColumns, known: &str) -> String {
    if metadata == MetadataColumns::None {
        return "true".to_owned();
    }
    format!(
        "({} OR (x.gone AND {}) OR (NOT x.gone AND (x.ts, x.seq) = (t._towpath_ts, t._towpath_seq) AND NOT {known}))",
        is_newer(metadata),
        came_later(metadata)
    )
}

/// The metadata columns, with their values in an inserted and in an updated row. A delete without a version keeps the
/// version of the row.
fn metadata_values(metadata: MetadataColumns) -> Vec<(&'static str, &'static str, &'static str)> {
    let ts = (
        "_towpath_ts",
        "x.ts",
        "CASE WHEN x.gone AND x.ts = 0 AND t._towpath_ts <> 0 THEN t._towpath_ts ELSE x.ts END",
    );
    let seq = (
        "_towpath_seq",
        "x.seq",
        "CASE WHEN x.gone AND x.ts = 0 AND t._towpath_ts <> 0 THEN t._towpath_seq ELSE x.seq END",
    );
    if metadata == MetadataColumns::None {
        return vec![];
    }
    let mut values = vec![
        ts,
        seq,
        ("_towpath_offset", "x.o", "x.o"),
        ("_towpath_partition", PARTITION, PARTITION),
        ("_towpath_deleted", "x.gone", "x.gone"),
    ];
    values.extend((metadata == MetadataColumns::Full).then_some(("_towpath_applied_at", "now()", "now()")));
    values
}
