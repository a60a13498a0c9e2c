//! Keeps one failing thing from filling the log: the same code is written at most once in a window, with a count of
//! those left out.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// How long a code stays silent after it was written.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Remembers what was written when. The set of keys must be bounded by the caller (codes and connector names are).
#[derive(Debug)]
pub struct Repeats<K> {
    window: Duration,
    seen: HashMap<K, Seen>,
}

#[derive(Debug)]
struct Seen {
    written: Instant,
    left_out: u64,
}

impl<K: Eq + Hash> Repeats<K> {
    /// Writes each key at most once in `window`.
    pub fn new(window: Duration) -> Self {
        Self { window, seen: HashMap::new() }
    }

    /// Whether `key` is to be written at `now`: `Some` with how many were left out since it was last written, or
    /// `None`.
    pub fn admit(&mut self, key: K, now: Instant) -> Option<u64> {
        let Some(seen) = self.seen.get_mut(&key) else {
            self.seen.insert(key, Seen { written: now, left_out: 0 });
            return Some(0);
        };
        if now.duration_since(seen.written) < self.window {
            seen.left_out += 1;
            return None;
        }
        seen.written = now;
        Some(std::mem::take(&mut seen.left_out))
    }

    /// Pretends that `key` was left out before, for tests of what is written next.
    #[cfg(test)]
    pub(super) fn leave_out(&mut self, key: K, left_out: u64) {
        self.seen.insert(key, Seen { written: Instant::now(), left_out });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_code_is_written_once_in_the_window_with_a_count_of_those_left_out() {
        let mut repeats = Repeats::new(WINDOW);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(repeats.admit("kafka.unavailable", at(0)), Some(0));
        assert_eq!(repeats.admit("kafka.unavailable", at(1)), None);
        assert_eq!(repeats.admit("kafka.unavailable", at(9)), None);
        assert_eq!(repeats.admit("kafka.unavailable", at(10)), Some(2));
        assert_eq!(repeats.admit("kafka.unavailable", at(19)), None);
        assert_eq!(repeats.admit("kafka.unavailable", at(40)), Some(1));
        assert_eq!(repeats.admit("kafka.unavailable", at(60)), Some(0));
    }

    #[test]
    fn one_code_does_not_silence_another() {
        let mut repeats = Repeats::new(WINDOW);
        let now = Instant::now();
        assert_eq!(repeats.admit("kafka.unavailable", now), Some(0));
        assert_eq!(repeats.admit("postgres.unavailable", now), Some(0));
    }
}
