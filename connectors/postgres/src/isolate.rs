//! Finds the records that the database refuses, and only those.
//!
//! The first attempt to write a batch uses no savepoints. If the database refuses one of its values, or the batch takes
//! too long, the transaction starts over and the records are written in halves, in offset order, each half after a
//! savepoint, until each refused record is isolated.

use std::{borrow::Cow, collections::HashMap};

use towpath_api::{Body, Error, Identity, Reaction, Record, RecordOp, Result, failpoint};

use crate::{
    blame::name_the_field,
    codes,
    config::{DeleteMode, InsertMode, PostgresSinkConfig},
    dead_letter::DeadLetter,
    key::Keys,
    sqlstate::{self, is_curable},
    transaction::{Attempt, Transaction},
    unique,
    write::{is_truncate, write},
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
    let mut refused: Vec<(&'a Record, Error)> = Vec::new();
    let mut waiting: Vec<(&'a Record, Error)> = Vec::new();
    let mut overtaking = Overtaking::of(transaction.config);
    let mut todo: Vec<&'a [Record]> = vec![&batch.records];
    while let Some(records) = todo.pop() {
        match write_part(transaction, records).await? {
            Ok(part) => {
                written += part;
                records.iter().for_each(|record| overtaking.add(record));
            }
            Err(error) => match records {
                [record] if is_curable(error.code) => waiting.push((record, error)),
                [record] => {
                    refused.push((record, error));
                    if refused.len() >= MANY && Accepted::by(&written) == Accepted::default() {
                        refuse_if_unclear(transaction, &mut refused, Accepted::default())?;
                    }
                }
                _ => {
                    let (first, second) = records.split_at(records.len() / 2);
                    todo.extend([second, first]);
                }
            },
        }
    }
    // The cure may come later in the batch: retry, in offset order, until no retry succeeds.
    loop {
        let before = waiting.len();
        let mut left = Vec::new();
        for (record, error) in waiting {
            if overtaking.precludes(record) {
                let mut letter = refused_record(record, &error);
                letter
                    .reason
                    .push_str("; when it could be written, a later record of the key or a truncate had been applied");
                written.reject(letter);
                continue;
            }
            match write_part(transaction, std::slice::from_ref(record)).await? {
                Ok(part) => {
                    written += part;
                    overtaking.add(record);
                }
                Err(error) => left.push((record, error)),
            }
        }
        waiting = left;
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    if let Some(exchanged) = write_exchanged(transaction, &waiting).await? {
        written += exchanged;
        waiting.clear();
    }
    refuse_if_unclear(transaction, &mut refused, Accepted::by(&written))?;
    refused.iter().chain(&waiting).for_each(|(record, error)| written.reject(refused_record(record, error)));
    Ok(written)
}

/// The records that were written, as far as they preclude earlier ones. The table cannot decide this: a hard delete and
/// a truncate leave nothing to compare with, and neither does `metadata.columns=none`.
struct Overtaking<'a> {
    /// `None` if each record has a row of its own.
    keys: Option<Keys<'a>>,
    truncates: bool,
    deletes: bool,
    /// The offset of the last record of each key.
    last: HashMap<Cow<'a, Identity>, i64>,
    last_truncate: i64,
}

impl<'a> Overtaking<'a> {
    fn of(config: &'a PostgresSinkConfig) -> Self {
        let keys = Keys::new(config.primary_key(), &config.pk_fields);
        let deletes = config.delete_mode != DeleteMode::Ignore;
        Self {
            keys: (config.insert_mode != InsertMode::Insert).then_some(keys),
            truncates: config.truncate_enabled && deletes,
            deletes,
            last: HashMap::new(),
            last_truncate: -1,
        }
    }

    /// The key of the row that a record writes.
    fn key(&self, record: &'a Record) -> Option<Cow<'a, Identity>> {
        let keyed = match &record.body {
            Body::Change(change) if change.op == RecordOp::Delete && !self.deletes => None,
            Body::Change(change) => self.keys?.of(change).ok(),
            Body::Tombstone(Some(key)) if self.deletes => self.keys.map(|keys| keys.of_record(key)),
            Body::Tombstone(_) | Body::Filtered | Body::Undecodable { .. } => None,
        };
        keyed.map(|keyed| keyed.identity)
    }

    /// Adds a record that was written.
    fn add(&mut self, record: &'a Record) {
        if is_truncate(record) {
            if self.truncates && self.keys.is_some() {
                self.last_truncate = self.last_truncate.max(record.offset);
            }
        } else if let Some(key) = self.key(record) {
            let last = self.last.entry(key).or_insert(record.offset);
            *last = record.offset.max(*last);
        }
    }

    /// Returns true if a later record of the key, or a later truncate, was written.
    fn precludes(&self, record: &'a Record) -> bool {
        let later = self.key(record).and_then(|key| self.last.get(&key)).is_some_and(|last| *last > record.offset);
        later || self.last_truncate > record.offset
    }
}

/// After this many refused records and none that was accepted, the experiment ends.
const MANY: usize = 100;

/// The kinds of records of which the table has accepted at least one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Accepted {
    rows: bool,
    deletes: bool,
}

impl Accepted {
    fn by(written: &Written<'_>) -> Self {
        Self { rows: written.applied.inserted + written.applied.updated > 0, deletes: written.applied.deleted > 0 }
    }

    /// Returns true if a record of the same kind was accepted.
    fn has_kind_of(self, record: &Record, config: &PostgresSinkConfig) -> bool {
        let is_delete = match &record.body {
            Body::Tombstone(_) => true,
            Body::Change(change) => matches!(change.op, RecordOp::Delete | RecordOp::Truncate),
            Body::Filtered | Body::Undecodable { .. } => false,
        };
        // An appended delete is a row as any other.
        if is_delete && config.insert_mode != InsertMode::Insert { self.deletes } else { self.rows }
    }
}

/// Decides whether records that were refused for an unclear reason are at fault.
///
/// # Errors
/// The table refuses all records of a kind, so its set-up is at fault, and no record is dead-lettered.
fn refuse_if_unclear(
    transaction: &Transaction<'_>,
    refused: &mut Vec<(&Record, Error)>,
    accepted: Accepted,
) -> Result<()> {
    let at_fault = |record: &Record| accepted.has_kind_of(record, transaction.config);
    let unclear = refused.iter().position(|(record, error)| sqlstate::is_unclear(error) && !at_fault(record));
    unclear.map_or(Ok(()), |at| Err(sqlstate::of_every_row(refused.swap_remove(at).1)))
}

/// Writes records after a savepoint. After the inner error, nothing of the part remains; smaller parts may succeed, or
/// the error is that of the single record.
async fn write_part<'a>(transaction: &mut Transaction<'a>, records: &'a [Record]) -> Result<Result<Written<'a>>> {
    failpoint::hit("mid_bisect").await?;
    write_after(transaction, PART, records).await
}

/// As [`write_part`], with this savepoint. A deleted row gives up a unique value that a single record needs.
pub(crate) async fn write_after<'a>(
    transaction: &mut Transaction<'a>,
    savepoint: &str,
    records: &'a [Record],
) -> Result<Result<Written<'a>>> {
    transaction.savepoint(savepoint).await?;
    let mut written = write(transaction, records, Attempt::InParts).await;
    if let ([record], Err(error)) = (records, &written)
        && error.code == codes::UNIQUE_VALUE
    {
        transaction.roll_back_to(savepoint).await?;
        transaction.savepoint(savepoint).await?;
        match unique::free(transaction, record).await {
            Ok(true) => written = write(transaction, records, Attempt::InParts).await,
            // The first error says more than a refusal to free the value.
            Err(other) if !may_be_halved(&other, records) => written = Err(other),
            Ok(false) | Err(_) => {}
        }
    }
    match written {
        Ok(part) => {
            transaction.release(savepoint).await?;
            Ok(Ok(part))
        }
        Err(error) if may_be_halved(&error, records) => {
            let table = transaction.cached(transaction.table);
            transaction.roll_back_to(savepoint).await?;
            Ok(Err(match records {
                [record] => name_the_field(transaction, table.as_deref(), record, error).await?,
                _ => error,
            }))
        }
        Err(error) => Err(error),
    }
}

