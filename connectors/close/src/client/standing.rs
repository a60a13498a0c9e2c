//! Which requests fail while Close answers others.
//!
//! The time that counts is that between two answers of Close, whichever requests they were for: while all of Close is
//! away, it stands still. A request is known by its address and body, and by its endpoint group too: if a whole group
//! fails, the next request of it need not fail for as long again, but for a few times.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Url;
use serde_json::Value as Json;

/// The longest time between two answers during which Close counts as there. A request that fails asks for one more
/// often.
const APART: Duration = Duration::from_secs(90);
/// A request that has not failed for this long begins anew.
const STALE: Duration = Duration::from_mins(30);
/// The failures of a request after which those of its group count as its own.
const TRIES: u32 = 3;
/// Requests that are remembered, at most.
const REMEMBERED: usize = 10_000;

/// The marks of a request: that of its group, and its own.
pub(super) type Marks = [u64; 2];

pub(super) fn marks(group: &str, url: &Url, body: Option<&Json>) -> Marks {
    let mut own = DefaultHasher::new();
    (group, url.as_str()).hash(&mut own);
    if let Some(body) = body {
        body.to_string().hash(&mut own);
    }
    let mut of_group = DefaultHasher::new();
    group.hash(&mut of_group);
    [of_group.finish(), own.finish()]
}

#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The time during which Close was there.
    there: Duration,
    answered: Option<Instant>,
    failing: HashMap<u64, Failing>,
}

/// A row of failures without an answer between them, in the time during which Close was there.
#[derive(Debug, Clone, Copy)]
struct Failing {
    first: Duration,
    last: Duration,
    times: u32,
}

impl Standing {
    /// Close has answered the request with these marks.
    pub(super) fn answered(&self, marks: Marks) {
        let mut state = self.lock();
        state.answers(Instant::now());
        if !state.failing.is_empty() {
            state.failing.retain(|mark, _| !marks.contains(mark));
        }
    }

    /// Close has answered some request.
    pub(super) fn answers(&self) {
        self.lock().answers(Instant::now());
    }

    /// The time since the last answer; `None` if there was none yet.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.lock().answered.map(|at| at.elapsed())
    }

    /// The request with these marks has failed. Returns the time for which it, or all of its group, has failed while
    /// Close answered others.
    pub(super) fn failed(&self, marks: Marks) -> Duration {
        self.lock().failed(marks)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answers(&mut self, now: Instant) {
        if let Some(last) = self.answered.replace(now) {
            let apart = now.duration_since(last);
            self.there += if apart <= APART { apart } else { Duration::ZERO };
        }
    }

    fn failed(&mut self, marks: Marks) -> Duration {
        let now = self.there;
        if self.failing.len() >= REMEMBERED {
            self.failing.retain(|_, failing| now.saturating_sub(failing.last) < STALE);
        }
        if self.failing.len() >= REMEMBERED {
            self.failing.clear();
        }
        let [group, own] = marks.map(|mark| {
            let failing = self.failing.entry(mark).or_insert(Failing { first: now, last: now, times: 0 });
            if now.saturating_sub(failing.last) >= STALE {
                *failing = Failing { first: now, last: now, times: 0 };
            }
            failing.last = now;
            failing.times += 1;
            *failing
        });
        let first = if own.times >= TRIES { own.first.min(group.first) } else { own.first };
        now.saturating_sub(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_GROUP: u64 = 1;
    const SECOND: Duration = Duration::from_secs(1);

    /// Answers for this number of seconds, one each.
    fn passes(state: &mut State, now: &mut Instant, seconds: u64) {
        for _ in 0..seconds {
            *now += SECOND;
            state.answers(*now);
        }
    }

    #[test]
    fn only_time_in_which_close_answers_counts() {
        let (mut state, mut now) = (State::default(), Instant::now());
        state.answers(now);
        assert_eq!(state.failed([OF_GROUP, 2]), Duration::ZERO);
        now += Duration::from_hours(5);
        state.answers(now);
        assert_eq!(state.failed([OF_GROUP, 2]), Duration::ZERO, "all of Close was away");
        passes(&mut state, &mut now, 30);
        assert_eq!(state.failed([OF_GROUP, 2]), SECOND * 30);
        let times = [(); 3].map(|()| state.failed([OF_GROUP, 3]));
        assert_eq!(times, [Duration::ZERO, Duration::ZERO, SECOND * 30], "all of the group fails");
        assert_eq!(state.failed([9, 4]), Duration::ZERO);
    }

    #[test]
    fn an_answer_ends_the_failing_of_its_request_and_group_alone() {
        let (standing, mut now) = (Standing::default(), Instant::now());
        standing.lock().answers(now);
        standing.failed([OF_GROUP, 2]);
        standing.failed([OF_GROUP, 3]);
        passes(&mut standing.lock(), &mut now, 30);
        standing.answered([OF_GROUP, 3]);
        assert!(standing.failed([OF_GROUP, 2]) >= SECOND * 29, "it fails on");
        for _ in 0..TRIES {
            assert!(standing.failed([OF_GROUP, 3]) < SECOND);
        }
    }

    #[test]
    fn what_has_not_failed_for_long_begins_anew() {
        let (mut state, mut now) = (State::default(), Instant::now());
        state.answers(now);
        state.failed([OF_GROUP, 2]);
        passes(&mut state, &mut now, STALE.as_secs());
        assert_eq!(state.failed([OF_GROUP, 2]), Duration::ZERO);
        passes(&mut state, &mut now, 5);
        assert_eq!(state.failed([OF_GROUP, 2]), SECOND * 5);
    }
}
