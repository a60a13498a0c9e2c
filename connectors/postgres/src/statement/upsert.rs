//! Upserts of whole rows, the usual case.

use std::fmt::Write as _;

use super::{
    ColumnSet, PARTITION, Parameters, Refused, Statement, arrays::values, input_column, input_keys, is_deleted,
    key_names, order::excluded_follows, same_key,
};
use crate::{
    config::MetadataColumns,
    fold::Row,
    key::Keys,
    name::quoted,
    table::{Column, Table},
};

/// Inserts whole rows, or overwrites rows that are known to be older. Returns one row of two columns: rows inserted,
/// and rows written. [`look`](super::look) finds the reason for rows that were not written.
///
/// # Errors
/// A row in `rows` has a value that its column does not hold.
pub(crate) fn upsert(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    set: &ColumnSet,
    rows: &[&Row<'_>],
) -> Result<Statement, Refused> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    let columns: Vec<&Column> = set.iter().filter_map(|&at| table.columns.get(at)).collect();
    let (mut list, mut values_list) = (key_names(&table.keys), input_keys(&table.keys));
    let mut assign = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let name = quoted(&column.name);
        parameters.add(format!("c{at}"), values(column, rows)?);
        values_list.push(input_column('c', at, column.cast.as_deref()));
        assign.push(format!("{name} = EXCLUDED.{name}"));
        list.push(name);
    }
    // A record of an older schema leaves newer columns unchanged, unless the row was deleted: then they become null.
    if table.metadata != MetadataColumns::None {
        for (_, column) in table.columns.iter().enumerate().filter(|(at, _)| set.binary_search(at).is_err()) {
            let name = quoted(&column.name);
            assign.push(format!("{name} = CASE WHEN {} THEN NULL ELSE t.{name} END", is_deleted(table.metadata)));
        }
    }
    let own = metadata_values(table.metadata);
    for (name, value) in &own {
        list.push((*name).to_owned());
        values_list.push((*value).to_owned());
        // A record without a version keeps the version of its row.
        assign.push(match *name {
            "_towpath_ts" => "_towpath_ts = greatest(EXCLUDED._towpath_ts, t._towpath_ts)".to_owned(),
            "_towpath_seq" => "_towpath_seq = CASE WHEN EXCLUDED._towpath_ts < t._towpath_ts THEN t._towpath_seq
               ELSE EXCLUDED._towpath_seq END"
                .to_owned(),
            _ => format!("{name} = EXCLUDED.{name}"),
        });
    }
    let mut conflict = format!("ON CONFLICT ({}) DO ", key_names(&table.keys).join(", "));
    // Writing to a String cannot fail.
    let _ = match (assign.is_empty(), own.is_empty()) {
        (true, _) => write!(conflict, "NOTHING"),
        (false, true) => write!(conflict, "UPDATE SET {}", assign.join(", ")),
        (false, false) => write!(conflict, "UPDATE SET {} WHERE {}", assign.join(", "), excluded_follows()),
    };
    // A partitioned table does not report whether a row was inserted, so existing rows are counted first.
    let (returning, inserted) = if table.is_partitioned {
        let exists = format!("(SELECT FROM {} AS t WHERE {} OFFSET 0)", table.name.sql(), same_key(&table.keys));
        ("RETURNING 1", format!("(SELECT pg_catalog.count(*) FROM x WHERE NOT EXISTS {exists})"))
    } else {
        ("RETURNING xmax = 0 AS inserted", "pg_catalog.count(*) FILTER (WHERE inserted)".to_owned())
    };
    let (with, from) = if table.is_partitioned {
        (format!("x AS MATERIALIZED (SELECT * FROM {}),", parameters.rows()), "x".to_owned())
    } else {
        (String::new(), parameters.rows())
    };
    let sql = format!(
        "WITH {with} applied AS (
           INSERT INTO {name} AS t ({list}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {from} {conflict} {returning})
         SELECT {inserted}, pg_catalog.count(*) FROM applied",
        name = table.name.sql(),
        list = list.join(", "),
        values = values_list.join(", "),
    );
    Ok(parameters.into_statement(sql))
}

/// The metadata columns of a live row, with their values.
fn metadata_values(metadata: MetadataColumns) -> Vec<(&'static str, &'static str)> {
    if metadata == MetadataColumns::None {
        return vec![];
    }
    let mut values = vec![
        ("_towpath_ts", "x.ts"),
        ("_towpath_seq", "x.seq"),
        ("_towpath_offset", "x.o"),
        ("_towpath_partition", PARTITION),
        ("_towpath_deleted", "false"),
    ];
    values.extend((metadata == MetadataColumns::Full).then_some(("_towpath_applied_at", "pg_catalog.now()")));
    values
}
