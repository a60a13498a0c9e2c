//! The brake on deletes: how many of an object need no approval. Pure.

use crate::config::CloseConfig;

/// Deletes that are never too many, for objects of few rows: 2 % of ten users is none.
const FEW: u64 = 5;

/// The number of deletes of one object that need no approval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brake {
    share: f64,
    max: u64,
}

impl Brake {
    pub(crate) fn of(config: &CloseConfig) -> Self {
        Self { share: config.compare_deletes_max_share.as_f64(), max: u64::from(config.compare_deletes_max) }
    }

    /// The deletes without approval of an object with `of` rows.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
    pub(crate) fn allowed(self, of: u64) -> u64 {
        let share = (of as f64 * self.share).floor() as u64;
        let few = if self.share > 0.0 { FEW } else { 0 };
        share.max(few).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::config;

    fn allowed(keys: &[(&str, &str)], of: u64) -> u64 {
        Brake::of(&config("http://localhost/", "key", keys)).allowed(of)
    }

    #[test]
    fn the_smaller_of_share_and_maximum_is_allowed() {
        assert_eq!(allowed(&[], 10_000), 200);
        assert_eq!(allowed(&[], 1_000_000), 1_000);
        assert_eq!(allowed(&[("compare.deletes.max", "50")], 10_000), 50);
        assert_eq!(allowed(&[("compare.deletes.max.share", "100%")], 300), 300);
    }

    #[test]
    fn a_few_deletes_of_a_small_object_are_allowed_unless_none_is() {
        assert_eq!(allowed(&[], 10), FEW);
        assert_eq!(allowed(&[("compare.deletes.max", "0")], 10), 0);
        assert_eq!(allowed(&[("compare.deletes.max.share", "0%")], 1_000), 0);
    }
}
