//! Unique values that a row gives up, for the sake of another row.

use super::{
    Parameters, Refused, Statement, arrays::values, columns_of, input_column, input_keys, is_deleted, key_names,
    same_key,
};
use crate::{fold::Row, key::Keys, name::quoted, table::Table};

/// A unique index or an exclusion constraint, other than that of the key.
#[derive(Debug)]
pub(crate) struct Exclusive {
    /// Columns or expressions, each with the operator that compares two rows.
    pub(crate) parts: Vec<(String, String)>,
    /// The condition of a partial index.
    pub(crate) predicate: Option<String>,
    /// The columns in all of this, not quoted.
    pub(crate) columns: Vec<String>,
    /// Those that can be set to null.
    pub(crate) nullable: Vec<String>,
}

/// Takes the values of a unique index, or of an exclusion constraint, from the deleted rows that keep `row` from being
/// written: their columns become null or, if none of them may be null and `removes`, the rows are removed. Returns
/// the number of those rows.
///
/// # Errors
/// A value is out of the range of its column.
pub(crate) fn free(
    table: &Table,
    keys: Keys<'_>,
    exclusive: &Exclusive,
    row: &Row<'_>,
    removes: bool,
) -> Result<Option<Statement>, Refused> {
    if exclusive.nullable.is_empty() && !removes {
        return Ok(None);
    }
    let (mut parameters, rows) = (Parameters::default(), [row]);
    parameters.add_keys(table, keys, &rows)?;
    let (names, key_values) = (key_names(&table.keys), input_keys(&table.keys));
    let (same, name, carried) = (same_key(&table.keys), table.name.sql(), columns_of(table, row));
    let mut inputs = Vec::new();
    for column in &exclusive.columns {
        let column = quoted(column);
        let key = names.iter().position(|key| *key == column).map(|at| key_values[at].clone());
        let field = carried.iter().find(|&&at| quoted(&table.columns[at].name) == column);
        let input = match (key, field) {
            (Some(key), _) => key,
            (None, Some(&at)) => {
                parameters.add(format!("c{at}"), values(&table.columns[at], &rows)?);
                input_column('c', at, table.columns[at].cast.as_deref())
            }
            // The record leaves the value of its row.
            (None, None) => format!("(SELECT t.{column} FROM {name} AS t WHERE {same})"),
        };
        inputs.push(format!("{input} AS {column}"));
    }
    let parts = || exclusive.parts.iter().enumerate();
    let new: Vec<_> = parts().map(|(at, (part, _))| format!("{part} AS _towpath_{at}")).collect();
    let met: Vec<_> = parts().map(|(at, (part, equals))| format!("({part}) {equals} n._towpath_{at}")).collect();
    let only = exclusive.predicate.as_ref().map_or_else(|| "true".to_owned(), |only| format!("({only})"));
    let change = if exclusive.nullable.is_empty() {
        format!("DELETE FROM {name} AS t USING n")
    } else {
        format!("UPDATE {name} AS t SET {} FROM n", to_null(&exclusive.nullable))
    };
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}), r AS (SELECT {inputs} FROM x),
           n AS (SELECT {new} FROM r WHERE {only}),
           freed AS ({change} WHERE {deleted} AND {met} AND {only} RETURNING 1)
         SELECT pg_catalog.count(*) FROM freed",
        rows = parameters.rows(),
        inputs = inputs.join(", "),
        new = new.join(", "),
        met = met.join(" AND "),
        deleted = is_deleted(table.metadata),
    );
    Ok(Some(parameters.into_statement(sql)))
}

/// Sets the columns of unique values to null in the rows that `rows` will overwrite. Returns the number of those rows.
///
/// # Errors
/// The index in `rows` of a row whose key is out of the range of its column.
pub(crate) fn vacate(
    table: &Table,
    keys: Keys<'_>,
    columns: &[String],
    rows: &[&Row<'_>],
) -> Result<Statement, Refused> {
    let mut parameters = Parameters::default();
    parameters.add_keys(table, keys, rows)?;
    let sql = format!(
        "WITH x AS MATERIALIZED (SELECT * FROM {rows}),
           freed AS (UPDATE {name} AS t SET {change} FROM x WHERE {same} RETURNING 1)
         SELECT pg_catalog.count(*) FROM freed",
        rows = parameters.rows(),
        name = table.name.sql(),
        change = to_null(columns),
        same = same_key(&table.keys),
    );
    Ok(parameters.into_statement(sql))
}

fn to_null(columns: &[String]) -> String {
    let assign: Vec<_> = columns.iter().map(|column| format!("{} = NULL", quoted(column))).collect();
    assign.join(", ")
}
