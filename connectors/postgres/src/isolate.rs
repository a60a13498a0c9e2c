//! Finds the records that the database refuses, and only those.
//!
//! The first attempt to write a batch uses no savepoints. If the database refuses one of its values, or the batch takes
//! too long, the transaction starts over and the records are written in halves, in offset order, each half after a
//! savepoint, until each refused record is isolated.

use towpath_api::{Error, ErrorType, Reaction, Record, Result, failpoint};

use crate::{
    codes,
    dead_letter::DeadLetter,
    sqlstate,
    transaction::{Attempt, Transaction},
    write::write,
    written::Written,
};

/// The savepoint before each part.
const PART: &str = "part";

/// Applies the records that can be applied, and dead-letters the others.
pub(crate) async fn write_isolating_poison<'a>(transaction: &mut Transaction<'a>) -> Result<Written<'a>> {
    // An error of a deferred constraint, raised at COMMIT, could not be traced to its record.
    transaction.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
    let batch = transaction.batch;
    let mut written = Written::default();
    let mut refused: Vec<(&'a [Record], Error)> = Vec::new();
    let mut todo: Vec<&'a [Record]> = vec![&batch.records];
    while let Some(records) = todo.pop() {
        match write_part(transaction, records, true).await? {
            Ok(part) => written += part,
            Err(error) if records.len() == 1 => refused.push((records, error)),
            Err(_) => {
                let (first, second) = records.split_at(records.len() / 2);
                todo.extend([second, first]);
            }
        }
    }
    // The referenced row may come later in the batch: retry until no retry succeeds.
    loop {
        let (retried, mut left): (Vec<_>, Vec<_>) =
            refused.into_iter().partition(|(_, error)| error.code == codes::FOREIGN_KEY);
        let before = retried.len();
        let mut still_refused = 0;
        for (records, _) in retried {
            match write_part(transaction, records, false).await? {
                Ok(part) => written += part,
                Err(error) => {
                    still_refused += 1;
                    left.push((records, error));
                }
            }
        }
        refused = left;
        if still_refused == before {
            break;
        }
    }
    for (records, error) in &refused {
        records.iter().for_each(|record| written.reject(refused_record(record, error)));
    }
    Ok(written)
}

/// Writes records after a savepoint. After the inner error, nothing of the part remains; smaller parts may succeed, or
/// the error is that of the single record.
///
/// Pass `in_order: false` for a retried record. A later record of its key may then be in the table already; if so, the
/// record has no place in its row and stays refused.
async fn write_part<'a>(
    transaction: &mut Transaction<'a>,
    records: &'a [Record],
    in_order: bool,
) -> Result<Result<Written<'a>>> {
    transaction.savepoint(PART).await?;
    failpoint::hit("mid_bisect").await?;
    match write(transaction, records, Attempt::InParts).await {
        Ok(part) if !in_order && (part.applied.stale > 0 || !part.letters.is_empty()) => {
            transaction.roll_back_to(PART).await?;
            let doing = "write a record after a later one of its key, because the row it refers to came last";
            Ok(Err(Error::poison(codes::FOREIGN_KEY, ErrorType::Constraint, doing)))
        }
        Ok(part) => {
            transaction.release(PART).await?;
            Ok(Ok(part))
        }
        Err(error) if may_be_halved(&error, records) => {
            transaction.roll_back_to(PART).await?;
            Ok(Err(error))
        }
        Err(error) => Err(error),
    }
}

/// Returns true if smaller parts may succeed: one record is refused, or several together take too long.
pub(crate) fn may_be_halved(error: &Error, records: &[Record]) -> bool {
    error.reaction == Reaction::Poison || (error.code == codes::TOO_SLOW && records.len() > 1)
}

/// The dead letter of a refused record. Its reason includes the next step, because a dead letter has no field for it.
fn refused_record<'a>(record: &'a Record, error: &Error) -> DeadLetter<'a> {
    let mut reason = sqlstate::cause(error);
    if let Some(help) = error.help() {
        reason.push_str("; ");
        reason.push_str(help);
    }
    DeadLetter { record, stage: "apply", code: error.code, error_type: error.error_type, reason }
}
