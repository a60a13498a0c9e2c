//! Batches whose rows are all new, or all known already: what the one before was like, the next one mostly is.
//!
//! What a row is to the table is known only once it is written. So a batch is written in the way that suits the last
//! one, and each way is right for any batch: new rows by `COPY`, which the unique index refuses as a whole where one of
//! them was there (the batch is then written as any other); rows that are known already, as in a replay, by a statement
//! that first looks and locks only what it changes.

use futures::SinkExt as _;
use tokio_postgres::{Column, error::SqlState};
use towpath_api::{Applied, Result};

use crate::{
    apply::Transaction,
    failpoint,
    fold::Row,
    key::Keys,
    sqlstate::refused,
    statement::{self, COPY_HEADER, COPY_TRAILER},
    table::Table,
    tally::count,
    write::{CHUNK_ROWS, misfit},
};

/// Fewer rows are as fast in a statement, without the savepoint.
const MIN_ROWS: usize = 250;

/// What a batch was, if it was all of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Every row was new.
    New,
    /// No row changed anything.
    Known,
}

impl<'a> Transaction<'a> {
    /// Whether all of so many rows may be taken for new.
    pub(crate) fn expects_new_rows(&self, table: &Table, rows: usize) -> bool {
        table.is_copyable && rows >= MIN_ROWS && self.known.expected.get(&table.name) == Some(&Expected::New)
    }

    /// Whether the rows may be taken for known already.
    pub(crate) fn expects_known_rows(&self, table: &Table) -> bool {
        self.known.expected.get(&table.name) == Some(&Expected::Known)
    }

    /// Notes what so many rows were, which were counted between `before` and `after`.
    pub(crate) fn remember(&mut self, table: &Table, rows: usize, before: &Applied, after: &Applied) {
        let expected = match count(rows) {
            rows if after.inserted - before.inserted == rows => Some(Expected::New),
            rows if after.stale - before.stale == rows => Some(Expected::Known),
            _ => None,
        };
        match expected {
            Some(expected) => self.known.expected.insert(table.name.clone(), expected),
            None => self.known.expected.remove(&table.name),
        };
    }

    /// Adds new rows by `COPY`. Returns false when one of them was there; nothing is then changed.
    pub(crate) async fn copy(
        &mut self,
        table: &Table,
        keys: Keys<'_>,
        columns: &[usize],
        rows: &[&Row<'a>],
    ) -> Result<bool> {
        let copy = statement::copy(table, self.batch.partition.partition, columns);
        let look = self.prepare(&copy.look).await?;
        let (savepoint, looked) = futures::join!(self.run("SAVEPOINT copy"), self.client.query(&look, &[]));
        savepoint?;
        // From here on the table is locked against changes. What was prepared before one says so itself.
        let is_same = looked.is_ok() && look.columns().iter().map(Column::type_).eq(&copy.types);
        if !is_same {
            self.run("ROLLBACK TO SAVEPOINT copy; RELEASE SAVEPOINT copy").await?;
            self.forget_tables();
            return Ok(false);
        }
        let sent = async {
            let sink = self.client.copy_in(&copy.sql).await?;
            let mut sink = std::pin::pin!(sink);
            sink.send(COPY_HEADER.into()).await?;
            for chunk in rows.chunks(CHUNK_ROWS) {
                match copy.rows(keys, chunk) {
                    Ok(bytes) => sink.send(bytes).await?,
                    // Dropped unfinished, the server gives it up.
                    Err(place) => return Ok(Err(misfit(place))),
                }
            }
            if let Err(error) = failpoint::hit("mid_copy").await {
                return Ok(Err(error));
            }
            sink.send(COPY_TRAILER.into()).await?;
            sink.finish().await.map(Ok)
        };
        match sent.await {
            Ok(Ok(_)) => {
                self.run("RELEASE SAVEPOINT copy").await?;
                Ok(true)
            }
            Ok(Err(error)) => Err(error),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                self.run("ROLLBACK TO SAVEPOINT copy; RELEASE SAVEPOINT copy").await?;
                Ok(false)
            }
            Err(error) => Err(refused(format!("copy {} rows into table {}", rows.len(), table.name), error)),
        }
    }
}
