//! Records that refer to a row that does not exist yet, or whose unique value another row still has: how long the batch
//! as a whole waits, and which of its records wait alone.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use towpath_api::{ApplyError, Batch, Body, Claim, Error, ErrorType, Identity, Record, Result, TopicPartition};

use crate::{
    codes,
    config::{DeleteMode, PostgresSinkConfig},
    isolate::write_after,
    key::Keys,
    sqlstate::is_curable,
    transaction::Transaction,
    write::is_truncate,
};

/// How long a batch waits as a whole. A row that comes within this time costs no experiments.
const TOGETHER: Duration = Duration::from_secs(1);

/// The savepoint before each experiment.
const TRIED: &str = "tried";

/// The waiting batch of each partition: its first offset, and when it was first tried. Shared by all connections of a
/// connector, because a connection is closed after an error.
#[derive(Debug, Default)]
pub(crate) struct ForeignKeyWaits {
    since: Mutex<HashMap<TopicPartition, (i64, Instant)>>,
}

/// Returns true if the batch failed because of a row, and later records may make that row acceptable.
pub(crate) fn may_be_cured<T>(stored: &Result<T, ApplyError>) -> bool {
    stored.as_ref().is_err_and(|failed| is_curable(failed.error.code))
}

impl ForeignKeyWaits {
    /// Returns true if a batch that refers to missing rows waits as a whole. A batch with records that have waited does
    /// not: otherwise each batch behind them would.
    pub(crate) fn waits_together(&self, batch: &Batch) -> bool {
        batch.records.first().is_some_and(|record| record.offset >= batch.from) && self.may_wait(batch, Some(TOGETHER))
    }

    /// Returns true if a batch that refers to missing rows may wait: at most `timeout` after its first try, or without
    /// a limit for `None`.
    pub(crate) fn may_wait(&self, batch: &Batch, timeout: Option<Duration>) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, first) = since.entry(batch.partition.clone()).or_insert_with(|| (batch.from, Instant::now()));
        if *from != batch.from {
            (*from, *first) = (batch.from, Instant::now());
        }
        timeout.is_none_or(|timeout| first.elapsed() < timeout)
    }

    /// Ends the wait of a partition.
    pub(crate) fn clear(&self, partition: &TopicPartition) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

/// The error of a batch that waits.
pub(crate) fn wait_error(batch: &Batch, error: Error) -> Error {
    let (code, why) = if error.code == codes::UNIQUE_VALUE {
        (codes::UNIQUE_VALUE_WAIT, "another row still has the unique value of a row")
    } else {
        (codes::FOREIGN_KEY_WAIT, "a row refers to a row that does not exist yet")
    };
    let doing = format!(
        "apply {} from offset {}: {why}; nothing was written, and the batch is retried for up to errors.retry.timeout",
        batch.partition, batch.from
    );
    Error::retry(code, ErrorType::Constraint, doing).because(error)
}

/// Returns true if single records of a batch can wait. A truncate that is applied orders all records around it.
pub(crate) fn can_be_parted(batch: &Batch, config: &PostgresSinkConfig) -> bool {
    let truncates = config.truncate_enabled && config.delete_mode != DeleteMode::Ignore;
    !(truncates && batch.records.iter().any(is_truncate))
}

/// The records of a batch, those of one key next to each other and in their order; each group with its length. Records
/// without a key are groups of their own.
pub(crate) fn grouped(batch: &Batch, keys: Keys<'_>) -> (Vec<Record>, Vec<usize>) {
    let mut places: HashMap<Identity, usize> = HashMap::new();
    let mut groups: Vec<Vec<&Record>> = Vec::new();
    for record in &batch.records {
        let key = match &record.body {
            Body::Change(change) => keys.of(change).ok().map(|key| key.identity.into_owned()),
            Body::Tombstone(key) => key.as_ref().map(|key| keys.of_record(key).identity.into_owned()),
            Body::Filtered | Body::Undecodable { .. } => None,
        };
        let place = key.map(|key| *places.entry(key).or_insert(groups.len()));
        match place.and_then(|place| groups.get_mut(place)) {
            Some(group) => group.push(record),
            None => groups.push(vec![record]),
        }
    }
    let lengths = groups.iter().map(Vec::len).collect();
    (groups.into_iter().flatten().cloned().collect(), lengths)
}

