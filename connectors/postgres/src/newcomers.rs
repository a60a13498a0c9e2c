//! Batches in which every row is new: they come by `COPY`, as long as that holds.
//!
//! Whether a row is new is known only once it is written. So a table whose last batch brought new rows only is taken at its word for the
//! next; where that is wrong the unique index refuses the `COPY` as a whole, and the batch is written as any other.

use futures::SinkExt as _;
use tokio_postgres::error::SqlState;
use towpath_api::Result;

use crate::{
    apply::Transaction,
    fold::Row,
    key::Keys,
    sqlstate::refused,
    statement::{self, COPY_HEADER, COPY_TRAILER},
    table::Table,
    write::{CHUNK_ROWS, misfit},
};

/// Fewer rows are as fast in a statement, without the savepoint.
const MIN_ROWS: usize = 250;

impl<'a> Transaction<'a> {
    /// Whether all of so many rows may be taken for new.
    pub(crate) fn expects_new_rows(&self, table: &Table, rows: usize) -> bool {
        table.is_copyable && rows >= MIN_ROWS && self.known.all_new.contains(&table.name)
    }

    /// Notes whether the rows that were written last were all new.
    pub(crate) fn remember_new_rows(&mut self, table: &Table, all: bool) {
        if all {
            self.known.all_new.insert(table.name.clone());
        } else {
            self.known.all_new.remove(&table.name);
        }
    }

    /// Adds new rows by `COPY`. Returns false when one of them was there; nothing is then changed.
    pub(crate) async fn copy(&mut self, table: &Table, keys: Keys<'_>, columns: &[usize], rows: &[&Row<'a>]) -> Result<bool> {
        self.run("SAVEPOINT copy").await?;
        let copy = statement::copy(table, self.batch.partition.partition, columns);
        let sent = async {
            let sink = self.client.copy_in(&copy.sql).await?;
            let mut sink = std::pin::pin!(sink);
            sink.send(COPY_HEADER.into()).await?;
            for chunk in rows.chunks(CHUNK_ROWS) {
                match copy.rows(keys, chunk) {
                    Ok(bytes) => sink.send(bytes).await?,
                    // Dropped unfinished, the server gives it up.
                    Err(place) => return Ok(Err(place)),
                }
            }
            sink.send(COPY_TRAILER.into()).await?;
            sink.finish().await.map(Ok)
        };
        match sent.await {
            Ok(Ok(_)) => {
                self.run("RELEASE SAVEPOINT copy").await?;
                Ok(true)
            }
            Ok(Err(place)) => Err(misfit(place)),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                self.run("ROLLBACK TO SAVEPOINT copy; RELEASE SAVEPOINT copy").await?;
                Ok(false)
            }
            Err(error) => Err(refused(format!("copy {} rows into table {}", rows.len(), table.name), error)),
        }
    }
}
