//! One row per change: `insert.mode=insert`, and the history table of `history.enabled`.

use std::sync::Arc;

use towpath_api::{Body, EVENT_ID_HEADER, Record, RecordOp, Result};

use crate::{
    config::{DeleteMode, PostgresSinkConfig, PrimaryKeyMode},
    connection::SearchPath,
    dead_letter::DeadLetter,
    name::TableName,
    schemas::{insert_new, seen, union},
    sqlstate::row_error,
    statement::{self, Appended, out_of_range},
    table::{DesiredTable, Table},
    transaction::Transaction,
    written::{Written, count},
};

/// Adds a row for each record to the table `name`, whose primary key is `pk`.
pub(crate) async fn append<'a>(
    transaction: &mut Transaction<'a>,
    records: &'a [Record],
    name: &TableName,
    pk: PrimaryKeyMode,
) -> Result<Written<'a>> {
    let mut written = Written::default();
    let mut rows: Vec<Appended<'a>> = Vec::with_capacity(records.len());
    for record in records {
        match &record.body {
            Body::Undecodable { .. } => written.reject(DeadLetter::undecodable(record)),
            Body::Filtered => written.applied.filtered += 1,
            Body::Change(_) | Body::Tombstone(_) if is_left_out(transaction.config, &record.body) => {
                written.applied.filtered += 1;
            }
            Body::Tombstone(None) => written.applied.tombstones += 1,
            Body::Change(_) | Body::Tombstone(Some(_)) => match event_id(transaction, record, pk) {
                Some(event_id) => rows.push(Appended { record, event_id }),
                None => written.reject(DeadLetter::without_event_id(record)),
            },
        }
    }
    if rows.is_empty() {
        return Ok(written);
    }
    let table = log_table(transaction, &rows, name, pk).await?;
    let statement = statement::append(&table, pk, transaction.batch, &rows).map_err(out_of_range)?;
    transaction.search(SearchPath::OfRole).await?;
    let prepared = transaction.prepare(&statement.sql).await?;
    let added = transaction.client.execute(&prepared, &statement.parameters()).await;
    let added = added.map_err(|error| row_error(format!("add {} rows to table {name}", rows.len()), error))?;
    written.applied.inserted += added;
    written.applied.stale += count(rows.len()) - added;
    Ok(written)
}

/// Returns true if the configuration leaves out the delete or truncate.
fn is_left_out(config: &PostgresSinkConfig, body: &Body) -> bool {
    match body {
        Body::Change(change) if change.op == RecordOp::Delete => config.delete_mode == DeleteMode::Ignore,
        Body::Change(change) => change.op == RecordOp::Truncate && !config.truncate_enabled,
        Body::Tombstone(_) => config.delete_mode == DeleteMode::Ignore,
        Body::Filtered | Body::Undecodable { .. } => false,
    }
}

/// The event id of the record, empty unless it is the primary key; `None` if the header is missing.
fn event_id<'a>(transaction: &Transaction<'a>, record: &Record, pk: PrimaryKeyMode) -> Option<&'a str> {
    if pk != PrimaryKeyMode::EventId {
        return Some("");
    }
    let mut headers = transaction.batch.arena.headers(record.payload.headers);
    let (_, id) = headers.find(|(name, _)| *name == EVENT_ID_HEADER)?;
    std::str::from_utf8(id?).ok()
}

/// The table of changes, with a column for each field of the rows and of their keys.
async fn log_table(
    transaction: &mut Transaction<'_>,
    rows: &[Appended<'_>],
    name: &TableName,
    pk: PrimaryKeyMode,
) -> Result<Arc<Table>> {
    let (mut schemas, mut values) = (Vec::new(), Vec::new());
    for row in rows {
        match &row.record.body {
            Body::Change(change) => {
                change.key.iter().for_each(|key| insert_new(&mut schemas, &key.schema));
                insert_new(&mut values, &change.schema);
            }
            Body::Tombstone(Some(key)) => insert_new(&mut schemas, &key.schema),
            Body::Tombstone(None) | Body::Filtered | Body::Undecodable { .. } => {}
        }
    }
    schemas = union(&schemas, &values);
    if let Some(cached) = transaction.cached(name) {
        if schemas.iter().all(|schema| cached.holds(schema)) {
            return Ok(cached);
        }
        schemas = union(&cached.schemas, &schemas);
    }
    let desired = DesiredTable::of_log((name, &transaction.batch.partition.topic), transaction.config, pk, schemas);
    transaction.ensure(desired.seen(seen(rows.iter().map(|row| row.record)))).await
}
