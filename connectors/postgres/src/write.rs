//! Writes records: folded to one row per key, one statement for each kind of row, and the history table if there is
//! one.
//!
//! A statement is sent as soon as its arrays are filled, without waiting for its answer: while the server works on one
//! part of the batch, the next part is encoded.

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::schema::Schema;
use towpath_api::{Applied, Body, Error, ErrorType, Record, RecordOp, Result, failpoint};

use crate::{
    codes,
    config::{DeleteMode, InsertMode, MetadataColumns, PrimaryKeyMode},
    connection::SearchPath,
    dead_letter::DeadLetter,
    fast_path::{copy, expect_the_same, expects_known_rows, expects_new_rows},
    fold::{Folded, Row, RowKind, RowVersion, Rules, fold},
    history::append,
    key::Keys,
    pipeline::{Answered, Pipeline, StatementKind},
    schemas::{schemas_of, seen, union},
    settle::{build, look, settle},
    sqlstate::row_error,
    statement::{self, CHUNK_ROWS, ColumnSet, Statement, out_of_range, remembers_tombstones},
    table::{DesiredTable, Table, key_mismatch},
    tally::{absorbed, tally},
    transaction::{Attempt, Transaction},
    truncation, unavailable,
    written::{Written, count},
};

/// Writes records of the batch.
///
/// # Errors
/// Poison means that the database refuses one of them, and does not say which.
pub(crate) async fn write<'a>(
    transaction: &mut Transaction<'a>,
    records: &'a [Record],
    attempt: Attempt,
) -> Result<Written<'a>> {
    let config = transaction.config;
    if config.insert_mode == InsertMode::Insert {
        return append(transaction, records, transaction.table, config.primary_key()).await;
    }
    let mut written = Written::default();
    let mut truncated = truncation::last(transaction).await?;
    // A truncate deletes all earlier rows and no later ones.
    for part in records.split_inclusive(is_truncate) {
        let (rows, last) = match part.split_last() {
            Some((last, rows)) if is_truncate(last) => (rows, Some(last)),
            _ => (part, None),
        };
        written += write_state(transaction, rows, truncated, attempt).await?;
        if let Some(record) = last {
            written += truncate(transaction, record).await?;
            truncated = truncation::last(transaction).await?;
        }
    }
    if config.history_enabled {
        // Its outcome is dropped, because each record is counted once: in the table of the present state.
        append(transaction, records, &transaction.table.history(), PrimaryKeyMode::Kafka).await?;
    }
    Ok(written)
}

/// Writes records to the table of the present state; none of them is a truncate.
async fn write_state<'a>(
    transaction: &mut Transaction<'a>,
    records: &'a [Record],
    truncated: Option<RowVersion>,
    attempt: Attempt,
) -> Result<Written<'a>> {
    let config = transaction.config;
    let keys = Keys::new(config.primary_key(), &config.pk_fields);
    let (schemas, key_schemas) = schemas_of(records, keys);
    keys.require(&key_schemas).map_err(|problem| key_mismatch(transaction.table, config.schema_mismatch, &problem))?;
    if keys.are_ambiguous(&key_schemas) {
        let doing = format!("write to table {} at once: the keys have different types", transaction.table);
        return Err(Error::poison(codes::MIXED_SHAPES, ErrorType::Mapping, doing));
    }
    let compares_versions = config.metadata_columns != MetadataColumns::None;
    let folded = fold(records, Rules { keys, delete_mode: config.delete_mode, compares_versions, truncated });
    let mut written = outcome_of_folding(&folded);
    let rows = folded.rows;
    if rows.is_empty() {
        return Ok(written);
    }
    if rows.iter().all(|row| row.kind == RowKind::Tombstone) && !transaction.table_exists().await? {
        written.applied.tombstones += count(rows.len());
        return Ok(written);
    }
    let table = state_table(transaction, keys, schemas, key_schemas, records).await?;
    let rows_written = write_rows(transaction, &table, keys, &rows, attempt).await?;
    expect_the_same(transaction, &table, rows.len(), &rows_written.applied);
    written += rows_written;
    Ok(written)
}

/// Counts the records that have no row.
fn outcome_of_folding<'a>(folded: &Folded<'a>) -> Written<'a> {
    let mut written = Written::default();
    written.applied.stale = folded.stale;
    written.applied.tombstones = folded.tombstones;
    written.applied.filtered = folded.filtered;
    folded.undecodable.iter().for_each(|record| written.reject(DeadLetter::undecodable(record)));
    folded.stale_partials.iter().for_each(|record| written.reject(DeadLetter::stale_partial(record)));
    folded.unkeyed.iter().for_each(|(record, why)| written.reject(DeadLetter::unkeyed(record, *why)));
    written
}

