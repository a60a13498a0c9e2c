//! Decides the owner of a partition from its row in `towpath.sink_partition`. Pure; the SQL is in `bookkeeping`.
//!
//! The row is locked until a transaction ends, so a reader that takes the lock reads the outcome of the transaction
//! before it. A model test runs these decisions through every interleaving of two owners whose commits and answers may
//! be lost.

/// Returns true if the partition belongs to another owner: the stored epoch `held` is greater than `mine`, under
/// another name than `owner`.
///
/// A greater epoch under our own name is our earlier claim whose answer was lost, because names are unique per process.
pub(crate) fn is_fenced(held: i64, holder: &str, mine: i64, owner: &str) -> bool {
    held > mine && holder != owner
}

#[cfg(test)]
mod tests;
