//! Batches that wait for rows they refer to.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use towpath_api::{ApplyError, Batch, Error, ErrorType, Result, TopicPartition};

use crate::codes;

/// The waiting batch of each partition: its first offset, and when it was first tried. Shared by all connections of a
/// connector, because a connection is closed after an error.
#[derive(Debug, Default)]
pub(crate) struct ForeignKeyWaits {
    since: Mutex<HashMap<TopicPartition, (i64, Instant)>>,
}

/// Returns true if the batch failed because a row refers to a row that does not exist.
pub(crate) fn violates_foreign_key<T>(stored: &Result<T, ApplyError>) -> bool {
    stored.as_ref().is_err_and(|failed| failed.error.code == codes::FOREIGN_KEY)
}

impl ForeignKeyWaits {
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
    let doing = format!(
        "apply {} from offset {}: a row refers to a row that does not exist yet; nothing was written, and the batch is \
         retried for up to errors.retry.timeout",
        batch.partition, batch.from
    );
    Error::retry(codes::FOREIGN_KEY_WAIT, ErrorType::Constraint, doing).because(error)
}
