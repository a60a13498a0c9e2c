//! The pending deliveries of one subscription, and their results.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::model::{Id, Moment};

/// Maximum deliveries of one subscription in flight.
const PARALLEL: usize = 8;
/// Seconds before the second attempt; each further wait is twice as long, up to [`LONGEST_WAIT_SECS`].
const FIRST_WAIT_SECS: i64 = 5;
/// Twenty minutes.
const LONGEST_WAIT_SECS: i64 = 1_200;
/// Hours after which an event is dropped.
const KEPT_HOURS: i64 = 72;
/// Hours of continuous failure after which the subscription is paused.
const FAILING_HOURS: i64 = 72;

const HOUR_MS: i64 = 3_600_000;

/// One event on its way to one subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) event: Id,
    /// The time at which it was queued.
    pub(super) queued: Moment,
    /// Failed attempts.
    pub(super) failures: u32,
    /// The timestamp of the first attempt.
    pub(super) stamp: Option<i64>,
}

/// Results of deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests sent.
    pub attempts: u64,
    /// Answered with 2xx.
    pub delivered: u64,
    /// Answered otherwise, or not at all.
    pub failed: u64,
    /// Dropped after 72 hours.
    pub dropped: u64,
    /// Dropped when the subscription was paused.
    pub cleared: u64,
    /// Lost by a fault.
    pub lost: u64,
    /// Sent twice by a fault.
    pub duplicated: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    /// By the moment of the next attempt. Deliveries in flight are included, so that a snapshot does not lose them.
    #[serde(with = "pairs")]
    waiting: BTreeMap<(Moment, u64), Delivery>,
    #[serde(skip)]
    under_way: FxHashMap<u64, Moment>,
    /// Results of finished deliveries.
    pub counts: Counts,
    /// The first failure since the last success.
    pub failing_since: Option<Moment>,
    /// The error of the last attempt, if it failed.
    pub latest_error: Option<String>,
}

/// The consequence of a failure, or of waiting too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The subscription continues.
    Goes,
    /// Everything failed for three days: pause.
    Failing,
}

impl Queue {
    pub(super) fn push(&mut self, due: Moment, number: u64, delivery: Delivery) {
        self.waiting.insert((due, number), delivery);
    }

    /// The number of deliveries, those in flight included.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of deliveries in flight.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// The time of the next possible attempt; `None` if nothing is pending or the maximum is in flight.
    pub fn next(&self) -> Option<Moment> {
        if self.under_way.len() >= PARALLEL {
            return None;
        }
        self.waiting.keys().find(|(_, number)| !self.under_way.contains_key(number)).map(|(at, _)| *at)
    }

    /// Takes due deliveries with their numbers; drops those that are too old.
    pub(super) fn take(&mut self, now: Moment) -> (Vec<(u64, Delivery)>, Verdict) {
        let mut taken = Vec::new();
        while let Some(due) = self.next().filter(|due| *due <= now) {
            let under_way = &self.under_way;
            let Some((key, delivery)) =
                self.waiting.range((due, 0)..).find(|((_, number), _)| !under_way.contains_key(number))
            else {
                break;
            };
            let (key, delivery) = (*key, delivery.clone());
            if now.millis_since(delivery.queued) > KEPT_HOURS * HOUR_MS {
                self.waiting.remove(&key);
                self.counts.dropped += 1;
                if self.fails_too_long(now) {
                    return (taken, Verdict::Failing);
                }
                continue;
            }
            self.under_way.insert(key.1, key.0);
            self.counts.attempts += 1;
            taken.push((key.1, delivery));
        }
        (taken, Verdict::Goes)
    }

    /// Keeps the timestamp of a first attempt, for retries that repeat it.
    pub(super) fn stamp(&mut self, number: u64, stamp: i64) {
        if let Some(due) = self.under_way.get(&number)
            && let Some(delivery) = self.waiting.get_mut(&(*due, number))
        {
            delivery.stamp = Some(stamp);
        }
    }

