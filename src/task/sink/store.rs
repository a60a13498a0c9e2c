//! Stores one batch and retries until it is stored: apply; after an error wait, and claim again. The claim shows the
//! outcome of the attempt.
//!
//! This module neither reads nor decodes. The future of [`store`] is awaited to its end; only a connection that has
//! been silent for minutes is closed, with its running statement.

use std::time::{Duration, Instant};

use towpath_api::{Applied, ApplyError, Batch, Error, ErrorType, OpenSink, Reaction, Result, Sink as _};

use super::holding::Holding;
use crate::{
    task::codes,
    telemetry::{Stage, TransactionOutcome},
};

/// The outcome of [`store`].
pub(super) enum Stored {
    Applied(Applied),
    /// The store's offset differs from the expected one: read from the store's offset.
    Elsewhere,
    Stopped,
}

/// Stores `batch`. After an error with an unknown outcome, the next claim decides:
///
/// | the claim's next offset | meaning | result |
/// |---|---|---|
/// | `batch.from` | not stored | apply again |
/// | `batch.to` | stored, the answer was lost | [`Stored::Applied`] |
/// | any, of an empty range | records that waited may be stored or not | [`Stored::Elsewhere`] |
/// | anything else | an older copy of the store, or an offset set by an operator | [`Stored::Elsewhere`] |
///
/// # Errors
/// Fenced, and errors that outlast many attempts because a person has to act: the batch was not stored and is to be
/// dropped, so that it takes no memory from other partitions.
pub(super) async fn store<O: OpenSink>(holding: &mut Holding<O>, batch: &Batch) -> Result<Stored> {
    if !holding.context.pace.admit(batch, &holding.context.stop).await {
        return Ok(Stored::Stopped);
    }
    // The outcome of the batch if a commit whose answer was lost went through.
    let mut if_stored = None;
    loop {
        let ApplyError { error, if_stored: outcome } = match store_once(holding, batch).await {
            Ok(applied) => {
                holding.advance(batch, &applied);
                return Ok(Stored::Applied(applied));
            }
            Err(failed) => failed,
        };
        if needs_a_change(&error) {
            return Err(error);
        }
        if error.error_type == ErrorType::Unavailable {
            holding.context.connections.note_loss();
        }
        if_stored = outcome.map(|applied| *applied).or(if_stored);
        if !holding.wait(Stage::Apply, &error).await {
            return Ok(Stored::Stopped);
        }
        let Some(next) = claim_again(holding, if_stored.is_some()).await? else { return Ok(Stored::Stopped) };
        match if_stored {
            _ if next == batch.from && batch.from < batch.to => {}
            Some(applied) if next == batch.to && batch.from < batch.to => {
                holding.advance(batch, &applied);
                return Ok(Stored::Applied(applied));
            }
            outcome => {
                // A silent connection was closed, and took the outcome of each record with it.
                if let (None, true, Some(metrics)) =
                    (outcome, next == batch.to && batch.from < batch.to, holding.progress.metrics())
                {
                    metrics.stored_without_answer(batch.records.len());
                }
                if next != batch.from {
                    // The other partitions are in the same copy of the store.
                    holding.context.connections.note_loss();
                }
                return Ok(Stored::Elsewhere);
            }
        }
    }
}

/// Returns true if the same batch cannot be stored before something is changed: the claim is lost, or the table or the
/// setup must change.
pub(super) fn needs_a_change(error: &Error) -> bool {
    error.reaction != Reaction::Retry || error.error_type == ErrorType::Schema
}

/// Claims on a fresh connection until a claim succeeds; the claim waits for our earlier transaction, which may still
/// run. Returns the next offset, or `None` if the task is stopped. If the outcome of that transaction is open, only a
/// claim can settle it, so errors that need a person are waited for here as well.
async fn claim_again<O: OpenSink>(holding: &mut Holding<O>, is_open: bool) -> Result<Option<i64>> {
    loop {
        match holding.claim().await {
            Ok(claim) => return Ok(Some(claim.next_offset)),
            Err(error) if error.reaction == Reaction::Retry || (is_open && error.needs_action()) => {
                if !holding.wait(Stage::Apply, &error).await {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

async fn store_once<O: OpenSink>(holding: &Holding<O>, batch: &Batch) -> Result<Applied, ApplyError> {
    let Some(claim) = &holding.claim else {
        let doing = format!("apply a batch of {}, which is not claimed", holding.partition);
        return Err(Error::fatal(codes::UNCLAIMED, ErrorType::Internal, doing).into());
    };
    let context = &holding.context;
    let mut lent = holding.answered("connect for", context.connections.lend()).await?;
    let begun = Instant::now();
    let applied = holding.answered("apply a batch of", lent.sink.apply(claim, batch)).await;
    let outcome = match &applied {
        Ok(_) => TransactionOutcome::Committed,
        Err(failed) if failed.if_stored.is_some() => TransactionOutcome::Unknown,
        Err(failed) if failed.error.error_type == ErrorType::Conflict => TransactionOutcome::SerializationRetry,
        Err(_) => TransactionOutcome::RolledBack,
    };
    let took = begun.elapsed();
    context.sink_metrics.transaction(outcome, took);
    // A quick error says nothing about the speed of the store.
    if applied.is_ok() || took > Duration::from_secs(1) {
        context.pace.observe(took);
    }
    if applied.is_ok() {
        lent.give_back();
    }
    applied
}
