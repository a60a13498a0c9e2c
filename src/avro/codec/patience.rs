//! Decides for how long a schema that the registry does not have is waited for.
//!
//! A replica of the registry may lag behind the one that registered the schema, and a registry that is restored fills
//! up again. So the lack of a schema first counts as a fault of the environment, and as one of the record only after a
//! time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::SchemaId;

/// How long a schema that the registry does not have is waited for, unless `schema.unknown.wait.ms` is set.
pub const UNKNOWN_SCHEMA_WAIT: Duration = Duration::from_mins(5);

/// Maximum unknown ids of a partition that are waited for whatever the age of their records, so that garbage in a topic
/// cannot delay a partition for days.
const PATIENT_IDS: usize = 20;

/// The place of a record whose schema is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The partition as people know it, `topic[partition]`.
    pub partition: &'a str,
    pub offset: i64,
    pub timestamp_ms: i64,
}

/// The unknown schemas of all partitions that a task reads.
#[derive(Debug)]
pub(super) struct Patience {
    wait: Duration,
    /// By partition and id: the time of the registry's first answer without the schema. Outlives the decoders, which
    /// are replaced after each error.
    first: Mutex<HashMap<(Box<str>, SchemaId), Instant>>,
}

impl Patience {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, first: Mutex::default() }
    }

    /// Notes that the registry does not have schema `id`. Returns true if the record has to wait.
    pub(super) fn waits(&self, id: SchemaId, place: Place<'_>) -> bool {
        self.is_young(place.timestamp_ms, now_ms()) || self.begun_within(id, place.partition, Instant::now())
    }

    /// Notes that schema `id` is known.
    pub(super) fn found(&self, id: SchemaId, partition: &str) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if !first.is_empty() {
            first.remove(&(partition.into(), id));
        }
    }

    /// Returns true if a record was written within the wait. A time in the far future is a mistake of the producer.
    pub(super) fn is_young(&self, timestamp_ms: i64, now_ms: i64) -> bool {
        let wait = i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX);
        let age = now_ms.saturating_sub(timestamp_ms);
        age < wait && age > wait.saturating_neg()
    }

    fn begun_within(&self, id: SchemaId, partition: &str, now: Instant) -> bool {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let known = first.get(&(partition.into(), id)).copied();
        let begun = known.unwrap_or_else(|| {
            if first.keys().filter(|(of, _)| **of == *partition).count() < PATIENT_IDS {
                first.insert((partition.into(), id), now);
                now
            } else {
                // Too many: as if it had begun long ago.
                now.checked_sub(self.wait).unwrap_or(now)
            }
        });
        now.duration_since(begun) < self.wait
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_waited_for_while_the_record_or_the_first_answer_is_young() {
        let patience = Patience::new(UNKNOWN_SCHEMA_WAIT);
        for (age_ms, young) in [(0, true), (299_999, true), (300_000, false), (-299_999, true), (-300_000, false)] {
            assert_eq!(patience.is_young(1_000_000_000 - age_ms, 1_000_000_000), young, "{age_ms}");
        }
        assert!(!patience.is_young(i64::MAX, now_ms()) && !patience.is_young(i64::MIN, now_ms()));
        let (id, now) = (SchemaId::Number(7), Instant::now());
        for (after, waits) in [(0, true), (299, true), (300, false), (900, false)] {
            assert_eq!(patience.begun_within(id, "t[0]", now + Duration::from_secs(after)), waits, "{after}");
        }
        assert!(patience.begun_within(id, "t[1]", now + Duration::from_mins(15)), "each partition waits by itself");
        patience.found(id, "t[0]");
        assert!(patience.begun_within(id, "t[0]", now + Duration::from_mins(15)), "a new episode");
    }

    #[test]
    fn garbage_is_waited_for_a_limited_time() {
        let patience = Patience::new(UNKNOWN_SCHEMA_WAIT);
        let (old, now) = (Place { partition: "t[0]", offset: 0, timestamp_ms: 0 }, Instant::now());
        let waited = (0..1_000).filter(|id| patience.waits(SchemaId::Number(*id), old)).count();
        assert_eq!(waited, PATIENT_IDS);
        assert!(patience.begun_within(SchemaId::Number(1), "t[1]", now), "another partition is not affected");
        let young = Place { timestamp_ms: now_ms(), ..old };
        assert!(patience.waits(SchemaId::Number(5_000), young));
        assert!(!Patience::new(Duration::ZERO).waits(SchemaId::Number(1), young), "0 does not wait");
    }
}
