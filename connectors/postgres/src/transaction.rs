//! The transaction of one batch: begin with the compare-and-set, savepoints, commit, rollback; and the connection's
//! cache of tables and prepared statements, which a rollback invalidates.
//!
//! BEGIN and the compare-and-set are sent without waiting in between; the server runs them in that order. The
//! compare-and-set therefore holds the lock on the partition's row before any data is touched.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio_postgres::{Client, Error as PgError, Statement as Prepared, error::SqlState};
use towpath_api::{ApplyError, Batch, Claim, Error, ErrorType, Record, Result, failpoint};

use crate::{
    bookkeeping::{self, BEGIN, COMPARE_AND_SET},
    codes,
    config::PostgresSinkConfig,
    connection::SearchPath,
    dead_letter::{self, DeadLetter},
    filter::Unmatched,
    name::TableName,
    sqlstate::{database_error, is_curable, leaves_outcome_unknown, row_error},
    table::{self, Cause, DesiredTable, Table},
    waiting,
    written::Written,
};

/// Tables, prepared statements and expectations that a connection keeps between batches.
#[derive(Debug, Default)]
pub(crate) struct SessionCache {
    tables: HashMap<TableName, Arc<Table>>,
    /// True if the open transaction created or altered a table, which a rollback would undo.
    altered: bool,
    prepared: HashMap<String, Prepared>,
    /// The search path in effect; `None` after a savepoint was undone, which may have undone a change of the path.
    path: Option<SearchPath>,
    /// The kind of the last batch of each table, if all its rows were of one kind.
    pub(crate) expected: HashMap<TableName, Expected>,
}

/// The kind of a batch whose rows were all of one kind; the next batch is expected to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Every row was new.
    New,
    /// Every row was stale: the table already had it.
    Known,
}

/// The transaction of one batch on one connection, with the batch's destination.
pub(crate) struct Transaction<'a> {
    pub(crate) client: &'a Client,
    pub(crate) cache: &'a mut SessionCache,
    pub(crate) sink: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) table: &'a TableName,
    pub(crate) config: &'a PostgresSinkConfig,
    pub(crate) unmatched: &'a Unmatched,
    pub(crate) batch: &'a Batch,
    /// Records that the batch leaves out, and that the transaction keeps in `towpath.waiting`.
    pub(crate) waiting: &'a [Record],
    pub(crate) may_refer: &'a MayRefer,
}

/// The records that are dead-lettered if they refer to a row that does not exist, or if another row has their unique
/// value. Others wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MayRefer {
    Nothing,
    /// Those at these offsets, which have waited for `errors.retry.timeout`.
    Overdue(HashSet<i64>),
    Anything,
}

/// Maximum prepared statements per connection. A table needs two or three, and more only while its schemas change.
const MAX_PREPARED: usize = 200;

/// COMMIT of a transaction that has failed, or of none, is answered without an error. The savepoint is refused then,
/// and COMMIT is not executed.
const COMMIT: &str = "SAVEPOINT is_open; COMMIT";

/// The way in which a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// With several statements for each kind of row. This is the first attempt.
    Whole,
    /// With one statement for each kind of row, so that rows which refer to each other are written together.
    Together,
    /// In halves, each with a savepoint, until each record that the database refuses is isolated.
    InParts,
}

impl SessionCache {
    /// Returns true if the last transaction created or altered a table.
    pub(crate) fn has_altered(&self) -> bool {
        self.altered
    }
}

impl MayRefer {
    /// Checks that no record would be dead-lettered that has to wait.
    ///
    /// # Errors
    /// The poison of the first such record, as if the batch had been written as a whole.
    pub(crate) fn accept(&self, letters: &[DeadLetter<'_>]) -> Result<()> {
        let waits = |letter: &&DeadLetter<'_>| {
            is_curable(letter.code)
                && match self {
                    Self::Nothing => true,
                    Self::Overdue(offsets) => !offsets.contains(&letter.record.offset),
                    Self::Anything => false,
                }
        };
        letters
            .iter()
            .find(waits)
            .map_or(Ok(()), |letter| Err(Error::poison(letter.code, ErrorType::Constraint, letter.reason.clone())))
    }
}

