//! What became of the rows of a statement, from the row that it returns.

use towpath_api::{Applied, Error, ErrorType, Result};

use crate::{
    dead_letter::DeadLetter,
    fold::Kind,
    pipeline::{Answered, Shape},
    sqlstate::refused,
    table::Table,
};

/// Adds what a statement says of its rows.
pub(crate) fn tally<'a>(
    table: &Table,
    Answered { shape, rows, answer }: Answered<'_, 'a>,
    applied: &mut Applied,
    letters: &mut Vec<DeadLetter<'a>>,
) -> Result<()> {
    let answer =
        answer.map_err(|error| refused(format!("write {} rows to table {}", rows.len(), table.name), error))?;
    let number = |at: usize| answer.get::<_, i64>(at).unsigned_abs();
    // Places are counted from 1.
    let at_places = |at: usize| {
        let places: Vec<i64> = answer.get(at);
        let row = |place: i64| usize::try_from(place - 1).ok().and_then(|at| rows.get(at)).copied();
        places.into_iter().filter_map(row).collect::<Vec<_>>()
    };
    let all = count(rows.len());
    match shape {
        Shape::Upsert => {
            let (inserted, written) = (number(0), number(1));
            applied.inserted += inserted;
            applied.updated += written - inserted;
            applied.stale += all - written;
        }
        Shape::Patch => {
            // Two keys that only the database holds to be one would each count, and one of them would be lost.
            if number(0) + number(1) + number(2) + number(3) + number(5) != all {
                let doing =
                    format!("write {all} rows to table {}: two of their keys are one to the database", table.name);
                return Err(Error::poison("postgres.ambiguous_key", ErrorType::Constraint, doing));
            }
            applied.inserted += number(0);
            applied.updated += number(1);
            applied.deleted += number(2);
            applied.stale += number(3);
            applied.filtered += number(5);
            for row in at_places(4) {
                match row.kind {
                    // A whole record that is old is old; only fields have no place any more.
                    Kind::Whole => continue,
                    Kind::Partial => letters.push(DeadLetter::stale_partial(row.record)),
                    Kind::Delete | Kind::Tombstone => letters.push(DeadLetter::undecided_delete(row.record)),
                }
                applied.stale -= 1;
            }
        }
        Shape::Remove => {
            let undecided = at_places(2);
            applied.stale += number(1);
            applied.deleted += all - number(1) - count(undecided.len());
            letters.extend(undecided.into_iter().map(|row| DeadLetter::undecided_delete(row.record)));
        }
        Shape::Bury => {
            let undecided = at_places(1);
            applied.deleted += number(0);
            applied.tombstones += all - number(0) - count(undecided.len());
            letters.extend(undecided.into_iter().map(|row| DeadLetter::undecided_delete(row.record)));
        }
    }
    Ok(())
}

pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
