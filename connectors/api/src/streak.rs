//! Dead letters in a row: the rule for when a task stops instead of emptying its topic into the dead letters.

use crate::{Applied, Error, ErrorType, Result};

/// The code of a task that stopped because too many records in a row became dead letters.
pub const SYSTEMATIC: &str = "sink.systematic";

/// The number of dead letters in a row on one partition.
///
/// A dead letter extends the streak, unless its type is [`ErrorType::Schema`] or [`ErrorType::Conflict`]: that a table
/// does not fit its records, or that other records were applied first, is known, and would not change by waiting. Such
/// a dead letter ends the streak, as does any other record.
/// Only tombstones do neither: they say nothing about the records around them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadLetterStreak {
    length: u64,
}

impl DeadLetterStreak {
    /// A streak of this length has a common cause.
    pub const LIMIT: u64 = 100;

    /// Adds a dead letter.
    pub fn add_dead_letter(&mut self, error_type: ErrorType) {
        if has_known_cause(error_type) {
            self.end();
        } else {
            self.length += 1;
        }
    }

    /// Ends the streak: a record did not become a dead letter. Do not call this for a tombstone.
    pub fn end(&mut self) {
        self.length = 0;
    }

    /// Adds the records of a batch, of which only the counts are known. The streak continues only if all records of the
    /// batch extend it, apart from tombstones.
    pub fn add_batch(&mut self, applied: &Applied) {
        let letters = applied.dead_letters().filter(|(error_type, _)| !has_known_cause(*error_type));
        let letters: u64 = letters.map(|(_, records)| records).sum();
        if letters + applied.tombstones == applied.total() {
            self.length += letters;
        } else {
            self.end();
        }
    }

    /// The number of dead letters in the streak.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Checks the streak against [`DeadLetterStreak::LIMIT`]; `doing` is the verb phrase of the error.
    ///
    /// # Errors
    /// Fatal [`SYSTEMATIC`] if the streak has reached the limit.
    pub fn check(&self, doing: impl FnOnce() -> String) -> Result<()> {
        if self.length < Self::LIMIT {
            return Ok(());
        }
        Err(Error::fatal(SYSTEMATIC, ErrorType::Constraint, doing())
            .with_help("find the common cause in the dead letters, fix it, and restart the task"))
    }
}

fn has_known_cause(error_type: ErrorType) -> bool {
    matches!(error_type, ErrorType::Schema | ErrorType::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(inserted: u64, tombstones: u64, letters: u64, error_type: ErrorType) -> Applied {
        let mut applied = Applied::default();
        (applied.inserted, applied.tombstones) = (inserted, tombstones);
        (0..letters).for_each(|_| applied.add_dead_letter(error_type));
        applied
    }

    #[test]
    fn a_hundred_dead_letters_in_a_row_are_refused() {
        let mut streak = DeadLetterStreak::default();
        (0..99).for_each(|_| streak.add_dead_letter(ErrorType::Decode));
        assert!(streak.check(String::new).is_ok());
        streak.add_dead_letter(ErrorType::Mapping);
        let error = streak.check(|| "apply".to_owned()).unwrap_err();
        assert_eq!((error.code, error.to_string().as_str()), (SYSTEMATIC, "apply"));
    }

    #[test]
    fn a_stored_record_and_a_mismatched_table_end_the_streak() {
        let ends: [fn(&mut DeadLetterStreak); 3] = [
            DeadLetterStreak::end,
            |streak| streak.add_dead_letter(ErrorType::Schema),
            |streak| streak.add_dead_letter(ErrorType::Conflict),
        ];
        for end in ends {
            let mut streak = DeadLetterStreak::default();
            (0..99).for_each(|_| streak.add_dead_letter(ErrorType::Decode));
            end(&mut streak);
            assert_eq!(streak.length(), 0);
        }
    }

    #[test]
    fn batches_of_dead_letters_and_tombstones_add_up() {
        let mut streak = DeadLetterStreak::default();
        streak.add_batch(&applied(0, 3, 60, ErrorType::Decode));
        streak.add_batch(&applied(0, 5, 0, ErrorType::Decode));
        streak.add_batch(&Applied::default());
        streak.add_batch(&applied(0, 0, 40, ErrorType::Constraint));
        assert_eq!(streak.length(), 100);
        assert!(streak.check(String::new).is_err());
    }

    #[test]
    fn a_batch_with_any_other_record_ends_the_streak() {
        for other in [applied(1, 0, 60, ErrorType::Decode), applied(0, 1, 60, ErrorType::Schema)] {
            let mut streak = DeadLetterStreak::default();
            streak.add_batch(&applied(0, 0, 60, ErrorType::Decode));
            streak.add_batch(&other);
            assert_eq!(streak.length(), 0);
        }
    }
}
