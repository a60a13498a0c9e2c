//! One batch in one transaction: begin, compare-and-set, upsert, commit.
//!
//! The statements are sent one behind the other without waiting in between; the server runs them in that order. So the
//! compare-and-set has the row lock before any data is touched, and when it changes nothing, everything is rolled back.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use apache_avro::schema::Schema;
use futures::future::join_all;
use tokio_postgres::{Client, Row as PgRow, Statement as Prepared};
use towpath_api::{Applied, Batch, Body, Claim, Error, ErrorType, Record, Result};

use crate::{
    bookkeeping::{self, COMPARE_AND_SET},
    config::DeleteMode,
    dead_letter::{self, DeadLetter},
    failpoint,
    fold::{Folded, Kind, Row, fold},
    name::TableName,
    sqlstate::{leaves_open, refused},
    statement::{self, ColumnSet, Statement},
    table::{self, Table},
};

/// What a connection knows beside the connection itself.
#[derive(Debug, Default)]
pub(crate) struct Known {
    tables: HashMap<TableName, Arc<Table>>,
    /// Whether the open transaction has made something of them, which a rollback would undo.
    made: bool,
    prepared: HashMap<String, Prepared>,
}

/// A transaction that is open on a connection, and what it is for.
pub(crate) struct Transaction<'a> {
    pub(crate) client: &'a Client,
    pub(crate) known: &'a mut Known,
    pub(crate) sink: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) table: &'a TableName,
    pub(crate) delete_mode: DeleteMode,
    pub(crate) batch: &'a Batch,
}

/// Statements that a connection keeps prepared; a table needs two or three, more only while its schemas change.
const MAX_PREPARED: usize = 200;

/// How the rows of a statement are counted from the row that it returns.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Upsert,
    Patch,
    Remove,
}

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// With one statement for all its rows of a kind, the usual way.
    Whole,
    /// In halves behind savepoints, until what cannot be written stands alone.
    InParts,
}

impl<'a> Transaction<'a> {
    /// Writes the batch from begin to commit. After an error nothing of it is stored, or the error says that this is open.
    pub(crate) async fn attempt(&mut self, claim: &Claim, attempt: Attempt, tolerate_poison: bool) -> Result<Applied> {
        self.begin(claim).await?;
        let stored = self.write_and_commit(attempt, tolerate_poison).await;
        if stored.is_err() {
            // The server may be away; the first error says more than a rollback that fails as well.
            let _ = self.rollback().await;
        }
        stored
    }

