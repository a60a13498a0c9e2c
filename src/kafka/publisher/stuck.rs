//! Notices a partition whose leader answers other clients while the deliveries of this producer time out.
//!
//! librdkafka up to 2.14 can lose the leader of a partition for good: after a restart a broker may answer a produce
//! request with "not the leader" and the current leader -1 (KIP-951), which librdkafka skips as `new leader -1 not
//! found in cache`. Every later record of the partition times out, although fresh metadata name the leader
//! (librdkafka issue 5430). Only a fresh instance helps.
//!
//! A partition is stuck when a record was queued after the leader had answered a fresh client, has timed out, and
//! nothing was acknowledged in between. A topic may also refuse records for another reason, such as too few in-sync
//! replicas: the pause before the next verdict doubles while a fresh instance does not help.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Pause between two verdicts on a partition whose records are not acknowledged by a fresh instance either.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

#[derive(Default)]
pub(super) struct Stuck {
    suspects: Mutex<HashMap<(String, i32), Suspect>>,
    /// True while there are suspects, so that an acknowledgement does not need the lock.
    any: AtomicBool,
    /// True while the leader of a partition is queried: one at a time.
    querying: AtomicBool,
}

struct Suspect {
    /// The leader has answered a query of that time.
    answers_since: Instant,
    not_before: Instant,
    pause: Duration,
}

impl Stuck {
    /// A record was acknowledged: its partition is not stuck.
    pub(super) fn acknowledged(&self, topic: &str, partition: i32) {
        if self.any.load(Ordering::Relaxed) {
            self.forget(topic, partition);
        }
    }

    /// Returns true if the caller is to query the leader, and to call [`Stuck::answered`] then.
    pub(super) fn may_query(&self) -> bool {
        !self.querying.swap(true, Ordering::Relaxed)
    }

    /// The leader was queried at `asked`, after a record that was queued at `queued` had timed out. Returns true if the
    /// partition is stuck.
    pub(super) fn answered(&self, topic: &str, partition: i32, answers: bool, queued: Instant, asked: Instant) -> bool {
        self.querying.store(false, Ordering::Relaxed);
        if !answers {
            self.forget(topic, partition);
            return false;
        }
        let now = Instant::now();
        let mut suspects = self.suspects();
        let suspect = suspects.entry((topic.to_owned(), partition)).or_insert(Suspect {
            answers_since: asked,
            not_before: asked,
            pause: PAUSE,
        });
        self.any.store(true, Ordering::Relaxed);
        let is_stuck = queued > suspect.answers_since && now >= suspect.not_before;
        if is_stuck {
            suspect.answers_since = now;
            suspect.not_before = now + suspect.pause;
            suspect.pause = (suspect.pause * 2).min(LONGEST_PAUSE);
        }
        is_stuck
    }

    fn forget(&self, topic: &str, partition: i32) {
        let mut suspects = self.suspects();
        suspects.remove(&(topic.to_owned(), partition));
        self.any.store(!suspects.is_empty(), Ordering::Relaxed);
    }

    fn suspects(&self) -> MutexGuard<'_, HashMap<(String, i32), Suspect>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed_out(stuck: &Stuck, answers: bool) -> bool {
        assert!(stuck.may_query());
        assert!(!stuck.may_query(), "one query at a time");
        stuck.answered("t", 0, answers, Instant::now(), Instant::now())
    }

    #[test]
    fn a_partition_is_stuck_when_its_leader_answered_before_a_record_that_timed_out() {
        let stuck = Stuck::default();
        let before = Instant::now();
        assert!(!timed_out(&stuck, true), "the leader may have come back just now");
        assert!(stuck.may_query());
        assert!(!stuck.answered("t", 0, true, before, Instant::now()), "queued before the leader answered");
        assert!(timed_out(&stuck, true));
        assert!(!timed_out(&stuck, true), "a fresh instance did not help: the next verdict has to wait");
    }

    #[test]
    fn an_acknowledgement_or_a_silent_leader_clears_the_suspicion() {
        for clears in [true, false] {
            let stuck = Stuck::default();
            assert!(!timed_out(&stuck, true));
            if clears {
                stuck.acknowledged("t", 0);
            } else {
                assert!(!timed_out(&stuck, false));
            }
            assert!(!timed_out(&stuck, true));
            assert!(timed_out(&stuck, true));
        }
    }
}