    /// Records the result of an attempt. A delivery that was dropped meanwhile is only counted.
    pub(super) fn finish(&mut self, number: u64, outcome: Result<(), String>, now: Moment) -> Verdict {
        let delivery = self.under_way.remove(&number).and_then(|due| self.waiting.remove(&(due, number)));
        match outcome {
            Ok(()) => {
                self.counts.delivered += 1;
                self.failing_since = None;
                self.latest_error = None;
            }
            Err(error) => {
                self.counts.failed += 1;
                self.latest_error = Some(error);
                let Some(mut delivery) = delivery else { return Verdict::Goes };
                self.failing_since.get_or_insert(now);
                if self.fails_too_long(now) {
                    return Verdict::Failing;
                }
                delivery.failures += 1;
                let due = now.plus_secs(backoff(delivery.failures));
                self.waiting.insert((due, number), delivery);
            }
        }
        Verdict::Goes
    }

    /// Removes a delivery that can no longer be sent.
    pub(super) fn forget(&mut self, number: u64) {
        if let Some(due) = self.under_way.remove(&number) {
            self.waiting.remove(&(due, number));
            self.counts.dropped += 1;
        }
    }

    /// Drops all deliveries: the subscription is paused.
    pub(super) fn clear(&mut self) {
        self.counts.cleared += self.waiting.len() as u64;
        self.waiting.clear();
        self.under_way.clear();
    }

    fn fails_too_long(&self, now: Moment) -> bool {
        self.failing_since.is_some_and(|since| now.millis_since(since) >= FAILING_HOURS * HOUR_MS)
    }
}

/// Seconds between the `failures`th failure and the next attempt.
fn backoff(failures: u32) -> i64 {
    FIRST_WAIT_SECS.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_WAIT_SECS)
}

/// A map as a list of pairs, because not every format allows pairs of numbers as keys.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Delivery, Moment};

    type Waiting = BTreeMap<(Moment, u64), Delivery>;

    pub(super) fn serialize<S: Serializer>(waiting: &Waiting, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(waiting)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Waiting, D::Error> {
        Ok(Vec::<((Moment, u64), Delivery)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    const T: Moment = Moment(1_788_264_000_000_000);

    fn queue() -> Queue {
        let mut queue = Queue::default();
        queue.push(T, 1, Delivery { event: Id::new(Kind::Event, 1), queued: T, failures: 0, stamp: None });
        queue
    }

    #[test]
    fn waits_double_up_to_twenty_minutes() {
        let waits: Vec<i64> = (1..=11).map(backoff).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1_200, 1_200, 1_200]);
        assert_eq!(backoff(u32::MAX), 1_200);
    }

    #[test]
    fn an_event_is_tried_for_72_hours_and_then_dropped() {
        let mut queue = queue();
        let (mut now, mut attempts) = (T, 0);
        while let Some(due) = queue.next() {
            now = now.max(due);
            for (number, _) in queue.take(now).0 {
                attempts += 1;
                // Another delivery succeeds now and then, so the subscription is not paused.
                queue.failing_since = None;
                queue.finish(number, Err("500".to_owned()), now);
            }
        }
        assert_eq!(queue.counts, Counts { attempts, failed: attempts, dropped: 1, ..Counts::default() });
        let hours = now.millis_since(T) as f64 / 3_600_000.0;
        assert!(
            (72.0..72.5).contains(&hours) && (200..260).contains(&attempts),
            "{attempts} attempts in {hours} hours"
        );
    }

    #[test]
    fn three_days_of_nothing_but_failures_pause() {
        let mut queue = queue();
        let (number, _) = queue.take(T).0.remove(0);
        assert_eq!(queue.finish(number, Err("500".to_owned()), T), Verdict::Goes);
        assert_eq!(queue.take(T.plus_secs(71 * 3_600)).1, Verdict::Goes);
        assert_eq!(queue.finish(number, Err("500".to_owned()), T.plus_secs(72 * 3_600)), Verdict::Failing);
    }

    #[test]
    fn what_is_under_way_when_the_state_is_saved_is_sent_again_by_the_restored() {
        let mut queue = queue();
        assert_eq!(queue.take(T).0.len(), 1);
        assert_eq!((queue.take(T).0.len(), queue.under_way()), (0, 1));
        let mut restored: Queue = serde_json::from_slice(&serde_json::to_vec(&queue).unwrap()).unwrap();
        assert_eq!((restored.under_way(), restored.len(), restored.next()), (0, 1, Some(T)));
        assert_eq!(restored.take(T).0.len(), 1);
    }
}
