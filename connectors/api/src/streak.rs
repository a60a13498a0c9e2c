//! Dead letters in a row: the rule for when a partition waits instead of emptying its topic into the dead letters.

use crate::{Error, ErrorType, Result};

/// The code of a partition that waits because too many records in a row would become dead letters.
pub const SYSTEMATIC: &str = "sink.systematic";

/// The number of dead letters in a row on one partition.
///
/// A dead letter extends the streak, unless its type is [`ErrorType::Schema`] or [`ErrorType::Conflict`]: that a table
/// does not fit its records, or that other records were applied first, is known, and would not change by waiting. Such
/// a dead letter ends the streak, as does any other record.
/// Only tombstones do neither: they say nothing about the records around them.
///
/// The streak crosses batches. The sink continues the streak of its [`Claim`](crate::Claim) through the records of a
/// batch, checks it before it commits, and returns it with [`Applied`](crate::Applied). The batch in which the streak
/// becomes too long is rolled back, so a retry repeats the same records and writes no more dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterStreak {
    length: u32,
    limit: u32,
}

impl Default for DeadLetterStreak {
    fn default() -> Self {
        Self::with_limit(Self::LIMIT)
    }
}

impl DeadLetterStreak {
    /// The default limit: a streak of this length has a common cause.
    pub const LIMIT: u32 = 100;

    /// An empty streak with this limit; 0 disables the limit.
    pub fn with_limit(limit: u32) -> Self {
        Self { length: 0, limit }
    }

    /// Adds a dead letter.
    pub fn add_dead_letter(&mut self, error_type: ErrorType) {
        self.length = if has_known_cause(error_type) { 0 } else { self.length.saturating_add(1) };
    }

    /// The empty streak after a record that did not become a dead letter. Do not call this for a tombstone.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { length: 0, ..self }
    }

    /// The number of dead letters in the streak.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Checks the streak against its limit; `doing` is the verb phrase of the error.
    ///
    /// # Errors
    /// Fatal [`SYSTEMATIC`] if the streak has reached the limit.
    pub fn check(&self, doing: impl FnOnce() -> String) -> Result<()> {
        if self.limit == 0 || self.length < self.limit {
            return Ok(());
        }
        Err(Error::fatal(SYSTEMATIC, ErrorType::Constraint, doing()).with_help(
            "find and fix the common cause: the same records are tried again within a minute. To dead-letter them all, \
             set `errors.consecutive.limit` to a larger number, or to 0 for no limit, and restart the worker",
        ))
    }
}

fn has_known_cause(error_type: ErrorType) -> bool {
    matches!(error_type, ErrorType::Schema | ErrorType::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_dead_letters_in_a_row_are_refused() {
        let mut streak = DeadLetterStreak::default();
        (0..99).for_each(|_| streak.add_dead_letter(ErrorType::Decode));
        assert!(streak.check(String::new).is_ok());
        streak.add_dead_letter(ErrorType::Mapping);
        let error = streak.check(|| "apply".to_owned()).unwrap_err();
        assert_eq!((error.code, error.to_string().as_str()), (SYSTEMATIC, "apply"));
        assert!(error.help().unwrap().contains("errors.consecutive.limit"));
    }

    #[test]
    fn without_a_limit_no_streak_is_too_long() {
        let mut streak = DeadLetterStreak::with_limit(0);
        (0..1_000).for_each(|_| streak.add_dead_letter(ErrorType::Decode));
        assert!(streak.check(String::new).is_ok());
        assert_eq!((streak.length(), streak.ended()), (1_000, DeadLetterStreak::with_limit(0)));
    }

    #[test]
    fn a_stored_record_and_a_mismatched_table_end_the_streak() {
        let mut streak = DeadLetterStreak::default();
        (0..99).for_each(|_| streak.add_dead_letter(ErrorType::Decode));
        assert_eq!(streak.ended().length(), 0);
        streak.add_dead_letter(ErrorType::Schema);
        assert_eq!(streak.length(), 0);
    }
}
