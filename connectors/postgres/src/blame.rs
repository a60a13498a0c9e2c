//! Finds the field whose value the server refuses: its error names the type and not the column.
//!
//! Only for a record that is about to become a dead letter. Each value that the server converts is sent once more, by
//! itself; values of the other columns were checked when they were encoded.

use towpath_api::{Body, Change, Error, Record, Result};

use crate::{
    codes,
    column::{ColumnArray, ColumnType, fields_of},
    sqlstate,
    table::{Column, Table},
    transaction::Transaction,
};

/// Maximum values to send for one record.
const MAX_TRIALS: usize = 100;
const TRIAL: &str = "trial";

/// Adds the field to the error of a record if its value alone is refused, too. `table` is the table as the record's
/// statement knew it.
pub(crate) async fn name_the_field(
    transaction: &mut Transaction<'_>,
    table: Option<&Table>,
    record: &Record,
    error: Error,
) -> Result<Error> {
    let (Body::Change(change), Some(table)) = (&record.body, table) else { return Ok(error) };
    // Some types refuse a text with the state of a syntax error, which others have for a wrong statement.
    if !sqlstate::refuses_a_value(&error) && !sqlstate::is_unclear(&error) {
        return Ok(error);
    }
    Ok(match refused_column(transaction, table, change).await? {
        None => error,
        Some(Column { field, name, declared, .. }) => {
            let of = if declared.is_empty() { String::new() } else { format!(" ({declared})") };
            let doing = format!("write field `{field}` to column `{name}`{of}: {}", sqlstate::cause(&error));
            Error::poison(codes::REFUSED_VALUE, error.error_type, doing)
        }
    })
}

async fn refused_column<'t>(
    transaction: &mut Transaction<'_>,
    table: &'t Table,
    change: &Change,
) -> Result<Option<&'t Column>> {
    let Some(values) = &change.after else { return Ok(None) };
    let mut trials = 0;
    for (field, value) in fields_of(&change.schema).iter().zip(values) {
        let column = table.position(&field.name).and_then(|at| table.columns.get(at));
        let Some(column) = column.filter(|column| is_converted(column)) else { continue };
        let mut array = ColumnArray::of(column.ty, column.form, 1);
        if array.push(value, &field.schema).is_err() || trials == MAX_TRIALS {
            continue;
        }
        trials += 1;
        let ty = column.ty.array_element();
        let cast = column.cast.as_deref().unwrap_or(ty);
        let declared = if column.declared.is_empty() { ty } else { &column.declared };
        // A cast cuts what does not fit, an assignment refuses it.
        let sql = format!(
            "SELECT v::text IS DISTINCT FROM v::{declared}::text
               FROM (SELECT x::{cast} AS v FROM pg_catalog.unnest($1::{ty}[]) AS x) AS y"
        );
        transaction.savepoint(TRIAL).await?;
        let answer = transaction.client.query_one(&sql, &[&array]).await;
        transaction.roll_back_to(TRIAL).await?;
        if answer.map_or(true, |row| row.get(0)) {
            return Ok(Some(column));
        }
    }
    Ok(None)
}

/// Returns true if the server may refuse a value that could be encoded.
fn is_converted(column: &Column) -> bool {
    use ColumnType as C;
    let is_read = matches!(column.ty, C::Text | C::Json | C::Jsonb | C::JsonText | C::Mixed);
    column.cast.is_some() || is_read
}
