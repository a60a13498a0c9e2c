//! The outcome of written records.

use towpath_api::Applied;

use crate::dead_letter::DeadLetter;

/// Counts of written records, and the records among them that become dead letters. The outcomes of parts add up.
#[derive(Debug, Default)]
pub(crate) struct Written<'a> {
    /// Includes the dead letters.
    pub(crate) applied: Applied,
    pub(crate) letters: Vec<DeadLetter<'a>>,
}

impl<'a> Written<'a> {
    /// Adds a dead letter, and counts it.
    pub(crate) fn reject(&mut self, letter: DeadLetter<'a>) {
        self.applied.add_dead_letter(letter.error_type);
        self.letters.push(letter);
    }
}

impl std::ops::AddAssign for Written<'_> {
    fn add_assign(&mut self, other: Self) {
        self.applied += other.applied;
        self.letters.extend(other.letters);
    }
}

/// A length as a count of records.
pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
