//! The outcome of a statement, from the row that it returns.

use tokio_postgres::{Error as PgError, Row as PgRow};
use towpath_api::Result;

use crate::{
    dead_letter::DeadLetter,
    fold::{Row, RowKind},
    pipeline::StatementKind,
    sqlstate::row_error,
    table::Table,
    written::{Written, count},
};

/// The outcome of a statement.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) written: Written<'a>,
    /// The number of rows that the statement should have written and did not, although it was not refused. They are not
    /// in `written`, except those of an upsert, which are counted as stale.
    pub(crate) unwritten: u64,
    /// Of an upsert: the keys without a row before it.
    pub(crate) absent: u64,
}

/// Counts the rows of a statement, and the records that its rows absorbed.
///
/// # Errors
/// The database refused the statement.
pub(crate) fn tally<'a>(
    table: &Table,
    kind: StatementKind,
    rows: &[&Row<'a>],
    answer: Result<PgRow, PgError>,
) -> Result<Tally<'a>> {
    let answer =
        answer.map_err(|error| row_error(format!("write {} rows to table {}", rows.len(), table.name), error))?;
    let number = |at: usize| answer.get::<_, i64>(at).unsigned_abs();
    // Places start at 1.
    let at_places = |at: usize| {
        let places: Vec<i64> = answer.get(at);
        let row = |place: i64| usize::try_from(place - 1).ok().and_then(|at| rows.get(at)).copied();
        places.into_iter().filter_map(row).collect::<Vec<_>>()
    };
    let all = count(rows.len());
    let mut written = Written::default();
    let applied = &mut written.applied;
    applied.folded = absorbed(rows);
    let (absent, due, undecided, unknown);
    match kind {
        StatementKind::Upsert => {
            // A partitioned table counts the keys without a row, and a trigger may have dropped some.
            applied.inserted = number(0).min(number(1));
            applied.updated = number(1) - applied.inserted;
            applied.stale = all.saturating_sub(number(1));
            return Ok(Tally { unwritten: applied.stale, absent: number(0), written });
        }
        StatementKind::Patch { inserts } => {
            (applied.inserted, applied.updated, applied.deleted) = (number(0), number(1), number(2));
            absent = all.saturating_sub(number(3));
            applied.filtered = if inserts { 0 } else { absent };
            (due, undecided, unknown) = (number(4) + absent, at_places(5), at_places(6));
        }
        StatementKind::Remove => {
            absent = all.saturating_sub(number(1));
            applied.deleted = number(0) + absent;
            (due, undecided, unknown) = (number(2) + absent, at_places(3), Vec::new());
        }
        StatementKind::DeleteByTombstone { remembers } => {
            absent = all.saturating_sub(number(1));
            applied.deleted = number(0);
            applied.tombstones = if remembers { number(4) } else { absent };
            (due, undecided, unknown) = (number(2) + absent, at_places(3), Vec::new());
        }
    }
    let unwritten = due.saturating_sub(applied.total() - applied.folded);
    for row in undecided {
        written.reject_row(row, DeadLetter::undecided);
    }
    // An older whole record or delete needs no attention; the fields of an older partial update are lost.
    for row in unknown.into_iter().filter(|row| row.kind == RowKind::Partial) {
        written.reject_row(row, |_, record| DeadLetter::stale_partial(record));
    }
    let rest = (all + absorbed(rows)).saturating_sub(written.applied.total() + unwritten);
    match kind {
        StatementKind::DeleteByTombstone { .. } => written.applied.tombstones += rest,
        _ => written.applied.stale += rest,
    }
    Ok(Tally { written, unwritten, absent })
}

/// The number of records that rows absorbed.
pub(crate) fn absorbed(rows: &[&Row<'_>]) -> u64 {
    rows.iter().map(|row| count(row.absorbed.len())).sum()
}
