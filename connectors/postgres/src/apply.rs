//! One batch in one transaction: begin, compare-and-set, upsert, commit.
//!
//! The statements are sent one behind the other without waiting in between; the server runs them in that order. So the
//! compare-and-set has the row lock before any data is touched, and when it changes nothing, everything is rolled back.

use std::{collections::HashMap, sync::Arc};

use tokio_postgres::{Client, Statement as Prepared};
use towpath_api::{Applied, ApplyError, Batch, Claim, Error, ErrorType, Result};

use crate::{
    bookkeeping::{self, BEGIN, COMPARE_AND_SET},
    config::PostgresSinkConfig,
    dead_letter::{self, DeadLetter},
    failpoint,
    name::TableName,
    prospect::Expected,
    sqlstate::{leaves_open, refused},
    table::{self, Table, Wish},
};

/// What a connection knows beside the connection itself.
#[derive(Debug, Default)]
pub(crate) struct Known {
    tables: HashMap<TableName, Arc<Table>>,
    /// Whether the open transaction has made something of them, which a rollback would undo.
    made: bool,
    prepared: HashMap<String, Prepared>,
    /// What the last batch of a table was, if it was all of a kind.
    pub(crate) expected: HashMap<TableName, Expected>,
}

/// A transaction that is open on a connection, and what it is for.
pub(crate) struct Transaction<'a> {
    pub(crate) client: &'a Client,
    pub(crate) known: &'a mut Known,
    pub(crate) sink: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) table: &'a TableName,
    pub(crate) config: &'a PostgresSinkConfig,
    pub(crate) batch: &'a Batch,
}

/// Statements that a connection keeps prepared; a table needs two or three, more only while its schemas change.
const MAX_PREPARED: usize = 200;

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// With a few statements for its rows of a kind, the usual way.
    Whole,
    /// With one for all its rows of a kind: rows that refer to each other come together.
    Together,
    /// In halves behind savepoints, until what cannot be written stands alone.
    InParts,
}

impl<'a> Transaction<'a> {
    /// Writes the batch from begin to commit. After an error nothing of it is stored, or the error says that this is
    /// open.
    pub(crate) async fn attempt(
        &mut self,
        claim: &Claim,
        attempt: Attempt,
        tolerate_poison: bool,
    ) -> Result<Applied, ApplyError> {
        self.begin(claim).await?;
        let stored = self.write_and_commit(attempt, tolerate_poison).await;
        if stored.is_err() {
            // The server may be away; the first error says more than a rollback that fails as well.
            let _ = self.rollback().await;
        }
        stored
    }

    async fn write_and_commit(&mut self, attempt: Attempt, tolerate_poison: bool) -> Result<Applied, ApplyError> {
        let mut letters = Vec::new();
        let applied = match attempt {
            Attempt::Whole | Attempt::Together => self.write(&self.batch.records, attempt, &mut letters).await?,
            Attempt::InParts => self.write_around_poison(&mut letters).await?,
        };
        if applied.stale > 0 {
            failpoint::hit("mid_replay").await?;
        }
        dead_letter::accept(&letters, self.batch, tolerate_poison)?;
        self.commit(&applied, &letters).await?;
        Ok(applied)
    }

    /// Begins, and takes the partition's row if the claim is the newest and nothing was applied since.
    ///
    /// # Errors
    /// Fenced or retry when the row is not as the batch expects it; the transaction is then rolled back.
    async fn begin(&mut self, claim: &Claim) -> Result<()> {
        let compare_and_set = self.prepare(COMPARE_AND_SET).await?;
        let (begun, held) = futures::join!(
            self.client.batch_execute(BEGIN),
            bookkeeping::compare_and_set(self.client, &compare_and_set, self.sink, claim, self.batch)
        );
        begun.map_err(|error| refused("begin the transaction", error))?;
        failpoint::hit("after_begin").await?;
        self.known.made = false;
        if held.map_err(|error| refused("compare and set the next offset", error))? {
            failpoint::hit("after_cas").await?;
            return Ok(());
        }
        self.rollback().await?;
        Err(bookkeeping::why_lost(self.client, self.sink, self.owner, claim, self.batch).await)
    }

    /// A table that this connection knows.
    pub(crate) fn known(&self, name: &TableName) -> Option<Arc<Table>> {
        self.known.tables.get(name).cloned()
    }

    /// Makes sure that a table is as it should be, and remembers it.
    pub(crate) async fn ensure(&mut self, wish: Wish<'_>) -> Result<Arc<Table>> {
        let (table, made) = table::ensure(self.client, wish).await?;
        let table = Arc::new(table);
        self.known.made |= made;
        self.known.tables.insert(table.name.clone(), Arc::clone(&table));
        Ok(table)
    }

    /// Whether the table is there.
    pub(crate) async fn table_exists(&self) -> Result<bool> {
        if self.known.tables.contains_key(self.table) {
            return Ok(true);
        }
        let found = self.client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&self.table.sql()]).await;
        found.map(|row| row.get(0)).map_err(|error| refused(format!("look for table {}", self.table), error))
    }

    /// Prepares a statement once a connection.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<Prepared> {
        if let Some(prepared) = self.known.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        if self.known.prepared.len() >= MAX_PREPARED {
            self.known.prepared.clear();
        }
        let prepared = self.client.prepare(sql).await.map_err(|error| refused("prepare a statement", error))?;
        self.known.prepared.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Stores the dead letters and commits. An error here leaves open whether the batch is stored.
    async fn commit(&mut self, applied: &Applied, letters: &[DeadLetter<'a>]) -> Result<(), ApplyError> {
        dead_letter::store(self.client, self.sink, self.batch, letters).await?;
        if !letters.is_empty() {
            failpoint::hit("after_dlq").await?;
        }
        failpoint::hit("before_commit").await?;
        let unknown = |cause: Error| {
            let doing = "commit; the next claim tells how it ended";
            let error = Error::retry("postgres.commit_unknown", ErrorType::Unavailable, doing).because(cause);
            ApplyError { error, if_stored: Some(Box::new(*applied)) }
        };
        let committing = self.client.batch_execute("COMMIT");
        failpoint::hit_once_sent("commit_sent", committing).await.map_err(unknown)?.map_err(|error| {
            let is_open = leaves_open(&error);
            let refused = refused("commit", error);
            if is_open { unknown(refused) } else { refused.into() }
        })?;
        failpoint::hit("after_commit").await.map_err(unknown)
    }

    /// Rolls back. What the transaction made of tables is gone with it.
    async fn rollback(&mut self) -> Result<()> {
        self.forget();
        self.run("ROLLBACK").await
    }

    /// Undoes what came after the last savepoint.
    pub(crate) async fn back_to_savepoint(&mut self) -> Result<()> {
        self.forget();
        self.run("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await
    }

    /// Forgets all tables: somebody else has changed one.
    pub(crate) fn forget_tables(&mut self) {
        self.known.made = true;
        self.forget();
    }

    /// Forgets what the transaction has made and undone.
    fn forget(&mut self) {
        if std::mem::take(&mut self.known.made) {
            self.known.tables.clear();
            self.known.prepared.retain(|sql, _| sql == COMPARE_AND_SET);
        }
    }

    /// Runs a statement without parameters.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| refused(sql.to_lowercase(), error))
    }
}