/// Writes folded rows, round by round. Only after a round is it known whether its rows are in the table, on which the
/// next round depends.
async fn write_rows<'a>(
    transaction: &mut Transaction<'a>,
    table: &Table,
    keys: Keys<'_>,
    rows: &[Row<'a>],
    attempt: Attempt,
) -> Result<Written<'a>> {
    transaction.search(SearchPath::OfRole).await?;
    let mut rounds: Vec<Vec<&Row<'a>>> = Vec::new();
    for row in rows {
        if row.round >= rounds.len() {
            rounds.resize_with(row.round + 1, Vec::new);
        }
        rounds[row.round].push(row);
    }
    let (mut written, alone) = (Written::default(), rows.len() == 1);
    for rows in rounds {
        let mut pipeline = Pipeline::default();
        let sent = send_rows(transaction, table, keys, &rows, alone, attempt, &mut pipeline).await;
        failpoint::hit("mid_upsert").await?;
        // The first refused statement has the cause: later ones fail because of it, and say less.
        let mut tallies = Vec::new();
        for Answered { kind, rows, answer } in pipeline.finish().await {
            let tally = tally(table, kind, &rows, answer)?;
            tallies.push((kind, rows, tally));
        }
        written.applied += sent?;
        for (kind, rows, tally) in tallies {
            written += match tally.unwritten {
                0 => tally.written,
                _ => settle(transaction, table, keys, kind, &rows, tally).await?,
            };
        }
    }
    Ok(written)
}

/// Sends statements for rows of different keys. Returns the rows that have no statement in the pipeline: those inserted
/// by `COPY`, and those that the table is known to have.
async fn send_rows<'s, 'a: 's>(
    transaction: &mut Transaction<'a>,
    table: &Table,
    keys: Keys<'_>,
    rows: &[&'s Row<'a>],
    alone: bool,
    attempt: Attempt,
    pipeline: &mut Pipeline<'s, 'a>,
) -> Result<Applied> {
    let config = transaction.config;
    let updates_only = config.insert_mode == InsertMode::Update;
    let hard = config.delete_mode == DeleteMode::Hard;
    let (mut whole, mut patches, mut removals, mut tombstones) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &row in rows {
        match row.kind {
            RowKind::Whole if !updates_only => whole.push(row),
            RowKind::Delete if hard => removals.push(row),
            RowKind::Tombstone => tombstones.push(row),
            RowKind::Whole | RowKind::Partial | RowKind::Delete => patches.push(row),
        }
    }
    if !updates_only {
        unavailable::supply(transaction, table, keys, &patches, alone).await?;
    }
    let mut done = Applied::default();
    if !whole.is_empty() && expects_known_rows(transaction, table) {
        let (_, left) = look(transaction, table, keys, &whole).await?;
        done.stale = count(whole.len() - left.len());
        done.folded = absorbed(&whole) - absorbed(&left);
        whole = left;
    }
    let whole = by_columns(table, whole);
    let others = patches.len() + removals.len() + tombstones.len();
    if attempt == Attempt::Whole && others == 0 && whole.len() == 1 && expects_new_rows(transaction, table, rows.len())
    {
        let set = whole.keys().next().cloned().unwrap_or_default();
        if let Some(copied) = copy(transaction, table, keys, &set, rows).await? {
            done.inserted = copied;
            // A trigger dropped the others.
            done.filtered = count(rows.len()).saturating_sub(copied);
            done.folded = absorbed(rows);
            return Ok(done);
        }
    }
    let (partition, mode) = (transaction.batch.partition.partition, config.delete_mode);
    let size = if attempt == Attempt::Whole { CHUNK_ROWS } else { usize::MAX };
    for (set, rows) in whole {
        for chunk in rows.chunks(size) {
            let upsert = statement::upsert(table, keys, partition, &set, chunk).map_err(out_of_range)?;
            send(transaction, StatementKind::Upsert, chunk.to_vec(), upsert, pipeline).await?;
        }
    }
    let remembers = !updates_only && remembers_tombstones(table, mode);
    for (kind, rows) in [
        (StatementKind::Patch { inserts: !updates_only }, patches),
        (StatementKind::Remove, removals),
        (StatementKind::DeleteByTombstone { remembers }, tombstones),
    ] {
        if !rows.is_empty() {
            let statement = build(table, keys, partition, mode, kind, &rows)?;
            send(transaction, kind, rows, statement, pipeline).await?;
        }
    }
    Ok(done)
}

