//! The outcome of a statement, from the row that it returns.

use towpath_api::{Error, ErrorType, Result};

use crate::{
    codes,
    dead_letter::DeadLetter,
    fold::RowKind,
    pipeline::{Answered, StatementKind},
    sqlstate::database_error,
    table::Table,
    written::{Written, count},
};

/// Counts the rows of a statement.
///
/// # Errors
/// The database refused the statement, or two of its keys are one key to the database.
pub(crate) fn tally<'a>(table: &Table, Answered { kind, rows, answer }: Answered<'_, 'a>) -> Result<Written<'a>> {
    let answer =
        answer.map_err(|error| database_error(format!("write {} rows to table {}", rows.len(), table.name), error))?;
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
    match kind {
        StatementKind::Upsert => {
            let (inserted, written) = (number(0), number(1));
            applied.inserted += inserted;
            applied.updated += written - inserted;
            applied.stale += all - written;
        }
        StatementKind::Patch => {
            // Two keys that are one to the database would each be counted, and one of them would be lost.
            if number(0) + number(1) + number(2) + number(3) + number(5) != all {
                let doing =
                    format!("write {all} rows to table {}: two of their keys are one key to the database", table.name);
                return Err(Error::poison(codes::AMBIGUOUS_KEY, ErrorType::Constraint, doing));
            }
            applied.inserted += number(0);
            applied.updated += number(1);
            applied.deleted += number(2);
            applied.stale += number(3);
            applied.filtered += number(5);
            for row in at_places(4) {
                let letter = match row.kind {
                    // A stale whole record needs no attention; the fields of a stale partial update are lost.
                    RowKind::Whole => continue,
                    RowKind::Partial => DeadLetter::stale_partial(row.record),
                    RowKind::Delete | RowKind::Tombstone => DeadLetter::undecided_delete(row.record),
                };
                written.applied.stale -= 1;
                written.reject(letter);
            }
        }
        StatementKind::Remove => {
            let undecided = at_places(2);
            applied.stale += number(1);
            applied.deleted += all - number(1) - count(undecided.len());
            undecided.into_iter().for_each(|row| written.reject(DeadLetter::undecided_delete(row.record)));
        }
        StatementKind::DeleteByTombstone => {
            let undecided = at_places(1);
            applied.deleted += number(0);
            applied.tombstones += all - number(0) - count(undecided.len());
            undecided.into_iter().for_each(|row| written.reject(DeadLetter::undecided_delete(row.record)));
        }
    }
    Ok(written)
}
