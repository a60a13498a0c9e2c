//! The ends of partitions, and which leaders answer: from librdkafka's statistics.
//!
//! An end is known only while the leader's broker is connected and answers. librdkafka keeps reporting the last end for
//! as long as the broker is away, and reports an error only when every broker is away.
//!
//! A client that knows no broker is lost. librdkafka forgets every broker that a metadata response does not list. A
//! broker that was away for longer than its session is fenced until its next heartbeat, so it answers with its topics
//! and without any broker. librdkafka then begins anew with `bootstrap.servers`. It often cancels that beginning while
//! it handles the same response, and then never connects again (confluentinc/librdkafka#5301).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{Statistics, statistics::Broker};
use tokio_util::sync::CancellationToken;
use towpath_api::TopicPartition;

use super::codes;

/// Maximum time without an answer while a request is open. A fetch is answered after a tenth of a second, even without
/// records.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Maximum age of statistics, which arrive once a second.
const MAX_AGE: Duration = Duration::from_secs(3);
/// Consecutive statistics without a broker after which the client is lost. A client that begins anew has none for some
/// milliseconds.
const LOST_AFTER: u32 = 3;

/// The end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The offset after the last record, committed or not.
    pub high: i64,
    /// The offset up to which records can be read: no earlier transaction is open.
    pub stable: i64,
}

/// The leader of a partition does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable {
    pub since: Instant,
    pub why: &'static str,
}

/// The last statistics of one client.
#[derive(Debug, Default)]
pub(super) struct Reach {
    partitions: Mutex<HashMap<TopicPartition, Known>>,
    /// Consecutive statistics without a broker.
    without_brokers: AtomicU32,
    lost: CancellationToken,
}

#[derive(Debug)]
struct Known {
    end: Option<End>,
    unreachable: Option<Unreachable>,
    at: Instant,
}

impl Reach {
    /// Reads statistics.
    pub(super) fn observe(&self, statistics: &Statistics, now: Instant) {
        self.count_brokers(statistics);
        let brokers: HashMap<i32, &Broker> =
            statistics.brokers.values().filter(|broker| broker.nodeid >= 0).map(|b| (b.nodeid, b)).collect();
        let mut known = self.known();
        for (name, topic) in &statistics.topics {
            let name: Arc<str> = name.as_str().into();
            for (number, partition) in topic.partitions.iter().filter(|(number, _)| **number >= 0) {
                let why = trouble(brokers.get(&partition.leader).copied(), partition.leader);
                let key = TopicPartition { topic: Arc::clone(&name), partition: *number };
                let before = known.get(&key).and_then(|known| known.unreachable);
                // With prefetched records the partition does not wait for its leader.
                let unreachable = why.filter(|_| partition.fetchq_cnt == 0).map(|why| {
                    let since = before.map_or(now, |before| before.since);
                    Unreachable { since, why }
                });
                let end = End { high: partition.hi_offset, stable: partition.ls_offset };
                let end = Some(end).filter(|end| why.is_none() && end.high >= 0);
                known.insert(key, Known { end, unreachable, at: now });
            }
        }
    }

    fn count_brokers(&self, statistics: &Statistics) {
        if statistics.brokers.values().any(connects) {
            self.without_brokers.store(0, Relaxed);
        } else if self.without_brokers.fetch_add(1, Relaxed) + 1 == LOST_AFTER {
            tracing::warn!(
                code = codes::UNAVAILABLE,
                "the client has lost all brokers, and is replaced; partitions are read again from their stored offsets"
            );
            self.lost.cancel();
        }
    }

    /// Cancelled once the client has lost all brokers: it never connects again.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// The end of a partition whose leader answers.
    pub(super) fn end(&self, partition: &TopicPartition) -> Option<End> {
        self.known().get(partition).filter(|known| known.at.elapsed() < MAX_AGE).and_then(|known| known.end)
    }

