//! Finds the records that the database refuses, and only those.
//!
//! The usual batch is written without savepoints. When one of its values is refused, or the batch takes too long, the
//! transaction is begun again, and the records are written in halves, each behind a savepoint, always in offset order,
//! until the culprits stand alone.

use towpath_api::{Applied, Error, ErrorType, Reaction, Record, Result};

use crate::{
    apply::{Attempt, Transaction},
    dead_letter::DeadLetter,
    failpoint,
    sqlstate::{self, FOREIGN_KEY},
    tally::count,
};

impl<'a> Transaction<'a> {
    /// Applies the records that can be applied, and sets aside those that cannot.
    pub(crate) async fn write_around_poison(&mut self, letters: &mut Vec<DeadLetter<'a>>) -> Result<Applied> {
        // What is checked at COMMIT otherwise could not be traced to its record.
        self.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let mut applied = Applied::default();
        let mut refused: Vec<(&'a [Record], Error)> = Vec::new();
        let mut todo: Vec<&'a [Record]> = vec![&self.batch.records];
        while let Some(records) = todo.pop() {
            match self.write_part(records, true, letters).await? {
                Ok(part) => applied += part,
                Err(error) if records.len() == 1 => refused.push((records, error)),
                Err(_) => {
                    let (first, second) = records.split_at(records.len() / 2);
                    todo.extend([second, first]);
                }
            }
        }
        // What a row refers to may have come behind it in the batch.
        loop {
            let (again, mut left): (Vec<_>, Vec<_>) =
                refused.into_iter().partition(|(_, error)| error.code == FOREIGN_KEY);
            let before = again.len();
            let mut still = 0;
            for (records, _) in again {
                match self.write_part(records, false, letters).await? {
                    Ok(part) => applied += part,
                    Err(error) => {
                        still += 1;
                        left.push((records, error));
                    }
                }
            }
            refused = left;
            if still == before {
                break;
            }
        }
        for (records, error) in &refused {
            for record in *records {
                letters.push(refused_record(record, error));
                applied.set_aside(error.error_type);
            }
        }
        Ok(applied)
    }

    /// Writes records behind a savepoint. The inner error is one that smaller parts may escape, or the record's own;
    /// nothing is left of it.
    ///
    /// Without `in_order` what is written comes late: where a later record of its key was there first, it has no place
    /// any more, and is refused as it was before.
    async fn write_part(
        &mut self,
        records: &'a [Record],
        in_order: bool,
        letters: &mut Vec<DeadLetter<'a>>,
    ) -> Result<Result<Applied>> {
        self.run("SAVEPOINT part").await?;
        failpoint::hit("mid_bisect").await?;
        let before = letters.len();
        match self.write(records, Attempt::InParts, letters).await {
            Ok(part) if !in_order && part.stale + count(letters.len() - before) > 0 => {
                self.back_to_savepoint().await?;
                letters.truncate(before);
                let doing = "write a record behind a later one of its key, since what it refers to came last";
                Ok(Err(Error::poison(FOREIGN_KEY, ErrorType::Constraint, doing)))
            }
            Ok(part) => {
                self.run("RELEASE SAVEPOINT part").await?;
                Ok(Ok(part))
            }
            Err(error) if may_be_halved(&error, records) => {
                self.back_to_savepoint().await?;
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether smaller parts may fare better: one record of them is refused, or together they take too long.
pub(crate) fn may_be_halved(error: &Error, records: &[Record]) -> bool {
    error.reaction == Reaction::Poison || (error.code == "postgres.too_slow" && records.len() > 1)
}

fn refused_record<'a>(record: &'a Record, error: &Error) -> DeadLetter<'a> {
    DeadLetter {
        record,
        stage: "apply",
        code: error.code,
        error_type: error.error_type,
        reason: sqlstate::cause(error),
    }
}