/// Finds the records that have to wait, in a transaction that is rolled back: those that the database refuses because
/// of a missing row, and all later ones of their keys. Those in `overdue` have waited long enough.
///
/// `records` and `lengths` are from [`grouped`].
pub(crate) async fn find_waiting<'a>(
    transaction: &mut Transaction<'a>,
    claim: &Claim,
    records: &'a [Record],
    lengths: &[usize],
    overdue: &HashSet<i64>,
) -> Result<HashSet<i64>> {
    transaction.begin(claim).await?;
    let found = refused_groups(transaction, records, lengths, overdue).await;
    // The error of the experiment says more than that of the rollback.
    let rolled_back = transaction.rollback().await;
    let found = found?;
    rolled_back?;
    Ok(found.into_iter().flatten().map(|record| record.offset).collect())
}

async fn refused_groups<'a>(
    transaction: &mut Transaction<'a>,
    records: &'a [Record],
    lengths: &[usize],
    overdue: &HashSet<i64>,
) -> Result<Vec<&'a [Record]>> {
    transaction.run("SET CONSTRAINTS ALL IMMEDIATE").await?;
    let mut refused: Vec<&'a [Record]> = Vec::new();
    let mut todo = vec![(records, lengths)];
    while let Some((records, lengths)) = todo.pop() {
        if records.is_empty() || try_write(transaction, records).await?.is_ok() {
            continue;
        }
        if lengths.len() == 1 {
            refused.extend(rest_of_group(transaction, records, overdue).await?);
            continue;
        }
        let (first, second) = lengths.split_at(lengths.len() / 2);
        let (before, behind) = records.split_at(first.iter().sum());
        todo.extend([(behind, second), (before, first)]);
    }
    // A row that others wait for may come later in the batch: until no further group can be written.
    loop {
        let before: usize = refused.iter().map(|group| group.len()).sum();
        let mut left = Vec::new();
        for group in refused {
            left.extend(rest_of_group(transaction, group, overdue).await?);
        }
        refused = left;
        if refused.iter().map(|group| group.len()).sum::<usize>() == before {
            return Ok(refused);
        }
    }
}

/// Writes the records of a key in their order, up to the first that has to wait; returns that one with all behind it.
/// A record that is refused for another reason is skipped: it waits for nothing.
async fn rest_of_group<'a>(
    transaction: &mut Transaction<'a>,
    group: &'a [Record],
    overdue: &HashSet<i64>,
) -> Result<Option<&'a [Record]>> {
    if group.len() > 1 && try_write(transaction, group).await?.is_ok() {
        return Ok(None);
    }
    for (at, record) in group.iter().enumerate() {
        let written = try_write(transaction, &group[at..=at]).await?;
        if written.is_err_and(|error| is_curable(error.code)) && !overdue.contains(&record.offset) {
            return Ok(Some(&group[at..]));
        }
    }
    Ok(None)
}

/// Writes records after a savepoint. After the inner error, nothing of them remains.
async fn try_write<'a>(transaction: &mut Transaction<'a>, records: &'a [Record]) -> Result<Result<()>> {
    Ok(write_after(transaction, TRIED, records).await?.map(drop))
}

/// The batch without the waiting records, and those.
pub(crate) fn part(batch: &Batch, waiting: &HashSet<i64>) -> (Batch, Vec<Record>) {
    let (waiting, records) = batch.records.iter().cloned().partition(|record| waiting.contains(&record.offset));
    let (partition, arena) = (batch.partition.clone(), batch.arena.clone());
    (Batch { partition, from: batch.from, to: batch.to, anchor: batch.anchor, records, arena }, waiting)
}
