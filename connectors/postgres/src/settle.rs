//! Rows that a statement should have written and did not, although it was not refused: the order of the record and its
//! row is unknown, another partition wrote the row at the same moment, or a trigger of the table dropped the row.
//!
//! None of this happens in the usual course, so the statements that write rows only count them.

use towpath_api::{Error, ErrorType, Result};

use crate::{
    codes,
    config::{DeleteMode, MetadataColumns},
    fold::Row,
    key::Keys,
    pipeline::StatementKind,
    sqlstate::row_error,
    statement::{self, Statement, out_of_range},
    table::Table,
    tally::{Tally, absorbed, tally},
    transaction::Transaction,
    written::{Written, count},
};

/// Builds a statement that is not an upsert.
pub(crate) fn build(
    table: &Table,
    keys: Keys<'_>,
    partition: i32,
    mode: DeleteMode,
    kind: StatementKind,
    rows: &[&Row<'_>],
) -> Result<Statement> {
    match kind {
        StatementKind::Upsert | StatementKind::Patch { inserts: true } => {
            statement::patch(table, keys, partition, true, rows)
        }
        StatementKind::Patch { inserts: false } => statement::patch(table, keys, partition, false, rows),
        StatementKind::Remove => statement::remove(table, keys, partition, rows),
        StatementKind::DeleteByTombstone { remembers } => {
            statement::delete_by_tombstone(table, keys, partition, mode, remembers, rows)
        }
    }
    .map_err(out_of_range)
}

/// Finds out why rows were not written, writes those that can be, and counts all.
///
/// # Errors
/// The database refuses a row, or two of the keys are one key to the database.
pub(crate) async fn settle<'a>(
    transaction: &mut Transaction<'a>,
    table: &Table,
    keys: Keys<'_>,
    kind: StatementKind,
    rows: &[&Row<'a>],
    first: Tally<'a>,
) -> Result<Written<'a>> {
    match kind {
        StatementKind::Upsert => settle_upsert(transaction, table, keys, rows, first).await,
        _ => run_again(transaction, table, keys, kind, rows, first).await,
    }
}

/// Separates rows that are older than the table's from the others, and writes the others with a statement that knows
/// their times.
async fn settle_upsert<'a>(
    transaction: &mut Transaction<'a>,
    table: &Table,
    keys: Keys<'_>,
    rows: &[&Row<'a>],
    first: Tally<'a>,
) -> Result<Written<'a>> {
    let mut written = first.written;
    if table.metadata == MetadataColumns::None {
        // Every row is written, unless it has only the key.
        let only_keys = rows.first().is_some_and(|row| statement::columns_of(table, row).is_empty());
        if !only_keys {
            written.applied.filtered += std::mem::take(&mut written.applied.stale);
        }
        return Ok(written);
    }
    let (absent, left) = look(transaction, table, keys, rows).await?;
    if left.is_empty() {
        return Ok(written);
    }
    let rest = run(transaction, table, keys, StatementKind::Patch { inserts: true }, &left).await?;
    if table.is_partitioned {
        // Rows that a trigger dropped were counted among the keys without a row.
        let both = written.applied.inserted + written.applied.updated;
        written.applied.inserted = first.absent.saturating_sub(absent).min(both);
        written.applied.updated = both - written.applied.inserted;
    }
    written.applied.stale = written.applied.stale.saturating_sub(count(left.len()));
    written.applied.folded -= absorbed(&left);
    written += rest.written;
    written.applied.filtered += rest.unwritten;
    Ok(written)
}

/// Finds the whole rows that may still change the table. Returns the number of those whose key has no row, and all.
pub(crate) async fn look<'s, 'a>(
    transaction: &mut Transaction<'_>,
    table: &Table,
    keys: Keys<'_>,
    rows: &[&'s Row<'a>],
) -> Result<(u64, Vec<&'s Row<'a>>)> {
    let partition = transaction.batch.partition.partition;
    let look = statement::look(table, keys, partition, rows).map_err(out_of_range)?;
    let answer = query(transaction, &look, || format!("look up {} rows of table {}", rows.len(), table.name)).await?;
    let (absent, others): (Vec<i64>, Vec<i64>) = (answer.get(0), answer.get(1));
    let missing = count(absent.len());
    let mut places: Vec<usize> =
        absent.into_iter().chain(others).filter_map(|place| usize::try_from(place - 1).ok()).collect();
    // In key order, two writers of one table cannot deadlock.
    places.sort_unstable();
    Ok((missing, places.into_iter().filter_map(|place| rows.get(place)).copied().collect()))
}

/// Runs a statement again. Rows of another transaction, which the first run waited for, are visible now; rows that are
/// not written again were dropped by a trigger.
async fn run_again<'a>(
    transaction: &mut Transaction<'a>,
    table: &Table,
    keys: Keys<'_>,
    kind: StatementKind,
    rows: &[&Row<'a>],
    first: Tally<'a>,
) -> Result<Written<'a>> {
    let distinct = statement::count_keys(table, keys, rows).map_err(out_of_range)?;
    let answer = query(transaction, &distinct, || format!("count the keys of table {}", table.name)).await?;
    // Two keys that are one to the database would each be counted, and one of them would be lost.
    if answer.get::<_, i64>(0).unsigned_abs() != count(rows.len()) {
        let doing =
            format!("write {} rows to table {}: two of their keys are one key to the database", rows.len(), table.name);
        return Err(Error::poison(codes::AMBIGUOUS_KEY, ErrorType::Constraint, doing));
    }
    let Tally { mut written, unwritten, .. } = run(transaction, table, keys, kind, rows).await?;
    let (before, applied) = (first.written.applied, &mut written.applied);
    // The second run found what the first had written; the first counts.
    match kind {
        StatementKind::Patch { .. } if table.metadata == MetadataColumns::None => {
            applied.inserted += before.inserted;
            applied.updated = applied.updated.saturating_sub(before.inserted);
        }
        StatementKind::Upsert | StatementKind::Patch { .. } => {
            let known = before.inserted + before.updated + before.deleted;
            applied.stale = applied.stale.saturating_sub(known);
            applied.inserted += before.inserted;
            applied.updated += before.updated;
            applied.deleted += before.deleted;
        }
        StatementKind::DeleteByTombstone { .. } => {
            applied.tombstones = applied.tombstones.saturating_sub(before.deleted);
            applied.deleted += before.deleted;
        }
        // A key without a row counts as deleted.
        StatementKind::Remove => {}
    }
    applied.filtered += unwritten;
    Ok(written)
}

/// Runs one statement and waits for its answer.
async fn run<'a>(
    transaction: &mut Transaction<'a>,
    table: &Table,
    keys: Keys<'_>,
    kind: StatementKind,
    rows: &[&Row<'a>],
) -> Result<Tally<'a>> {
    let (partition, mode) = (transaction.batch.partition.partition, transaction.config.delete_mode);
    let statement = build(table, keys, partition, mode, kind, rows)?;
    let prepared = transaction.prepare(&statement.sql).await?;
    let answer = transaction.client.query_one(&prepared, &statement.parameters()).await;
    tally(table, kind, rows, answer)
}

async fn query(
    transaction: &mut Transaction<'_>,
    statement: &Statement,
    doing: impl Fn() -> String,
) -> Result<tokio_postgres::Row> {
    let prepared = transaction.prepare(&statement.sql).await?;
    let answer = transaction.client.query_one(&prepared, &statement.parameters()).await;
    answer.map_err(|error| row_error(doing(), error))
}
