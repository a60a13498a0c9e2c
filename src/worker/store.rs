//! Storing one batch, however often that takes: apply, and after an error wait, claim again, and learn from the claim
//! how it ended.
//!
//! Nothing here reads or decodes. The future of [`SinkPartition::store`] is awaited to its end; only a connection that
//! has been silent for minutes is given up, with what runs on it.

use std::{
    pin::pin,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use towpath_api::{Applied, ApplyError, Batch, Error, ErrorType, OpenSink, Reaction, Result, Sink as _};

use super::sink_partition::SinkPartition;
use crate::telemetry::{Stage, TransactionOutcome};

/// Without an answer of the store for so long the state says so. Its own limits are shorter: a statement has 30 s.
const SILENCE_REPORTED: Duration = Duration::from_secs(40);
/// After so much more time the connection is given up.
const SILENCE_GIVEN_UP: Duration = Duration::from_mins(5);

/// How the storing of a batch ended.
pub(super) enum Stored {
    Applied(Applied),
    /// The store is at another offset than this task thought: read on from there.
    Elsewhere,
    Stopped,
}

impl<O: OpenSink> SinkPartition<O> {
    /// Stores a batch, however often that takes. An error is one that waiting does not cure.
    pub(super) async fn store(&mut self, batch: &Batch) -> Result<Stored> {
        if !self.shared.pace.admit(batch, &self.shared.stop).await {
            return Ok(Stored::Stopped);
        }
        // What the batch comes to if a commit whose answer was lost went through.
        let mut if_stored = None;
        loop {
            let error = match self.store_once(batch).await {
                Ok(applied) => {
                    self.advance(batch);
                    return Ok(Stored::Applied(applied));
                }
                Err(failed) => failed,
            };
            let ApplyError { error, if_stored: open } = error;
            if error.reaction != Reaction::Retry {
                return Err(error);
            }
            if error.error_type == ErrorType::Unavailable {
                self.shared.connections.note_loss();
            }
            if_stored = open.map(|applied| *applied).or(if_stored);
            if !self.wait(Stage::Apply, &error).await {
                return Ok(Stored::Stopped);
            }
            // A fresh connection and a fresh claim: it waits for a transaction of ours that may still run, and tells
            // how it ended.
            let next = loop {
                match self.claim().await {
                    Ok(claim) => break claim.next_offset,
                    Err(error) if error.reaction == Reaction::Retry => {
                        if !self.wait(Stage::Apply, &error).await {
                            return Ok(Stored::Stopped);
                        }
                    }
                    Err(error) => return Err(error),
                }
            };
            match if_stored {
                _ if next == batch.from => {}
                Some(applied) if next == batch.to => {
                    self.advance(batch);
                    return Ok(Stored::Applied(applied));
                }
                _ => {
                    // The other partitions stand in the same copy of the store.
                    self.shared.connections.note_loss();
                    return Ok(Stored::Elsewhere);
                }
            }
        }
    }

    async fn store_once(&mut self, batch: &Batch) -> Result<Applied, ApplyError> {
        let claim = self.claim.as_ref().ok_or_else(|| {
            Error::fatal(
                "internal.unclaimed",
                ErrorType::Internal,
                format!("apply a batch of {}, which is not claimed", self.partition),
            )
        })?;
        let mut lent = self.answered("connect", self.shared.connections.lend()).await?;
        let begun = Instant::now();
        let applied = self.answered("apply a batch", lent.sink.apply(claim, batch)).await;
        let outcome = match &applied {
            Ok(_) => TransactionOutcome::Committed,
            Err(failed) if failed.if_stored.is_some() => TransactionOutcome::Unknown,
            Err(failed) if failed.error.error_type == ErrorType::Conflict => TransactionOutcome::SerializationRetry,
            Err(_) => TransactionOutcome::RolledBack,
        };
        let took = begun.elapsed();
        self.shared.sink_metrics.transaction(outcome, took);
        // An error that came quickly says nothing of how fast the store is.
        if applied.is_ok() || took > Duration::from_secs(1) {
            self.shared.pace.observe(took);
        }
        if applied.is_ok() {
            lent.give_back();
        }
        applied
    }

    /// Waits for an answer of the store. While none comes the state says so; after a long time the connection is given
    /// up with what runs on it, which the next claim settles.
    pub(super) async fn answered<T, E: From<Error>>(
        &self,
        doing: &str,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let silent = || {
            Error::retry(
                "sink.no_answer",
                ErrorType::Timeout,
                format!("{doing} of {}: the store does not answer", self.partition),
            )
        };
        let mut answer = pin!(answer);
        if let Ok(answer) = timeout(SILENCE_REPORTED, &mut answer).await {
            return answer;
        }
        self.shared.health.troubled(&self.name, Stage::Apply, &silent(), 1, SILENCE_GIVEN_UP);
        timeout(SILENCE_GIVEN_UP, answer).await.unwrap_or_else(|_| Err(silent().into()))
    }

    /// The store has the batch: what comes next starts behind it.
    fn advance(&mut self, batch: &Batch) {
        if let Some(claim) = &mut self.claim {
            (claim.next_offset, claim.anchor) = (batch.to, batch.anchor);
        }
        self.progress.next_offset.store(batch.to, Ordering::Relaxed);
        if self.backoff.has_waited() {
            self.backoff = self.shared.health.backoff();
        }
        self.shared.health.works(&self.name);
    }
}