    /// The trouble with the leader of a partition that waits for records.
    pub(super) fn unreachable(&self, partition: &TopicPartition) -> Option<Unreachable> {
        self.known().get(partition).and_then(|known| known.unreachable)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TopicPartition, Known>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true if the client may ask the broker for the other brokers. The group's coordinator is a logical broker,
/// which has no address while no other broker is known.
fn connects(broker: &Broker) -> bool {
    matches!(broker.source.as_str(), "learned" | "configured")
}

/// Why the leader of a partition cannot be read from; `None` if it can.
fn trouble(broker: Option<&Broker>, leader: i32) -> Option<&'static str> {
    let silent = |broker: &Broker| {
        broker.waitresp_cnt > 0 && broker.rxidle > i64::try_from(ANSWERS_WITHIN.as_micros()).unwrap_or(i64::MAX)
    };
    match broker {
        _ if leader < 0 => Some("the partition has no leader"),
        Some(broker) if broker.state == "UP" && silent(broker) => Some("the broker that leads it does not answer"),
        Some(broker) if broker.state == "UP" => None,
        _ => Some("the broker that leads it cannot be reached"),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Partition, Topic};

    use super::*;

    fn with_brokers(sources: &[&str]) -> Statistics {
        let broker = |source: &&str| Broker { source: (*source).to_owned(), ..Broker::default() };
        let brokers = sources.iter().map(|source| ((*source).to_owned(), broker(source))).collect();
        Statistics { brokers, ..Statistics::default() }
    }

    #[test]
    fn a_client_is_lost_when_it_knows_no_broker_for_a_while() {
        let reach = Reach::default();
        let lost_after = |sources: &[&str], times| {
            (0..times).for_each(|_| reach.observe(&with_brokers(sources), Instant::now()));
            reach.lost().is_cancelled()
        };
        assert!(!lost_after(&["configured", "logical"], 9), "it is not connected yet, or the broker is down");
        assert!(!lost_after(&["learned", "logical"], 9));
        assert!(!lost_after(&["logical", "internal"], LOST_AFTER - 1), "it may begin anew");
        assert!(!lost_after(&["configured"], 1));
        assert!(!lost_after(&[], LOST_AFTER - 1));
        assert!(lost_after(&["logical", "internal"], 1));
    }

    fn statistics(leader: i32, state: &str, waiting: i64, idle_ms: i64, prefetched: i64) -> Statistics {
        let broker = |nodeid, state: &str, waitresp_cnt, rxidle| Broker {
            nodeid,
            state: state.to_owned(),
            waitresp_cnt,
            rxidle,
            ..Broker::default()
        };
        let partition = |leader, fetchq_cnt, hi_offset, ls_offset| Partition {
            leader,
            fetchq_cnt,
            hi_offset,
            ls_offset,
            ..Partition::default()
        };
        let partitions =
            HashMap::from([(0, partition(leader, prefetched, 9, 7)), (-1, partition(-1, 0, -1001, -1001))]);
        Statistics {
            brokers: HashMap::from([
                ("k:1/bootstrap".to_owned(), broker(-1, "UP", 0, 1)),
                ("k:1/1".to_owned(), broker(1, state, waiting, idle_ms * 1_000)),
            ]),
            topics: HashMap::from([("t".to_owned(), Topic { partitions, ..Topic::default() })]),
            ..Statistics::default()
        }
    }

    #[test]
    fn an_end_is_known_only_while_the_leader_answers() {
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let seen = |statistics: Statistics| {
            let reach = Reach::default();
            reach.observe(&statistics, Instant::now());
            (reach.end(&partition).is_some(), reach.unreachable(&partition).is_some())
        };
        assert_eq!(seen(statistics(1, "UP", 1, 100, 0)), (true, false));
        assert_eq!(seen(statistics(1, "UP", 0, 60_000, 5)), (true, false), "nothing was asked");
        assert_eq!(seen(statistics(1, "UP", 1, 60_000, 0)), (false, true), "a black hole");
        assert_eq!(seen(statistics(1, "DOWN", 0, -1, 0)), (false, true));
        assert_eq!(seen(statistics(2, "UP", 0, 0, 0)), (false, true), "another broker leads it");
        assert_eq!(seen(statistics(-1, "UP", 0, 0, 0)), (false, true));
        assert_eq!(seen(statistics(1, "DOWN", 0, -1, 5)), (false, false), "there are records to store");
        assert_eq!(seen(Statistics::default()), (false, false));
    }

    #[test]
    fn an_end_expires_and_an_outage_keeps_its_beginning() {
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let (reach, now) = (Reach::default(), Instant::now());
        reach.observe(&statistics(1, "UP", 1, 100, 0), now.checked_sub(2 * MAX_AGE).unwrap());
        assert_eq!(reach.end(&partition), None, "the client reports nothing any more");
        let first = now.checked_sub(Duration::from_secs(1)).unwrap();
        reach.observe(&statistics(1, "DOWN", 0, -1, 0), first);
        reach.observe(&statistics(1, "CONNECT", 0, -1, 0), now);
        assert_eq!(reach.unreachable(&partition).unwrap().since, first);
        reach.observe(&statistics(1, "UP", 1, 100, 0), now);
        assert_eq!((reach.unreachable(&partition), reach.end(&partition)), (None, Some(End { high: 9, stable: 7 })));
    }
}
