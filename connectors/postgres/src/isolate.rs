//! Finds the records that the database refuses, and only those.
//!
//! The usual batch is written without savepoints. When one of its values is refused, or the batch takes too long, the transaction is begun again, and the
//! records are written in halves, each behind a savepoint, always in offset order, until the culprits stand alone.

use towpath_api::{Applied, Error, Reaction, Record, Result};

use crate::{apply::Transaction, dead_letter::DeadLetter, failpoint, sqlstate};

impl<'a> Transaction<'a> {
    /// Applies the records that can be applied, and sets aside those that cannot.
    pub(crate) async fn write_around_poison(&mut self, letters: &mut Vec<DeadLetter<'a>>) -> Result<Applied> {
        // What is checked at COMMIT otherwise could not be traced to its record.
        self.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let mut applied = Applied::default();
        let mut todo: Vec<&'a [Record]> = vec![&self.batch.records];
        while let Some(records) = todo.pop() {
            self.run("SAVEPOINT part").await?;
            failpoint::hit("mid_bisect").await?;
            match self.write(records, letters).await {
                Ok(part) => {
                    self.run("RELEASE SAVEPOINT part").await?;
                    applied += part;
                }
                Err(error) if may_be_halved(&error, records) => {
                    self.back_to_savepoint().await?;
                    if let [record] = records {
                        letters.push(refused_record(record, &error));
                        applied.set_aside(error.error_type);
                    } else {
                        let (first, second) = records.split_at(records.len() / 2);
                        todo.extend([second, first]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(applied)
    }
}

/// Whether smaller parts may fare better: one record of them is refused, or together they take too long.
pub(crate) fn may_be_halved(error: &Error, records: &[Record]) -> bool {
    error.reaction == Reaction::Poison || (error.code == "postgres.too_slow" && records.len() > 1)
}

fn refused_record<'a>(record: &'a Record, error: &Error) -> DeadLetter<'a> {
    DeadLetter { record, stage: "apply", code: error.code, error_type: error.error_type, reason: sqlstate::cause(error) }
}
