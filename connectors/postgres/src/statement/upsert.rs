//! Whole rows, the usual case.

use std::fmt::Write as _;

use super::{
    ColumnSet, PARTITION, Parameters, Statement, arrays::values, input_column, input_keys, is_deleted, key_names,
    same_key,
};
use crate::{
    config::MetadataColumns,
    fold::Row,
    key::Keys,
    name::quoted,
    table::{Column, Table},
};

/// Inserts whole rows or overwrites older ones. Returns one row: inserted, applied. With `looks_first` rows that are
/// known already are left out before they are locked, which writes nothing at all for them.
///
/// # Errors
/// The index in `rows` of a row that holds a value which no column takes.
pub(crate) fn upsert(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    set: &ColumnSet,
    looks_first: bool,
    rows: &[&Row<'_>],
) -> Result<Statement, usize> {
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
    // A record of an older schema leaves newer columns alone, unless the row was deleted: then it starts from nothing.
    if table.metadata != MetadataColumns::None {
        for (_, column) in table.columns.iter().enumerate().filter(|(at, _)| set.binary_search(at).is_err()) {
            let name = quoted(&column.name);
            assign.push(format!("{name} = CASE WHEN {} THEN NULL ELSE t.{name} END", is_deleted(table.metadata)));
        }
    }
    let own = metadata_values(table.metadata);
    for (name, value) in &own {
        list.push((*name).to_owned());
        values_list.push(value.clone());
        assign.push(format!("{name} = EXCLUDED.{name}"));
    }
    let mut conflict = format!("ON CONFLICT ({}) DO ", key_names(&table.keys).join(", "));
    // Writing to a String cannot fail.
    let _ = match (assign.is_empty(), own.is_empty()) {
        (true, _) => write!(conflict, "NOTHING"),
        (false, true) => write!(conflict, "UPDATE SET {}", assign.join(", ")),
        (false, false) => {
            let newer = "(EXCLUDED._towpath_ts, EXCLUDED._towpath_seq) > (t._towpath_ts, t._towpath_seq)";
            write!(conflict, "UPDATE SET {} WHERE {newer}", assign.join(", "))
        }
    };
    let unknown = if looks_first && !own.is_empty() {
        // OFFSET keeps the planner from joining with the whole table.
        format!(
            " WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {} AND (t._towpath_ts, t._towpath_seq) >= (x.ts, x.seq) OFFSET 0)",
            table.name.sql(),
            same_key(&table.keys)
        )
    } else {
        String::new()
    };
    // A partitioned table cannot say of a row whether it was inserted, so it is asked beforehand which rows it has.
    let (returning, inserted) = if table.is_partitioned {
        let exists = format!("(SELECT FROM {} AS t WHERE {} OFFSET 0)", table.name.sql(), same_key(&table.keys));
        ("RETURNING 1", format!("(SELECT count(*) FROM x WHERE NOT EXISTS {exists})"))
    } else {
        ("RETURNING xmax = 0 AS inserted", "count(*) FILTER (WHERE inserted)".to_owned())
    };
    let (with, from) = if table.is_partitioned {
        (format!("x AS MATERIALIZED (SELECT * FROM {}),", parameters.rows()), "x".to_owned())
    } else {
        (String::new(), parameters.rows())
    };
    let sql = format!(
        "WITH {with} applied AS (
           INSERT INTO {name} AS t ({list}) SELECT {values} FROM {from}{unknown} {conflict} {returning})
         SELECT {inserted}, count(*) FROM applied",
        name = table.name.sql(),
        list = list.join(", "),
        values = values_list.join(", "),
    );
    Ok(parameters.into_statement(sql))
}

/// Towpath's own columns of a row that lives, and what they are parameters.
fn metadata_values(metadata: MetadataColumns) -> Vec<(&'static str, String)> {
    if metadata == MetadataColumns::None {
        return vec![];
    }
    let own = |name, value: &str| (name, value.to_owned());
    let mut values = vec![
        own("_towpath_ts", "x.ts"),
        own("_towpath_seq", "x.seq"),
        own("_towpath_offset", "x.o"),
        own("_towpath_partition", PARTITION),
        own("_towpath_deleted", "false"),
    ];
    values.extend((metadata == MetadataColumns::Full).then(|| own("_towpath_applied_at", "now()")));
    values
}
