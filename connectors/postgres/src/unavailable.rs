//! Values that a record lacks because its source did not have them: Debezium's placeholder for a large value that did
//! not change.
//!
//! The row of the key has such a value, and keeps it. If there is no such row, the value would be lost in silence. So
//! the record becomes a dead letter, except after a change of the key: then the header `__debezium.oldkey` names the
//! row that has the values, which the delete before the record has marked as deleted.

use serde_json::Value as Json;
use towpath_api::{Body, Change, Error, ErrorType, Result};

use crate::{
    codes,
    config::{DeleteMode, MetadataColumns},
    fold::Row,
    key::Keys,
    sqlstate::row_error,
    statement::{self, out_of_range},
    table::Table,
    transaction::Transaction,
};

/// Holds the old key of a record whose key has changed, as JSON, with or without its schema.
const OLD_KEY: &str = "__debezium.oldkey";

/// Makes sure that each of these rows finds the values that it lacks. `alone` is true if no other row is written with
/// them.
///
/// # Errors
/// Poison if one of them does not, or if it needs the row of its old key and is not alone: that row has to be as it was
/// before the record, which only the order of offsets ensures.
pub(crate) async fn supply(
    transaction: &mut Transaction<'_>,
    table: &Table,
    keys: Keys<'_>,
    rows: &[&Row<'_>],
    alone: bool,
) -> Result<()> {
    // A field without a column loses nothing.
    let lacks = |row: &Row<'_>| unavailable_fields(row).into_iter().any(|field| table.position(field).is_some());
    let lacking: Vec<&Row<'_>> = rows.iter().copied().filter(|row| row.lacks_values && lacks(row)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let partition = transaction.batch.partition.partition;
    let find = statement::unsupplied(table, keys, partition, &lacking).map_err(out_of_range)?;
    let failed = |error| row_error(format!("look for values in table {}", table.name), error);
    let found = transaction.client.query_one(&find.sql, &find.parameters()).await.map_err(failed)?;
    let places: Vec<i64> = found.get(0);
    for row in places.into_iter().filter_map(|place| lacking.get(usize::try_from(place - 1).ok()?)) {
        let fields = unavailable_fields(row);
        let named = fields.join("`, `");
        let doing = format!("write a row of table {}: the source did not have the values of `{named}`", table.name);
        let keeps_old = transaction.config.delete_mode == DeleteMode::Soft && table.metadata != MetadataColumns::None;
        let Some(old) = old_key(transaction, row).filter(|_| keeps_old) else {
            let doing = format!("{doing}, and the table has no row with them");
            return Err(Error::poison(codes::UNAVAILABLE_VALUES, ErrorType::Mapping, doing)
                .with_help("set REPLICA IDENTITY FULL on the source's table and write the record there again"));
        };
        if !alone {
            return Err(Error::poison(codes::OLD_ROW, ErrorType::Constraint, doing));
        }
        let parts: Vec<&str> = keys.parts(row.key_schema).into_iter().map(|part| part.name.as_str()).collect();
        let renew = statement::renew(table, keys, row, &old, &parts, &fields).map_err(out_of_range)?;
        let renewed = transaction.client.query_one(&renew.sql, &renew.parameters()).await.map_err(failed)?;
        if renewed.get::<_, i64>(0) == 0 {
            let doing = format!("{doing}, and the row of its old key does not have them, or is not deleted");
            return Err(Error::poison(codes::OLD_ROW, ErrorType::Constraint, doing)
                .with_help("set REPLICA IDENTITY FULL on the source's table and write the record there again"));
        }
    }
    Ok(())
}

fn changes<'a>(row: &Row<'a>) -> impl Iterator<Item = &'a Change> {
    let records: Vec<_> = row.absorbed.iter().copied().chain([row.record]).collect();
    records.into_iter().filter_map(|record| match &record.body {
        Body::Change(change) => Some(&**change),
        _ => None,
    })
}

fn unavailable_fields<'a>(row: &Row<'a>) -> Vec<&'a str> {
    let mut fields: Vec<_> = changes(row).flat_map(Change::unavailable_fields).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// The old key in the headers of a record of the row.
fn old_key(transaction: &Transaction<'_>, row: &Row<'_>) -> Option<String> {
    row.absorbed.iter().chain([&row.record]).find_map(|record| {
        let mut headers = transaction.batch.arena.headers(record.payload.headers);
        let (_, text) = headers.find(|(name, _)| *name == OLD_KEY)?;
        let mut key: Json = serde_json::from_slice(text?).ok()?;
        if let Some(payload) = key.get_mut("payload").filter(|payload| payload.is_object()) {
            key = payload.take();
        }
        key.is_object().then(|| key.to_string())
    })
}
