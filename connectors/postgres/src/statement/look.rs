//! Looks at rows without changing them.

use super::{Parameters, Refused, Statement, input_keys, order::is_settled, same_key};
use crate::{fold::Row, key::Keys, table::Table};

/// Finds whole rows that may still change the table: their key has no row, its row is older, or the order is unknown.
/// Returns one row of two columns: the places in `rows` (from 1) of those whose key has no row, and of the
/// others. The table must have metadata columns.
///
/// # Errors
/// The columns of the key do not hold that of a row in `rows`.
pub(crate) fn look(table: &Table, keys: Keys<'_>, partition: i32, rows: &[&Row<'_>]) -> Result<Statement, Refused> {
    let mut parameters = Parameters::with_partition(table.metadata, partition);
    parameters.add_keys_and_versions(table, keys, rows)?;
    // OFFSET keeps the planner from joining the whole table, and from probing twice for each row.
    let sql = format!(
        "SELECT coalesce(pg_catalog.array_agg(place) FILTER (WHERE settled IS NULL), '{{}}'),
                coalesce(pg_catalog.array_agg(place) FILTER (WHERE NOT settled), '{{}}')
         FROM (SELECT x.place, (SELECT {settled} FROM {name} AS t WHERE {same} OFFSET 0) AS settled FROM {rows}
               OFFSET 0) AS y",
        settled = is_settled(table.metadata),
        name = table.name.sql(),
        same = same_key(&table.keys),
        rows = parameters.counted_rows(),
    );
    Ok(parameters.into_statement(sql))
}

/// Counts the keys of `rows` as the table distinguishes them.
///
/// # Errors
/// As for [`look`].
pub(crate) fn count_keys(table: &Table, keys: Keys<'_>, rows: &[&Row<'_>]) -> Result<Statement, Refused> {
    let mut parameters = Parameters::default();
    parameters.add_keys(table, keys, rows)?;
    let (list, rows) = (input_keys(&table.keys).join(", "), parameters.rows());
    let sql = format!("SELECT pg_catalog.count(*) FROM (SELECT DISTINCT {list} FROM {rows}) AS y");
    Ok(parameters.into_statement(sql))
}
