//! Rows that carry some of their fields, and soft deletes.

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

/// Changes rows by the fields that they carry, and marks deleted ones; with `inserts` makes rows that are not there.
///
/// Returns one row: rows inserted and rows updated that live on, rows deleted, rows that were older than the table's,
/// of these the places in `rows` (from 1) of those that the table's row has not taken in before and of deletes of which
/// nobody can say whether they come later, and rows left out since there is none to change.
///
/// # Errors
/// The index in `rows` of a row that holds a value which no column takes.
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
            "{name} = CASE WHEN get_bit(x.mask, {at}) = 1 THEN {value} WHEN {} AND NOT x.gone THEN NULL ELSE t.{name} END",
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
        // Nothing but the key: there is nothing to change.
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
         old AS (SELECT x.place, CASE WHEN x.gone THEN NOT {undecided} ELSE {known} END AS known FROM x JOIN {name} AS t ON {same} WHERE NOT {newer})
         SELECT (SELECT count(*) FROM inserted WHERE NOT gone), (SELECT count(*) FROM updated WHERE NOT gone),
                (SELECT count(*) FROM inserted WHERE gone) + (SELECT count(*) FROM updated WHERE gone),
                (SELECT count(*) FROM old), (SELECT coalesce(array_agg(place), '{{}}') FROM old WHERE NOT known), {absent}",
        rows = parameters.counted_rows(),
        assign = assign.join(", "),
        undecided = is_undecided(metadata),
    );
    Ok(parameters.into_statement(sql))
}

/// Whether the table's row has taken in what is parameters: it holds what came before it in its own partition.
fn known(metadata: MetadataColumns) -> String {
    if metadata == MetadataColumns::None {
        return "true".to_owned();
    }
    format!("({PARTITION} = t._towpath_partition AND x.o <= t._towpath_offset)")
}

/// Whether what is parameters changes the row. A partial update of the row's own version comes later in the topic; a delete
/// of it came before.
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

/// Towpath's own columns, what they are parameters in a new row, and in one that is there. A delete without a version leaves
/// the version.
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
