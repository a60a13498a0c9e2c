//! Close's clock, as its answers show it, and times that are never ahead of it.
//!
//! A `Date` has whole seconds and was made after Close had read what it answers. Nothing is added for the time since an
//! answer: the machine's clock may run at another speed. A second is taken off for servers of Close that differ. A date
//! that is far from what the last ones lead to expect moves nothing until the next ones agree: the position of the
//! event log follows this clock, and one wrong date would leave events behind.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::moment::Moment;

/// The difference between the clocks of Close's servers, at most.
const SKEW: Duration = Duration::from_secs(1);
/// A date is sudden if it differs by more than this from what is expected. Far less than any `poll.overlap`.
const SUDDEN: Duration = Duration::from_mins(1);
/// Sudden dates of one direction in a row that set the clock, and the time over which they come at least.
const AGREEING: u32 = 3;
const SPAN: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    /// A time that Close's clock has passed, and when it was learnt.
    passed: Option<(Moment, Instant)>,
    /// The latest time of a reading.
    read: Option<Moment>,
    /// The sudden dates since the last expected one.
    sudden: Option<Sudden>,
}

#[derive(Debug, Clone, Copy)]
struct Sudden {
    ahead: bool,
    /// The earliest of them.
    least: Moment,
    number: u32,
    since: Instant,
}

impl Clock {
    /// A time that Close's clock has passed, later than that of every reading that has ended; `None` before the first
    /// answer.
    pub(super) fn now(&self) -> Option<Moment> {
        self.lock().now()
    }

    /// Notes the date of an answer that came at `at` and took `elapsed`, to a request before which [`Clock::now`] was
    /// `before`. Returns the time of the reading, which is not after Close read.
    pub(super) fn read_at(
        &self,
        date: Option<Moment>,
        before: Option<Moment>,
        elapsed: Duration,
        at: Instant,
    ) -> Moment {
        let mut times = self.lock();
        let known = times.passed();
        let passed = match date.map(|date| times.believed(date.minus(SKEW), elapsed, at)) {
            Some(None) => known,
            Some(Some(date)) => {
                if known.is_some_and(|known| known.since(date) > SUDDEN + elapsed) {
                    // The clock was set back.
                    *times = Times { passed: Some((date, at)), ..Times::default() };
                    return date.minus(elapsed);
                }
                if known < Some(date) {
                    times.passed = Some((date, at));
                }
                Some(date)
            }
            None => None,
        };
        // A request that began before the clock was set back knows a wrong time.
        let before = before.min(times.now());
        // Close was asked at most `elapsed` before the date.
        let at = before.max(passed.map(|passed| passed.minus(elapsed))).unwrap_or_default();
        times.read = times.read.max(Some(at));
        at
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn passed(&self) -> Option<Moment> {
        self.passed.map(|(passed, _)| passed)
    }

    fn now(&self) -> Option<Moment> {
        self.passed().max(self.read.map(|read| Moment(read.0.saturating_add(1))))
    }

    /// The date, if it is expected; the earliest of some sudden ones, if it is the last of them. `None` if it moves
    /// nothing.
    fn believed(&mut self, date: Moment, elapsed: Duration, at: Instant) -> Option<Moment> {
        let Some((known, learnt)) = self.passed else { return Some(date) };
        let ahead = date.since(known) > SUDDEN + at.duration_since(learnt);
        if !ahead && known.since(date) <= SUDDEN + elapsed {
            self.sudden = None;
            return Some(date);
        }
        let before = self.sudden.take().filter(|sudden| sudden.ahead == ahead);
        let least = before.map_or(date, |sudden| sudden.least.min(date));
        let number = before.map_or(1, |sudden| sudden.number + 1);
        let since = before.map_or(at, |sudden| sudden.since);
        if number < AGREEING || at.duration_since(since) < SPAN {
            self.sudden = Some(Sudden { ahead, least, number, since });
            return None;
        }
        Some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with may be absent")]
    fn at(seconds: i64) -> Option<Moment> {
        Some(Moment(seconds * 1_000_000))
    }

    fn read(clock: &Clock, date: Option<Moment>, before: Option<Moment>, elapsed: Duration) -> Moment {
        clock.read_at(date, before, elapsed, Instant::now())
    }

    #[test]
    fn a_reading_is_never_after_the_time_at_which_close_was_asked() {
        let clock = Clock::default();
        assert_eq!(clock.now(), None);
        // Asked at 98.0 at the latest bound: the answer of 101 took 2 seconds, and servers differ by one.
        assert_eq!(Some(read(&clock, at(101), None, Duration::from_secs(2))), at(98));
        assert_eq!(clock.now(), at(100));
        // An answer that took long is not older than what was known when it was asked for.
        let before = clock.now();
        assert_eq!(Some(read(&clock, at(130), before, Duration::from_mins(5))), at(100));
        // A late answer does not set the clock back.
        read(&clock, at(120), at(100), Duration::ZERO);
        assert_eq!(clock.now(), at(129));
    }

    #[test]
    fn a_reading_after_another_has_a_later_time_and_one_beside_it_has_not() {
        let clock = Clock::default();
        let (one, other) = (clock.now(), clock.now());
        let first = read(&clock, at(50), one, Duration::ZERO);
        assert_eq!(read(&clock, at(50), other, Duration::from_secs(9)), Moment(40_000_000));
        let second = read(&clock, at(50), clock.now(), Duration::ZERO);
        let third = read(&clock, None, clock.now(), Duration::ZERO);
        assert!(first < second && second < third && Some(third) < at(50));
    }

    #[test]
    fn one_date_that_is_far_off_moves_nothing() {
        let clock = Clock::default();
        read(&clock, at(5_000), None, Duration::ZERO);
        for wrong in [at(100_000), at(900), at(100_000), at(900)] {
            read(&clock, wrong, clock.now(), Duration::ZERO);
            read(&clock, wrong, clock.now(), Duration::ZERO);
            let read = read(&clock, at(5_001), clock.now(), Duration::ZERO);
            assert!(Some(read) < at(5_001) && clock.now() < at(5_001), "{wrong:?}: {read:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed_after_some_answers() {
        let (clock, begun) = (Clock::default(), Instant::now());
        read(&clock, at(5_000), None, Duration::ZERO);
        let later = |date, before, after| clock.read_at(at(date), before, Duration::ZERO, begun + after);
        for date in [100_000, 100_000, 100_002, 100_001] {
            later(date, clock.now(), Duration::from_secs(1));
            assert!(clock.now() < at(5_001), "a burst of answers sets nothing");
        }
        later(100_001, clock.now(), Duration::from_secs(3));
        assert!(at(99_999) <= clock.now() && clock.now() < at(100_000), "the earliest of them");
        // They were wrong.
        let wrong = clock.now();
        for after in [4, 5, 6] {
            later(6_000, clock.now(), Duration::from_secs(after));
        }
        assert_eq!(clock.now(), at(5_999));
        // A request that was under way meanwhile knew the wrong time.
        let read = later(6_001, wrong, Duration::from_secs(7));
        assert!(Some(read) < at(6_001) && clock.now() < at(6_001), "{read:?}");
    }
}
