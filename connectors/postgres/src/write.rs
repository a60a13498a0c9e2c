//! The records of a batch as statements: folded to one row a key, each kind of row by its own statement, history beside
//! it.
//!
//! Statements are sent as soon as their arrays are filled, without waiting for an answer: while the server works on one
//! part of the batch, the next is folded into arrays.

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::schema::Schema;
use towpath_api::{Applied, Body, Error, ErrorType, Record, RecordOp, Result};

use crate::{
    apply::{Attempt, Transaction},
    config::{DeleteMode, InsertMode},
    dead_letter::DeadLetter,
    failpoint,
    fold::{Kind, Row, Rules, fold},
    key::Keys,
    pipeline::{Pipeline, Shape},
    sqlstate::refused,
    statement::{self, ColumnSet, Statement},
    table::{MIXED, Table, Wish},
    tally::{count, tally},
};

/// Rows of one statement: so many that its fixed cost does not count, so few that the server starts early.
pub(crate) const CHUNK_ROWS: usize = 1_250;

impl<'a> Transaction<'a> {
    fn rules(&self) -> Rules<'a> {
        let config = self.config;
        Rules { keys: Keys::new(config.primary_key(), &config.pk_fields), delete_mode: config.delete_mode }
    }

    /// Applies records of the batch; poison means that one of them, not said which, is refused.
    pub(crate) async fn write(
        &mut self,
        records: &'a [Record],
        attempt: Attempt,
        letters: &mut Vec<DeadLetter<'a>>,
    ) -> Result<Applied> {
        let mut found = Vec::new();
        let mut applied = Applied::default();
        if self.config.insert_mode == InsertMode::Insert {
            let name = self.table;
            self.append(records, name, Some(&mut applied), &mut found).await?;
        } else {
            // A truncate ends all rows that came before it and none that comes after.
            for part in records.split_inclusive(is_truncate) {
                let (rows, truncate) = match part.split_last() {
                    Some((last, rows)) if is_truncate(last) => (rows, Some(last)),
                    _ => (part, None),
                };
                self.write_state(rows, attempt, &mut applied, &mut found).await?;
                if let Some(record) = truncate {
                    self.truncate(record, &mut applied, &mut found).await?;
                }
            }
            if self.config.history_enabled {
                let history = self.table.history();
                // What it leaves out, the state has counted.
                self.append(records, &history, None, &mut Vec::new()).await?;
            }
        }
        for letter in &found {
            applied.set_aside(letter.error_type);
        }
        letters.append(&mut found);
        Ok(applied)
    }

    async fn write_state(
        &mut self,
        records: &'a [Record],
        attempt: Attempt,
        applied: &mut Applied,
        letters: &mut Vec<DeadLetter<'a>>,
    ) -> Result<()> {
        let rules = self.rules();
        let (schemas, key_schemas) = schemas_of(records, rules.keys);
        if rules.keys.differ(&key_schemas) {
            let doing = format!("write to table {} at once: the keys of the records have different types", self.table);
            return Err(Error::poison(MIXED, ErrorType::Schema, doing));
        }
        let folded = fold(records, rules);
        applied.stale += folded.stale;
        applied.tombstones += folded.tombstones;
        applied.filtered += folded.filtered;
        letters.extend(folded.undecodable.iter().map(|record| DeadLetter::undecodable(record)));
        letters.extend(folded.stale_partials.iter().map(|record| DeadLetter::stale_partial(record)));
        letters.extend(folded.unkeyed.iter().map(|(record, why)| DeadLetter::unkeyed(record, *why)));
        applied.folded += folded.rows.iter().map(|row| row.folded).sum::<u64>();
        if folded.rows.is_empty() {
            return Ok(());
        }
        if folded.rows.iter().all(|row| row.kind == Kind::Tombstone) && !self.table_exists().await? {
            applied.tombstones += count(folded.rows.len());
            return Ok(());
        }
        let table = self.state_table(rules.keys, schemas, key_schemas).await?;
        let before = *applied;
        let mut rounds: Vec<Vec<&Row<'a>>> = Vec::new();
        for row in &folded.rows {
            if row.round >= rounds.len() {
                rounds.resize_with(row.round + 1, Vec::new);
            }
            rounds[row.round].push(row);
        }
        let mut pipeline = Pipeline::default();
        let mut sent = Ok(());
        for rows in rounds {
            sent = self.send_rows(&table, rules.keys, &rows, attempt, &mut pipeline, applied).await;
            if sent.is_err() {
                break;
            }
        }
        failpoint::hit("mid_upsert").await?;
        // What was refused first says why: what is sent behind it fails for that reason, and says less.
        for answered in pipeline.finish().await {
            tally(&table, answered, applied, letters)?;
        }
        sent?;
        self.remember(&table, folded.rows.len(), &before, applied);
        Ok(())
    }

    /// Sends statements for rows of different keys.
    async fn send_rows<'s>(
        &mut self,
        table: &Table,
        keys: Keys<'_>,
        rows: &[&'s Row<'a>],
        attempt: Attempt,
        pipeline: &mut Pipeline<'s, 'a>,
        applied: &mut Applied,
    ) -> Result<()>
    where
        'a: 's,
    {
        let updates_only = self.config.insert_mode == InsertMode::Update;
        let hard = self.config.delete_mode == DeleteMode::Hard;
        let mut whole: BTreeMap<ColumnSet, Vec<&'s Row<'a>>> = BTreeMap::new();
        let (mut patches, mut removals, mut tombstones) = (Vec::new(), Vec::new(), Vec::new());
        let mut last: Option<(&Schema, ColumnSet)> = None;
        for &row in rows {
            match row.kind {
                Kind::Whole if !updates_only => {
                    let schema = row.schema();
                    let set = match &last {
                        Some((known, set)) if schema.is_some_and(|schema| std::ptr::eq(schema, *known)) => set.clone(),
                        _ => statement::columns_of(table, row),
                    };
                    last = schema.map(|schema| (schema, set.clone()));
                    whole.entry(set).or_default().push(row);
                }
                Kind::Delete if hard => removals.push(row),
                Kind::Tombstone => tombstones.push(row),
                Kind::Whole | Kind::Partial | Kind::Delete => patches.push(row),
            }
        }
        let partition = self.batch.partition.partition;
        let looks_first = self.expects_known_rows(table);
        let size = if attempt == Attempt::Whole { CHUNK_ROWS } else { usize::MAX };
        let others = patches.len() + removals.len() + tombstones.len();
        if attempt == Attempt::Whole
            && pipeline.is_empty()
            && others == 0
            && whole.len() == 1
            && self.expects_new_rows(table, rows.len())
        {
            let set = whole.keys().next().cloned().unwrap_or_default();
            if self.copy(table, keys, &set, rows).await? {
                applied.inserted += count(rows.len());
                return Ok(());
            }
        }
        for (set, rows) in whole {
            for chunk in rows.chunks(size) {
                let statement = statement::upsert(table, keys, partition, &set, looks_first, chunk).map_err(misfit)?;
                self.send(Shape::Upsert, chunk.to_vec(), statement, pipeline).await?;
            }
        }
        if !patches.is_empty() {
            let statement = statement::patch(table, keys, partition, !updates_only, &patches).map_err(misfit)?;
            self.send(Shape::Patch, patches, statement, pipeline).await?;
        }
        if !removals.is_empty() {
            let statement = statement::remove(table, keys, partition, &removals).map_err(misfit)?;
            self.send(Shape::Remove, removals, statement, pipeline).await?;
        }
        if !tombstones.is_empty() {
            let statement =
                statement::bury(table, keys, partition, self.config.delete_mode, !updates_only, &tombstones)
                    .map_err(misfit)?;
            self.send(Shape::Bury, tombstones, statement, pipeline).await?;
        }
        Ok(())
    }

    /// Puts a statement behind those that are on their way.
    async fn send<'s>(
        &mut self,
        shape: Shape,
        rows: Vec<&'s Row<'a>>,
        statement: Statement,
        pipeline: &mut Pipeline<'s, 'a>,
    ) -> Result<()>
    where
        'a: 's,
    {
        let prepared = pipeline.meanwhile(self.prepare(&statement.sql)).await?;
        pipeline.send(self.client, prepared, statement, shape, rows).await;
        Ok(())
    }

    async fn truncate(
        &mut self,
        record: &'a Record,
        applied: &mut Applied,
        letters: &mut Vec<DeadLetter<'a>>,
    ) -> Result<()> {
        let mode = self.config.delete_mode;
        if !self.config.truncate_enabled || mode == DeleteMode::Ignore || !self.table_exists().await? {
            applied.filtered += 1;
            return Ok(());
        }
        let Body::Change(change) = &record.body else { return Ok(()) };
        let version = crate::fold::version(record, change);
        let table = Table::bare(self.table, self.config.metadata_columns);
        let statement = statement::truncate(&table, self.batch.partition.partition, mode, version, record.offset);
        let prepared = self.prepare(&statement.sql).await?;
        let doing = || format!("truncate table {}", self.table);
        // In a savepoint: when it turns out that it must not be, the rows are there again.
        self.run("SAVEPOINT truncate").await?;
        let answer = self.client.query_one(&prepared, &statement.parameters()).await;
        let answer = answer.map_err(|error| refused(doing(), error))?;
        if answer.get(1) {
            self.run("ROLLBACK TO SAVEPOINT truncate").await?;
            letters.push(DeadLetter::truncate_across_partitions(record));
        } else {
            applied.deleted += 1;
        }
        self.run("RELEASE SAVEPOINT truncate").await
    }

    /// The table of the present state, with a column for each field of the batch; looked up once a connection and made
    /// at need.
    async fn state_table(
        &mut self,
        keys: Keys<'_>,
        schemas: Vec<Arc<Schema>>,
        key_schemas: Vec<Arc<Schema>>,
    ) -> Result<Arc<Table>> {
        let known = self.known(self.table);
        if let Some(known) = &known
            && schemas.iter().chain(&key_schemas).all(|schema| known.holds(schema))
        {
            return Ok(Arc::clone(known));
        }
        if let Some(known) = &known {
            // First what was known first: the order decides which name a column gets.
            let (schemas, key_schemas) = (with(&known.schemas, &schemas), with(&known.key_schemas, &key_schemas));
            let all = self.ensure(Wish::of_state(self.table, self.config, keys, schemas, key_schemas)?).await;
            // Somebody may have given a column a type that the earlier records did not have.
            if !all.as_ref().is_err_and(|error| error.code == MIXED) {
                return all;
            }
        }
        self.ensure(Wish::of_state(self.table, self.config, keys, schemas, key_schemas)?).await
    }
}