/// Whole rows by the columns that they set.
fn by_columns<'s, 'a>(table: &Table, rows: Vec<&'s Row<'a>>) -> BTreeMap<ColumnSet, Vec<&'s Row<'a>>> {
    let mut sets: BTreeMap<ColumnSet, Vec<&'s Row<'a>>> = BTreeMap::new();
    let mut last: Option<(&Schema, ColumnSet)> = None;
    for row in rows {
        let schema = row.schema();
        let set = match &last {
            Some((known, set)) if schema.is_some_and(|schema| std::ptr::eq(schema, *known)) => set.clone(),
            _ => statement::columns_of(table, row),
        };
        last = schema.map(|schema| (schema, set.clone()));
        sets.entry(set).or_default().push(row);
    }
    sets
}

/// Prepares a statement and appends it to the pipeline.
async fn send<'s, 'a: 's>(
    transaction: &mut Transaction<'a>,
    kind: StatementKind,
    rows: Vec<&'s Row<'a>>,
    statement: Statement,
    pipeline: &mut Pipeline<'s, 'a>,
) -> Result<()> {
    let prepared = pipeline.run_alongside(transaction.prepare(&statement.sql)).await?;
    pipeline.send(transaction.client, prepared, statement, kind, rows).await;
    Ok(())
}

/// Deletes the rows that are older than a truncate.
async fn truncate<'a>(transaction: &mut Transaction<'a>, record: &'a Record) -> Result<Written<'a>> {
    const SAVEPOINT: &str = "truncate";
    let mut written = Written::default();
    let mode = transaction.config.delete_mode;
    let Body::Change(change) = &record.body else { return Ok(written) };
    let version = crate::fold::version(record, change);
    if !transaction.config.truncate_enabled || mode == DeleteMode::Ignore {
        written.applied.filtered += 1;
        return Ok(written);
    }
    if !transaction.table_exists().await? {
        truncation::note(transaction, version).await?;
        written.applied.filtered += 1;
        return Ok(written);
    }
    let table = Table::bare(transaction.table, transaction.config.metadata_columns);
    let partition = transaction.batch.partition.partition;
    let statement = statement::truncate(&table, partition, mode, version, record.offset);
    transaction.search(SearchPath::OfRole).await?;
    let prepared = transaction.prepare(&statement.sql).await?;
    transaction.savepoint(SAVEPOINT).await?;
    truncation::note(transaction, version).await?;
    let answer = transaction.client.query_one(&prepared, &statement.parameters()).await;
    let answer = answer.map_err(|error| row_error(format!("truncate table {}", transaction.table), error))?;
    // The second column says that rows of other partitions may be newer.
    if answer.get(1) {
        transaction.roll_back_to(SAVEPOINT).await?;
        written.reject(DeadLetter::truncate_across_partitions(record));
    } else {
        transaction.release(SAVEPOINT).await?;
        written.applied.deleted += 1;
    }
    Ok(written)
}

/// The table of the present state, with a column for each field of the batch; looked up once per connection, and
/// created or altered if needed.
async fn state_table(
    transaction: &mut Transaction<'_>,
    keys: Keys<'_>,
    schemas: Vec<Arc<Schema>>,
    key_schemas: Vec<Arc<Schema>>,
    records: &[Record],
) -> Result<Arc<Table>> {
    let (name, config) = (transaction.table, transaction.config);
    let target = (name, &*transaction.batch.partition.topic);
    let cached = transaction.cached(name);
    if let Some(cached) = &cached
        && schemas.iter().chain(&key_schemas).all(|schema| cached.holds(schema))
    {
        return Ok(Arc::clone(cached));
    }
    let seen = seen(records);
    if let Some(cached) = &cached {
        // The schemas seen first come first: their order decides the names of columns.
        let (schemas, key_schemas) = (union(&cached.schemas, &schemas), union(&cached.key_schemas, &key_schemas));
        let all = match DesiredTable::of_state(target, config, keys, schemas, key_schemas) {
            Ok(desired) => transaction.ensure(desired.seen(seen.clone())).await,
            Err(error) => Err(error),
        };
        // Another session may have given a column a type that earlier records did not have, or the key has other
        // fields than that of earlier records.
        if !all.as_ref().is_err_and(|error| error.code == codes::MIXED_SHAPES) {
            return all;
        }
    }
    transaction.ensure(DesiredTable::of_state(target, config, keys, schemas, key_schemas)?.seen(seen)).await
}

pub(crate) fn is_truncate(record: &Record) -> bool {
    matches!(&record.body, Body::Change(change) if change.op == RecordOp::Truncate)
}
