//! Faster ways to write a batch whose rows are all new, or all known already.
//!
//! Whether a row is new is known only after it is written. The next batch of a table is therefore expected to be of the
//! same kind as the last one, and each way is correct for any batch. New rows go by `COPY`; if one of them exists, the
//! unique index refuses all of them, and the batch is written in the usual way. Known rows, as in a replay, are checked
//! first, and only rows that change are locked.

use futures::SinkExt as _;
use tokio_postgres::Column;
use towpath_api::{Applied, Result, failpoint};

use crate::{
    config::MetadataColumns,
    fold::Row,
    key::Keys,
    sqlstate::{refuses_this_way, row_error},
    statement::{self, CHUNK_ROWS, COPY_HEADER, COPY_TRAILER, out_of_range},
    table::Table,
    transaction::{Expected, Transaction},
    written::count,
};

/// Below this many rows, a statement is as fast and needs no savepoint.
const MIN_ROWS: usize = 250;
const SAVEPOINT: &str = "copy";

/// Returns true if all of this number of rows may be new.
pub(crate) fn expects_new_rows(transaction: &Transaction<'_>, table: &Table, rows: usize) -> bool {
    table.is_copyable && rows >= MIN_ROWS && transaction.cache.expected.get(&table.name) == Some(&Expected::New)
}

/// Returns true if all rows may be known already.
pub(crate) fn expects_known_rows(transaction: &Transaction<'_>, table: &Table) -> bool {
    table.metadata != MetadataColumns::None && transaction.cache.expected.get(&table.name) == Some(&Expected::Known)
}

/// Records the kind of a batch of this number of rows, for the next batch of the table.
pub(crate) fn expect_the_same(transaction: &mut Transaction<'_>, table: &Table, rows: usize, applied: &Applied) {
    let expected = match count(rows) {
        rows if applied.inserted == rows => Some(Expected::New),
        rows if applied.stale == rows => Some(Expected::Known),
        _ => None,
    };
    match expected {
        Some(expected) => transaction.cache.expected.insert(table.name.clone(), expected),
        None => transaction.cache.expected.remove(&table.name),
    };
}

/// Adds new rows by `COPY`. Returns the number of rows added; `None`, with nothing changed, if one of them exists or is
/// refused, or the table was altered.
pub(crate) async fn copy(
    transaction: &mut Transaction<'_>,
    table: &Table,
    keys: Keys<'_>,
    columns: &[usize],
    rows: &[&Row<'_>],
) -> Result<Option<u64>> {
    let copy = statement::copy(table, transaction.batch.partition.partition, columns);
    let look = transaction.prepare(&copy.look).await?;
    let (savepoint, looked) = futures::join!(transaction.savepoint(SAVEPOINT), transaction.client.query(&look, &[]));
    savepoint?;
    // From here on the table is locked against changes. A statement prepared before a change reports the change.
    let is_same = looked.is_ok() && look.columns().iter().map(Column::type_).eq(&copy.types);
    if !is_same {
        transaction.roll_back_to(SAVEPOINT).await?;
        transaction.drop_cached_tables();
        return Ok(None);
    }
    let client = transaction.client;
    let sent = async {
        let sink = client.copy_in(&copy.sql).await?;
        let mut sink = std::pin::pin!(sink);
        sink.send(COPY_HEADER.into()).await?;
        for chunk in rows.chunks(CHUNK_ROWS) {
            match copy.rows(keys, chunk) {
                Ok(bytes) => sink.send(bytes).await?,
                // Dropping the unfinished COPY makes the server abandon it.
                Err(place) => return Ok(Err(out_of_range(place))),
            }
        }
        if let Err(error) = failpoint::hit("mid_copy").await {
            return Ok(Err(error));
        }
        sink.send(COPY_TRAILER.into()).await?;
        sink.finish().await.map(Ok)
    };
    match sent.await {
        Ok(Ok(copied)) => {
            transaction.release(SAVEPOINT).await?;
            Ok(Some(copied))
        }
        Ok(Err(error)) => Err(error),
        // A row exists, a row is refused, or the table takes no COPY (row-level security): a statement finds out.
        Err(error) if refuses_this_way(&error) => {
            transaction.roll_back_to(SAVEPOINT).await?;
            Ok(None)
        }
        Err(error) => Err(row_error(format!("copy {} rows into table {}", rows.len(), table.name), error)),
    }
}
