//! The gauge of waiting partitions. Unlike [`PartitionMetrics`](super::PartitionMetrics) it exists before the first
//! claim, which may be what the partition waits for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntGauge;

use super::{Held, SinkMetrics};

/// The reasons to wait; the label `reason`.
const REASONS: [&str; 2] = ["environment", "person"];

/// The number of [`WaitingPartition`]s of each topic, which keep the series of the topic.
#[derive(Debug, Default)]
pub(super) struct WaitingTopics(Mutex<HashMap<Arc<str>, usize>>);

impl WaitingTopics {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a partition as waiting while it waits. Dropping the last one of a topic removes the series of the topic.
#[derive(Debug)]
pub struct WaitingPartition {
    gauges: [IntGauge; REASONS.len()],
    held: Mutex<Option<Held>>,
    records: IntGauge,
    held_records: Mutex<Option<Held>>,
    topic: Arc<str>,
    sink: SinkMetrics,
}

impl SinkMetrics {
    /// Creates the series of waiting partitions of `topic`, at 0, for one more partition that works.
    pub fn waiting(&self, topic: &Arc<str>) -> WaitingPartition {
        let shared = &self.shared;
        // Under the lock, as in `drop`: otherwise the last handle could remove the series of this one.
        let mut topics = shared.waiting.lock();
        *topics.entry(Arc::clone(topic)).or_default() += 1;
        let gauge = |reason| shared.families.waiting.with_label_values(&[&shared.connector, topic.as_ref(), reason]);
        let records = shared.families.waiting_records.with_label_values(&[&shared.connector, topic.as_ref()]);
        let (held, held_records) = (Mutex::default(), Mutex::default());
        let (topic, sink) = (Arc::clone(topic), self.clone());
        WaitingPartition { gauges: REASONS.map(gauge), held, records, held_records, topic, sink }
    }
}

impl WaitingPartition {
    /// Reports that the partition waits: for a person if `needs_action`, otherwise for the environment.
    pub fn waiting(&self, needs_action: bool) {
        let gauge = &self.gauges[usize::from(needs_action)];
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // The new wait counts before the old one ends, so a partition that still waits never looks as if it worked.
        *held = Some(Held::new(gauge, 1));
    }

    /// Reports the number of records of the partition that wait in the store.
    pub fn records(&self, records: usize) {
        let mut held = self.held_records.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (records > 0).then(|| Held::new(&self.records, records));
    }

    /// Reports that the partition does not wait any more.
    pub fn working(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for WaitingPartition {
    fn drop(&mut self) {
        self.working();
        self.records(0);
        let shared = &self.sink.shared;
        let mut topics = shared.waiting.lock();
        let Some(handles) = topics.get_mut(&self.topic) else { return };
        *handles -= 1;
        if *handles == 0 {
            topics.remove(&self.topic);
            let _ = shared.families.waiting_records.remove_label_values(&[&shared.connector, self.topic.as_ref()]);
            for reason in REASONS {
                // Fails only if the series does not exist.
                let labels = [&shared.connector, self.topic.as_ref(), reason];
                let _ = shared.families.waiting.remove_label_values(&labels);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    #[test]
    fn a_waiting_partition_counts_under_its_reason_until_it_works() {
        let metrics = Metrics::new();
        let sink = metrics.sink("pg");
        let waiting = |reason: &str| {
            let line = format!(r#"towpath_sink_waiting_partitions{{connector="pg",reason="{reason}",topic="a"}} "#);
            let text = metrics.encode();
            text.lines().find_map(|found| found.strip_prefix(&line).map(str::to_owned))
        };
        let value = |number: &str| Some(number.to_owned());
        let (first, second) = (sink.waiting(&"a".into()), sink.waiting(&"a".into()));
        assert_eq!((waiting("environment"), waiting("person")), (value("0"), value("0")));
        first.waiting(true);
        first.waiting(true);
        second.waiting(false);
        assert_eq!((waiting("environment"), waiting("person")), (value("1"), value("1")));
        first.waiting(false);
        assert_eq!((waiting("environment"), waiting("person")), (value("2"), value("0")));
        first.working();
        drop(second);
        assert_eq!((waiting("environment"), waiting("person")), (value("0"), value("0")));
        drop(first);
        assert_eq!(waiting("person"), None);
    }
}