pub(crate) fn misfit(at: usize) -> Error {
    let doing = format!("encode record {at} of a statement: a value is out of the range of its column");
    Error::poison("postgres.out_of_range", ErrorType::Mapping, doing)
}

/// The schemas of all changes and of all keys, also of those that will be folded into others: their fields may be in
/// the rows.
fn schemas_of(records: &[Record], keys: Keys<'_>) -> (Vec<Arc<Schema>>, Vec<Arc<Schema>>) {
    let (mut schemas, mut key_schemas) = (Vec::new(), Vec::new());
    for record in records {
        if let Body::Change(change) = &record.body {
            remember(&mut schemas, &change.schema);
        }
        if let Some(schema) = keys.schema_of(&record.body) {
            remember(&mut key_schemas, schema);
        }
    }
    (schemas, key_schemas)
}

/// Adds a schema that is not there yet.
pub(crate) fn remember(schemas: &mut Vec<Arc<Schema>>, schema: &Arc<Schema>) {
    if !schemas.iter().any(|known| Arc::ptr_eq(known, schema)) {
        schemas.push(Arc::clone(schema));
    }
}

/// The first ones, then the others that are not among them.
pub(crate) fn with(first: &[Arc<Schema>], others: &[Arc<Schema>]) -> Vec<Arc<Schema>> {
    let mut all = first.to_vec();
    others.iter().for_each(|schema| remember(&mut all, schema));
    all
}

fn is_truncate(record: &Record) -> bool {
    matches!(&record.body, Body::Change(change) if change.op == RecordOp::Truncate)
}
