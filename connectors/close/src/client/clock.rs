//! Close's clock, as its answers show it, and times that are never ahead of it.
//!
//! A `Date` has whole seconds and was made after Close had read what it answers. Nothing is added for the time since an
//! answer: the machine's clock may run at another speed. A second is taken off for servers of Close that differ.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::moment::Moment;

/// The difference between the clocks of Close's servers, at most.
const SKEW: Duration = Duration::from_secs(1);
/// A date so far before the newest one is not a late answer: the clock was set back, or the newest was wrong.
const SET_BACK: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    /// A time that Close's clock has passed.
    passed: Option<Moment>,
    /// The latest time of a reading.
    read: Option<Moment>,
}

impl Clock {
    /// A time that Close's clock has passed, later than that of every reading that has ended; `None` before the first
    /// answer.
    pub(super) fn now(&self) -> Option<Moment> {
        let times = self.lock();
        times.passed.max(times.read.map(|read| Moment(read.0.saturating_add(1))))
    }

    /// Notes the date of an answer that took `elapsed`, to a request before which [`Clock::now`] was `before`.
    /// Returns the time of the reading, which is not after Close read.
    pub(super) fn read_at(&self, date: Option<Moment>, before: Option<Moment>, elapsed: Duration) -> Moment {
        let mut times = self.lock();
        let passed = date.map(|date| date.minus(SKEW));
        if let (Some(known), Some(passed)) = (times.passed, passed)
            && known.since(passed) > SET_BACK
        {
            *times = Times { passed: Some(passed), read: None };
            return passed.minus(elapsed);
        }
        times.passed = times.passed.max(passed);
        // Close was asked at most `elapsed` before the date.
        let at = before.max(passed.map(|passed| passed.minus(elapsed))).unwrap_or_default();
        times.read = times.read.max(Some(at));
        at
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with may be absent")]
    fn at(seconds: i64) -> Option<Moment> {
        Some(Moment(seconds * 1_000_000))
    }

    #[test]
    fn a_reading_is_never_after_the_time_at_which_close_was_asked() {
        let clock = Clock::default();
        assert_eq!(clock.now(), None);
        // Asked at 98.0 at the latest bound: the answer of 101 took 2 seconds, and servers differ by one.
        assert_eq!(Some(clock.read_at(at(101), None, Duration::from_secs(2))), at(98));
        assert_eq!(clock.now(), at(100));
        // An answer that took long is not older than what was known when it was asked for.
        let before = clock.now();
        assert_eq!(Some(clock.read_at(at(130), before, Duration::from_mins(5))), at(100));
        // A late answer does not set the clock back.
        clock.read_at(at(120), at(100), Duration::ZERO);
        assert_eq!(clock.now(), at(129));
    }

    #[test]
    fn a_reading_after_another_has_a_later_time_and_one_beside_it_has_not() {
        let clock = Clock::default();
        let (one, other) = (clock.now(), clock.now());
        let first = clock.read_at(at(50), one, Duration::ZERO);
        assert_eq!(clock.read_at(at(50), other, Duration::from_secs(9)), Moment(40_000_000));
        let second = clock.read_at(at(50), clock.now(), Duration::ZERO);
        let third = clock.read_at(None, clock.now(), Duration::ZERO);
        assert!(first < second && second < third && Some(third) < at(50));
    }

    #[test]
    fn a_clock_that_was_far_ahead_is_set_back() {
        let clock = Clock::default();
        clock.read_at(at(100_000), None, Duration::ZERO);
        let read = clock.read_at(at(5_000), clock.now(), Duration::ZERO);
        assert_eq!((clock.now(), Some(read)), (at(4_999), at(4_999)), "the reading was before the clock was set");
    }
}
