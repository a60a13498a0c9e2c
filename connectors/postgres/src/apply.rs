//! One attempt to write a batch: begin with the compare-and-set, write, commit.

use towpath_api::{Applied, ApplyError, Claim, Result, failpoint};

use crate::{
    dead_letter,
    isolate::write_isolating_poison,
    transaction::{Attempt, Transaction},
    write::write,
};

/// Writes the batch of `transaction`, from BEGIN to COMMIT.
///
/// # Errors
/// Nothing is stored, unless `if_stored` is set: then the outcome of COMMIT is unknown.
pub(crate) async fn attempt(
    transaction: &mut Transaction<'_>,
    claim: &Claim,
    attempt: Attempt,
    tolerate_poison: bool,
) -> Result<Applied, ApplyError> {
    transaction.begin(claim).await?;
    let stored = write_and_commit(transaction, claim, attempt, tolerate_poison).await;
    if stored.is_err() {
        // The server may be unavailable; the first error says more than the error of the rollback.
        let _ = transaction.rollback().await;
    }
    stored
}

async fn write_and_commit(
    transaction: &mut Transaction<'_>,
    claim: &Claim,
    attempt: Attempt,
    tolerate_poison: bool,
) -> Result<Applied, ApplyError> {
    let batch = transaction.batch;
    let mut written = match attempt {
        Attempt::Whole | Attempt::Together => write(transaction, &batch.records, attempt).await?,
        Attempt::InParts => write_isolating_poison(transaction).await?,
    };
    if written.applied.stale > 0 {
        failpoint::hit("mid_replay").await?;
    }
    transaction.may_refer.accept(&written.letters)?;
    written.applied.waiting = transaction.waiting.len() as u64;
    written.applied.streak = dead_letter::accept(&written.letters, batch, claim.streak, tolerate_poison)?;
    transaction.commit(&written).await?;
    Ok(written.applied)
}
