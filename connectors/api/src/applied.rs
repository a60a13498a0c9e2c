//! The counts of a batch: how each of its records ended.

use std::ops::AddAssign;

use crate::{DeadLetterStreak, ErrorType};

/// The outcome of a batch. The sum of all counts is the number of its records, without those that wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Records that created a row.
    pub inserted: u64,
    /// Records that changed a row.
    pub updated: u64,
    /// Records that deleted a row.
    pub deleted: u64,
    /// Records that another record of the same key in the same batch absorbed.
    pub folded: u64,
    /// Records whose row is newer, or already contains them.
    pub stale: u64,
    /// Tombstones of records that were deleted before, or that never existed.
    pub tombstones: u64,
    /// Records that the configuration excludes, for example deletes with `delete.mode=ignore`, or that the store drops
    /// by a rule of its own, such as a trigger.
    pub filtered: u64,
    /// Records that wait for a row they refer to: see [`Sink::waiting`](crate::Sink::waiting). They have not ended, so
    /// the sum does not include them.
    pub waiting: u64,
    /// The dead letters in a row at the end of the batch, counted from the claim's streak on. Not a count of records,
    /// and not part of the sum.
    pub streak: DeadLetterStreak,
    /// Dead letters, by [`ErrorType`] in the order of [`ErrorType::ALL`].
    dead_letters: [u64; ErrorType::ALL.len()],
}

/// Adds the counts. The streak, which concerns the batch as a whole, stays.
impl AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.folded += other.folded;
        self.stale += other.stale;
        self.tombstones += other.tombstones;
        self.filtered += other.filtered;
        self.waiting += other.waiting;
        for (mine, others) in self.dead_letters.iter_mut().zip(other.dead_letters) {
            *mine += others;
        }
    }
}

impl Applied {
    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.inserted
            + self.updated
            + self.deleted
            + self.folded
            + self.stale
            + self.tombstones
            + self.filtered
            + self.dead_letters.iter().sum::<u64>()
    }

    /// Adds a dead letter to the counts.
    pub fn add_dead_letter(&mut self, error_type: ErrorType) {
        self.dead_letters[error_type as usize] += 1;
    }

    /// The number of dead letters of each type, without types that have no dead letters.
    pub fn dead_letters(&self) -> impl Iterator<Item = (ErrorType, u64)> {
        ErrorType::ALL.into_iter().zip(self.dead_letters).filter(|(_, records)| *records > 0)
    }
}
