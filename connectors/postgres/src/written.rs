//! The outcome of written records.

use towpath_api::{Applied, Record};

use crate::{
    dead_letter::DeadLetter,
    fold::{Row, RowKind},
};

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

    /// Adds a dead letter for the record of a row, and for each record that it absorbed, which was counted as folded.
    pub(crate) fn reject_row(&mut self, row: &Row<'a>, letter: impl Fn(RowKind, &'a Record) -> DeadLetter<'a>) {
        for &record in row.absorbed.iter().chain([&row.record]) {
            self.reject(letter(row.kind, record));
        }
        self.applied.folded -= count(row.absorbed.len());
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
