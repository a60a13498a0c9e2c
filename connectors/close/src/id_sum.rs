//! Ids as numbers, so that sets of them can be compared by a sum.

use sha2::{Digest as _, Sha256};

/// The first 16 hex digits of the SHA-256 of an id, as a number. Sums modulo 2^64 of it do not depend on the order, and
/// Postgres computes the same: `left(encode(sha256(id::bytea), 'hex'), 16)`.
pub(crate) fn id_sum(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
