//! Who may go on with a partition, decided from what its row in `towpath.sink_partition` holds. Pure; the SQL is in
//! `bookkeeping`.
//!
//! The row's lock lasts until a transaction ends, so whoever reads the row under it reads how the transaction before
//! has ended. A model test runs these decisions through every interleaving of two owners whose commits and answers may
//! be lost.

/// Whether the partition belongs to somebody else: a greater epoch than `mine`, under another name than `owner`.
///
/// A greater epoch under our own name is a claim of ours whose answer was lost: nobody else has our name.
pub(crate) fn is_fenced(held: i64, holder: &str, mine: i64, owner: &str) -> bool {
    held > mine && holder != owner
}

#[cfg(test)]
mod tests;