/// Writes records that exchange unique values: first their rows give these up. `None`, with nothing changed, unless
/// each record then changes its row.
async fn write_exchanged<'a>(
    transaction: &mut Transaction<'a>,
    waiting: &[(&'a Record, Error)],
) -> Result<Option<Written<'a>>> {
    const EXCHANGE: &str = "exchange";
    if waiting.iter().filter(|(_, error)| error.code == codes::UNIQUE_VALUE).count() < 2 {
        return Ok(None);
    }
    let records: Vec<Record> = waiting.iter().map(|(record, _)| (*record).clone()).collect();
    transaction.savepoint(EXCHANGE).await?;
    let mut outcome = unique::vacate(transaction, &records).await.map(|any| any.then(Written::default));
    for (record, _) in waiting {
        let Ok(Some(before)) = &mut outcome else { break };
        match write(transaction, std::slice::from_ref(*record), Attempt::InParts).await {
            Ok(part) if part.letters.is_empty() && part.applied.stale == 0 => *before += part,
            Ok(_) => outcome = Ok(None),
            Err(error) => outcome = Err(error),
        }
    }
    match outcome {
        Ok(Some(written)) => {
            transaction.release(EXCHANGE).await?;
            Ok(Some(written))
        }
        Err(error) if !may_be_halved(&error, &records) => Err(error),
        Ok(None) | Err(_) => {
            transaction.roll_back_to(EXCHANGE).await?;
            Ok(None)
        }
    }
}

/// Returns true if smaller parts may succeed: one record is refused, or several together need too much time or
/// memory.
pub(crate) fn may_be_halved(error: &Error, records: &[Record]) -> bool {
    error.reaction == Reaction::Poison
        || ([codes::TOO_SLOW, codes::OUT_OF_MEMORY].contains(&error.code) && records.len() > 1)
}

/// The dead letter of a refused record. Its reason includes the next step, because a dead letter has no field for it.
fn refused_record<'a>(record: &'a Record, error: &Error) -> DeadLetter<'a> {
    let mut reason = sqlstate::cause(error);
    if let Some(help) = error.help() {
        reason.push_str("; ");
        reason.push_str(help);
    }
    let code = if error.code == codes::TABLE_CHANGED { codes::REFUSED_ROW } else { error.code };
    DeadLetter { record, stage: "apply", code, error_type: error.error_type, reason }
}