    async fn write_and_commit(&mut self, attempt: Attempt, tolerate_poison: bool) -> Result<Applied> {
        let mut letters = Vec::new();
        let applied = match attempt {
            Attempt::Whole => self.write(&self.batch.records, &mut letters).await?,
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
            self.client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
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

    /// Applies records of the batch; poison means that one of them, not said which, is refused.
    pub(crate) async fn write(&mut self, records: &'a [Record], letters: &mut Vec<DeadLetter<'a>>) -> Result<Applied> {
        let folded = fold(records);
        let mut applied = Applied::default();
        (applied.stale, applied.tombstones) = (folded.stale, folded.tombstones);
        let mut found: Vec<DeadLetter<'a>> = folded.undecodable.iter().map(|record| DeadLetter::undecodable(record)).collect();
        found.extend(folded.stale_partials.iter().map(|record| DeadLetter::stale_partial(record)));
        if let Some(first) = folded.rows.first() {
            let table = self.table_for(&folded, first).await?;
            let mut rounds: Vec<Vec<&Row<'a>>> = Vec::new();
            for row in &folded.rows {
                if row.round >= rounds.len() {
                    rounds.resize_with(row.round + 1, Vec::new);
                }
                rounds[row.round].push(row);
            }
            for rows in rounds {
                self.write_rows(&table, &rows, &mut applied, &mut found).await?;
            }
            applied.folded = folded.rows.iter().map(|row| row.folded).sum();
        }
        for letter in &found {
            applied.set_aside(letter.error_type);
        }
        letters.append(&mut found);
        Ok(applied)
    }

    /// Applies rows of different keys.
    async fn write_rows(
        &mut self,
        table: &Table,
        rows: &[&Row<'a>],
        applied: &mut Applied,
        letters: &mut Vec<DeadLetter<'a>>,
    ) -> Result<()> {
        let mut whole: BTreeMap<ColumnSet, Vec<&Row<'a>>> = BTreeMap::new();
        let (mut patches, mut removals) = (Vec::new(), Vec::new());
        let mut last: Option<(&Schema, ColumnSet)> = None;
        for &row in rows {
            match row.kind {
                Kind::Whole => {
                    let schema = row.schema();
                    let set = match &last {
                        Some((known, set)) if schema.is_some_and(|schema| std::ptr::eq(schema, *known)) => set.clone(),
                        _ => statement::columns_of(table, row),
                    };
                    last = schema.map(|schema| (schema, set.clone()));
                    whole.entry(set).or_default().push(row);
                }
                Kind::Delete if self.delete_mode == DeleteMode::Hard => removals.push(row),
                Kind::Partial | Kind::Delete => patches.push(row),
            }
        }
        let partition = self.batch.partition.partition;
        let mut work: Vec<(Shape, Vec<&Row<'a>>, Statement)> = Vec::new();
        let misfit = |at: usize| {
            let doing = format!("encode record {at} of a statement: a value is out of the range of its column");
            Error::poison("postgres.out_of_range", ErrorType::Mapping, doing)
        };
        for (set, rows) in whole {
            let statement = statement::upsert(table, partition, &set, &rows).map_err(misfit)?;
            work.push((Shape::Upsert, rows, statement));
        }
        if !patches.is_empty() {
            let statement = statement::patch(table, partition, &patches).map_err(misfit)?;
            work.push((Shape::Patch, patches, statement));
        }
        if !removals.is_empty() {
            let statement = statement::remove(table, partition, &removals).map_err(misfit)?;
            work.push((Shape::Remove, removals, statement));
        }
        let mut prepared = Vec::with_capacity(work.len());
        for (_, _, statement) in &work {
            prepared.push(self.prepare(&statement.sql).await?);
        }
        let parameters: Vec<_> = work.iter().map(|(_, _, statement)| statement.parameters()).collect();
        let sent = prepared.iter().zip(&parameters).map(|(prepared, parameters)| self.client.query_one(prepared, parameters));
        for ((shape, rows, _), answer) in work.iter().zip(join_all(sent).await) {
            failpoint::hit("mid_upsert").await?;
            let answer = answer.map_err(|error| refused(format!("write {} rows to table {}", rows.len(), table.name), error))?;
            tally(*shape, rows, &answer, applied, letters);
        }
        Ok(())
    }

    /// The table, with a column for each field of the batch; looked up once a connection and made at need.
    async fn table_for(&mut self, folded: &Folded<'a>, first: &Row<'a>) -> Result<Arc<Table>> {
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        for record in folded.rows.iter().map(|row| row.record) {
            if let Body::Change(change) = &record.body
                && !schemas.iter().any(|schema| Arc::ptr_eq(schema, &change.schema))
            {
                schemas.push(Arc::clone(&change.schema));
            }
        }
        if let Some(table) = self.known.tables.get(self.table)
            && schemas.iter().all(|schema| table.holds(schema))
        {
            return Ok(Arc::clone(table));
        }
        if let Some(table) = self.known.tables.get(self.table) {
            schemas.extend(table.schemas.iter().cloned());
        }
        let (table, made) = table::ensure(self.client, self.table, first.key, schemas).await?;
        let table = Arc::new(table);
        self.known.made |= made;
        self.known.tables.insert(self.table.clone(), Arc::clone(&table));
        Ok(table)
    }

    /// Prepares a statement once a connection.
    async fn prepare(&mut self, sql: &str) -> Result<Prepared> {
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
    async fn commit(&mut self, applied: &Applied, letters: &[DeadLetter<'a>]) -> Result<()> {
        dead_letter::store(self.client, self.sink, self.batch, letters).await?;
        if !letters.is_empty() {
            failpoint::hit("after_dlq").await?;
        }
        failpoint::hit("before_commit").await?;
        let unknown = |cause: Error| {
            Error::retry("postgres.commit_unknown", ErrorType::Unavailable, "commit; the next claim tells how it ended")
                .because(cause)
                .unless_stored(*applied)
        };
        let committing = self.client.batch_execute("COMMIT");
        failpoint::hit_once_sent("commit_sent", committing).await.map_err(unknown)?.map_err(|error| {
            let is_open = leaves_open(&error);
            let refused = refused("commit", error);
            if is_open { unknown(refused) } else { refused }
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

/// Adds what a statement says of its rows.
fn tally<'a>(shape: Shape, rows: &[&Row<'a>], answer: &PgRow, applied: &mut Applied, letters: &mut Vec<DeadLetter<'a>>) {
    let number = |at: usize| answer.get::<_, i64>(at).unsigned_abs();
    match shape {
        Shape::Upsert => {
            let (inserted, all) = (number(0), number(1));
            applied.inserted += inserted;
            applied.updated += all - inserted;
            applied.stale += count(rows.len()) - all;
        }
        Shape::Patch => {
            let places: Vec<i64> = answer.get(4);
            applied.inserted += number(0);
            applied.updated += number(1);
            applied.deleted += number(2);
            applied.stale += number(3) - count(places.len());
            let row = |place: i64| usize::try_from(place - 1).ok().and_then(|at| rows.get(at));
            letters.extend(places.into_iter().filter_map(row).map(|row| DeadLetter::stale_partial(row.record)));
        }
        Shape::Remove => {
            applied.stale += number(1);
            applied.deleted += count(rows.len()) - number(1);
        }
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
