//! Rows that refer to others which are not there yet: how long they may still come.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use towpath_api::{ApplyError, Batch, Error, ErrorType, Result, TopicPartition};

use crate::sqlstate::FOREIGN_KEY;

/// Which batches wait, and since when. Shared by the connections of a connector, since one that failed is closed.
#[derive(Debug, Default)]
pub(crate) struct ForeignKeyWaits {
    since: Mutex<HashMap<TopicPartition, (i64, Instant)>>,
}

/// Whether this is the error of a row that refers to an absent one.
pub(crate) fn violates_foreign_key<T>(stored: &Result<T, ApplyError>) -> bool {
    stored.as_ref().is_err_and(|failed| failed.error.code == FOREIGN_KEY)
}

impl ForeignKeyWaits {
    /// Whether a batch that refers to absent rows may wait, `timeout` after its first try at most; `None` stands for
    /// ever.
    pub(crate) fn may_wait(&self, batch: &Batch, timeout: Option<Duration>) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, first) = since.entry(batch.partition.clone()).or_insert_with(|| (batch.from, Instant::now()));
        if *from != batch.from {
            (*from, *first) = (batch.from, Instant::now());
        }
        timeout.is_none_or(|timeout| first.elapsed() < timeout)
    }

    /// The partition goes on.
    pub(crate) fn clear(&self, partition: &TopicPartition) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

/// The error of a batch that waits.
pub(crate) fn wait_error(batch: &Batch, error: Error) -> Error {
    let doing = format!(
        "apply {} from offset {}: a row refers to one that is not there yet; nothing was written, and the batch waits for it up to \
         errors.retry.timeout",
        batch.partition, batch.from
    );
    Error::retry("postgres.foreign_key_wait", ErrorType::Constraint, doing).because(error)
}