impl Transaction<'_> {
    /// Begins, and locks the partition's row if `claim` is the newest and the stored offset is the batch's first.
    ///
    /// # Errors
    /// Fenced or retry when the row does not match; the transaction is then rolled back.
    pub(crate) async fn begin(&mut self, claim: &Claim) -> Result<()> {
        let compare_and_set = self.prepare(COMPARE_AND_SET).await?;
        let opening = format!("{BEGIN}; {}", SearchPath::OfRole.sql());
        let (begun, held) = futures::join!(
            self.client.batch_execute(&opening),
            bookkeeping::compare_and_set(self.client, &compare_and_set, self.sink, claim, self.batch)
        );
        begun.map_err(|error| database_error("begin the transaction", error))?;
        failpoint::hit("after_begin").await?;
        self.cache.altered = false;
        self.cache.path = Some(SearchPath::OfRole);
        if held.map_err(|error| database_error("compare and set the next offset", error))? {
            failpoint::hit("after_cas").await?;
            return Ok(());
        }
        self.rollback().await?;
        Err(bookkeeping::lost_claim_error(self.client, self.sink, self.owner, claim, self.batch).await)
    }

    /// Changes the search path until the transaction ends.
    pub(crate) async fn search(&mut self, path: SearchPath) -> Result<()> {
        if self.cache.path.replace(path) != Some(path) {
            let set = self.client.batch_execute(path.sql()).await;
            set.map_err(|error| database_error("set the search path", error))?;
        }
        Ok(())
    }

    /// A table in the cache.
    pub(crate) fn cached(&self, name: &TableName) -> Option<Arc<Table>> {
        self.cache.tables.get(name).cloned()
    }

    /// Creates or alters a table as needed, and caches it.
    pub(crate) async fn ensure(&mut self, wish: DesiredTable<'_>) -> Result<Arc<Table>> {
        self.search(SearchPath::OfSink).await?;
        let cause = Cause { sink: self.sink, topic: &self.batch.partition.topic };
        self.report_filters(&wish);
        let (table, altered) = table::ensure(self.client, wish, cause).await?;
        let table = Arc::new(table);
        self.cache.altered |= altered;
        self.cache.tables.insert(table.name.clone(), Arc::clone(&table));
        Ok(table)
    }

    /// Logs filters of fields that match nothing.
    fn report_filters(&self, wish: &DesiredTable<'_>) {
        let PostgresSinkConfig { fields_include, fields_exclude, .. } = self.config;
        if wish.schemas.is_empty() || fields_include.is_empty() && fields_exclude.is_empty() {
            return;
        }
        let fields = wish.filterable();
        self.unmatched.report("fields.include", fields_include, wish.topic, &fields);
        self.unmatched.report("fields.exclude", fields_exclude, wish.topic, &fields);
        if !fields.columns.is_empty() && !fields.columns.iter().any(|field| self.config.takes(wish.topic, field)) {
            self.unmatched.report_bare(wish.topic, &fields);
        }
    }

    /// Returns true if the table exists.
    pub(crate) async fn table_exists(&mut self) -> Result<bool> {
        if self.cache.tables.contains_key(self.table) {
            return Ok(true);
        }
        self.search(SearchPath::OfSink).await?;
        let found = self.client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&self.table.sql()]).await;
        found.map(|row| row.get(0)).map_err(|error| database_error(format!("look for table {}", self.table), error))
    }

    /// Prepares a statement, once per connection.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<Prepared> {
        if let Some(prepared) = self.cache.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        if self.cache.prepared.len() >= MAX_PREPARED {
            self.cache.prepared.clear();
        }
        let prepared = self.client.prepare(sql).await.map_err(|error| database_error("prepare a statement", error))?;
        self.cache.prepared.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Stores the dead letters and commits.
    ///
    /// # Errors
    /// `if_stored` is set when the answer to COMMIT was lost, so that the outcome is unknown.
    pub(crate) async fn commit(&mut self, written: &Written<'_>) -> Result<(), ApplyError> {
        let has_waited = self.batch.records.first().is_some_and(|record| record.offset < self.batch.from);
        if has_waited || !self.waiting.is_empty() || !written.letters.is_empty() {
            self.search(SearchPath::OfSink).await?;
        }
        waiting::settle(self.client, self.sink, self.batch, self.waiting).await?;
        dead_letter::store(self.client, self.sink, self.batch, &written.letters).await?;
        if !written.letters.is_empty() {
            failpoint::hit("after_dlq").await?;
        }
        failpoint::hit("before_commit").await?;
        let unknown = |cause: Error| {
            let doing = "commit; the next claim finds out whether the batch is stored";
            let error = Error::retry(codes::COMMIT_UNKNOWN, ErrorType::Unavailable, doing).because(cause);
            ApplyError { error, if_stored: Some(Box::new(written.applied)) }
        };
        // Deferred triggers and constraints run now.
        self.search(SearchPath::OfRole).await?;
        let committing = self.client.batch_execute(COMMIT);
        failpoint::hit_once_sent("commit_sent", committing).await.map_err(unknown)?.map_err(|error| {
            if had_failed(&error) {
                let doing = "commit: the transaction had failed before, so nothing of the batch is stored";
                return Error::retry(codes::ROLLED_BACK, ErrorType::Conflict, doing).because(error).into();
            }
            let is_open = leaves_outcome_unknown(&error);
            let refused = row_error("commit", error);
            if is_open { unknown(refused) } else { refused.into() }
        })?;
        failpoint::hit("after_commit").await.map_err(unknown)
    }

    /// Rolls back. Tables that the transaction created or altered leave the cache.
    pub(crate) async fn rollback(&mut self) -> Result<()> {
        self.drop_altered();
        self.run("ROLLBACK").await
    }

    /// Sets a savepoint; `name` is an SQL identifier.
    pub(crate) async fn savepoint(&self, name: &str) -> Result<()> {
        self.run(&format!("SAVEPOINT {name}")).await
    }

    /// Releases a savepoint and keeps the changes made since.
    pub(crate) async fn release(&self, name: &str) -> Result<()> {
        self.run(&format!("RELEASE SAVEPOINT {name}")).await
    }

    /// Undoes all changes since a savepoint, and releases it. The transaction may have altered a table before the
    /// savepoint as well, which a later rollback undoes, so that stays noted.
    pub(crate) async fn roll_back_to(&mut self, name: &str) -> Result<()> {
        let altered = self.cache.altered;
        self.drop_altered();
        (self.cache.altered, self.cache.path) = (altered, None);
        self.run(&format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")).await
    }

    /// Empties the cache of tables, because another session altered one.
    pub(crate) fn drop_cached_tables(&mut self) {
        self.cache.altered = true;
        self.drop_altered();
    }

    /// Empties the cache of tables if the transaction created or altered one.
    fn drop_altered(&mut self) {
        if std::mem::take(&mut self.cache.altered) {
            self.cache.tables.clear();
            self.cache.prepared.retain(|sql, _| sql == COMPARE_AND_SET);
        }
    }

    /// Runs a statement without parameters.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| database_error(sql.to_lowercase(), error))
    }
}

/// Returns true if [`COMMIT`] was refused because there is no transaction, or only a failed one.
fn had_failed(error: &PgError) -> bool {
    [Some(&SqlState::IN_FAILED_SQL_TRANSACTION), Some(&SqlState::NO_ACTIVE_SQL_TRANSACTION)].contains(&error.code())
}
