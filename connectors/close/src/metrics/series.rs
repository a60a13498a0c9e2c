//! The series of one connector, by what happens.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{CloseFamilies, UNKNOWN};
use crate::{doorbell::catalogue, moment::Moment};

/// What becomes of an event of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventOutcome {
    /// It is in the log; counted for every event.
    Read,
    Published,
    /// It was published before.
    Duplicate,
    /// Its object is not selected.
    Unselected,
    /// Its type is not in the catalogue.
    Unknown,
}

impl EventOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Published => "published",
            Self::Duplicate => "duplicate",
            Self::Unselected => "unselected",
            Self::Unknown => "unknown",
        }
    }
}

/// The reason why a value is kept in `_extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MisfitKind {
    /// The schema has no field with this name.
    Unknown,
    /// The field has another type.
    Mistyped,
}

impl MisfitKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Mistyped => "mistyped",
        }
    }
}

/// A difference that a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Close has the record, the topic did not.
    Missing,
    /// The topic had an older content.
    Changed,
    /// The topic had it, Close does not.
    Deleted,
}

impl Difference {
    fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

/// The series of one connector. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    families: CloseFamilies,
    connector: Arc<str>,
}

impl Series {
    pub(super) fn new(families: CloseFamilies, connector: &str) -> Self {
        for outcome in ["verified", "refused"] {
            families.doorbell.with_label_values(&[connector, outcome]);
        }
        families.renewals.with_label_values(&[connector]);
        Self { families, connector: connector.into() }
    }

    /// Creates the series of an object at 0.
    pub(crate) fn declare(&self, object: &str) {
        let (families, connector) = (&self.families, &*self.connector);
        for outcome in ["read", "published"] {
            families.rows.with_label_values(&[connector, object, outcome]);
        }
        for kind in [Difference::Missing, Difference::Changed, Difference::Deleted] {
            families.differences.with_label_values(&[connector, object, kind.as_str()]);
        }
        families.snapshot_running.with_label_values(&[connector, object]);
        families.snapshot_records.with_label_values(&[connector, object]);
    }

    /// A request has ended, with this status or without an answer.
    pub(crate) fn request(&self, group: &str, status: Option<u16>, took: Duration) {
        let status = status.filter(|status| (100..600).contains(status)).map(|status| status.to_string());
        let code = status.as_deref().unwrap_or("error");
        self.families.requests.with_label_values(&[&*self.connector, group, code]).inc();
        let duration = self.families.request_duration.with_label_values(&[&*self.connector, group]);
        duration.observe(took.as_secs_f64());
    }

    /// A request has waited: `reason` is `budget`, `throttled` or `backoff`.
    pub(crate) fn waited(&self, group: &str, lane: &str, reason: &str, time: Duration) {
        let labels = [&*self.connector, group, lane, reason];
        self.families.wait.with_label_values(&labels).inc_by(time.as_secs_f64());
    }

    /// Seconds that requests of a lane have waited for the allowance so far, over all groups.
    pub(crate) fn waited_seconds(&self, lane: &str) -> f64 {
        use prometheus::core::Collector as _;
        let is = |metric: &prometheus::proto::Metric, name: &str, value: &str| {
            metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
        };
        let families = self.families.wait.collect();
        let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
        metrics
            .filter(|metric| is(metric, "connector", &self.connector) && is(metric, "lane", lane))
            .map(|metric| metric.get_counter().value())
            .sum()
    }

    /// The allowance of a group as Close announces it.
    pub(crate) fn allowance(&self, group: &str, limit: u64, remaining: u64, reset: Duration) {
        let labels = [&*self.connector, group];
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.families.limit.with_label_values(&labels).set(whole(limit));
        self.families.remaining.with_label_values(&labels).set(whole(remaining));
        self.families.reset.with_label_values(&labels).set(now() + reset.as_secs_f64());
    }

    /// The share of the allowance that the connector may use.
    pub(crate) fn budget(&self, share: f64) {
        self.families.budget.with_label_values(&[&self.connector]).set(share);
    }

    /// Rows of an object in answers, read again or not.
    pub(crate) fn rows_read(&self, object: &str, rows: usize) {
        self.families.rows.with_label_values(&[&*self.connector, object, "read"]).inc_by(rows as u64);
    }

    /// Rows of an object that were published, each as an event.
    pub(crate) fn rows_published(&self, object: &str, rows: usize) {
        self.families.rows.with_label_values(&[&*self.connector, object, "published"]).inc_by(rows as u64);
    }

    /// Events of the log; an `object_type` that the catalogue lacks counts as `_unknown`.
    pub(crate) fn events(&self, object_type: &str, outcome: EventOutcome, events: usize) {
        let object_type = if catalogue::knows_type(object_type) { object_type } else { UNKNOWN };
        let labels = [&*self.connector, object_type, outcome.as_str()];
        self.families.events.with_label_values(&labels).inc_by(events as u64);
    }

    /// Values of an object that are kept in `_extra`.
    pub(crate) fn misfits(&self, object: &str, kind: MisfitKind, fields: usize) {
        self.families.misfits.with_label_values(&[&*self.connector, object, kind.as_str()]).inc_by(fields as u64);
    }

    /// A record that was not published; `reason` is a word of ours, such as `too_large`.
    pub(crate) fn skipped(&self, object: &str, reason: &'static str) {
        self.families.skipped.with_label_values(&[&*self.connector, object, reason]).inc();
    }

    /// The records of an object that were skipped so far.
    #[cfg(test)]
    pub(crate) fn skipped_records(&self, object: &str, reason: &str) -> u64 {
        self.families.skipped.with_label_values(&[&*self.connector, object, reason]).get()
    }

    /// The fields of an object that were left out so far.
    #[cfg(test)]
    pub(crate) fn omitted_fields(&self, object: &str) -> u64 {
        self.families.omitted.with_label_values(&[&*self.connector, object]).get()
    }

    /// A record was published without some of its fields, since it is too large.
    pub(crate) fn omitted(&self, object: &str, fields: usize) {
        self.families.omitted.with_label_values(&[&*self.connector, object]).inc_by(fields as u64);
    }

    /// A snapshot of this number of objects has begun.
    pub(crate) fn snapshot_began(&self, objects: usize) {
        self.families.snapshot_objects.with_label_values(&[&self.connector]).set(whole(objects));
        self.snapshot_remaining(objects);
        self.families.snapshot_start.with_label_values(&[&self.connector]).set(now());
    }

    /// Objects that the snapshot has not finished.
    pub(crate) fn snapshot_remaining(&self, objects: usize) {
        self.families.snapshot_remaining.with_label_values(&[&self.connector]).set(whole(objects));
    }

    /// A snapshot is complete.
    pub(crate) fn snapshot_completed(&self) {
        self.snapshot_remaining(0);
        self.families.snapshot_completed.with_label_values(&[&self.connector]).set(now());
    }

    /// A snapshot begins or ends to read an object.
    pub(crate) fn snapshot_running(&self, object: &str, running: bool) {
        self.families.snapshot_running.with_label_values(&[&*self.connector, object]).set(running.into());
    }

    /// A snapshot has read further records.
    pub(crate) fn snapshot_records(&self, object: &str, records: usize) {
        self.families.snapshot_records.with_label_values(&[&*self.connector, object]).inc_by(records as u64);
        self.families.snapshot_progress.with_label_values(&[&self.connector]).set(now());
    }

    /// The number of records that the snapshot expects; `None` removes the series.
    pub(crate) fn snapshot_expects(&self, object: &str, records: Option<u64>) {
        let labels = [&*self.connector, object];
        if let Some(records) = records {
            self.families.snapshot_expected.with_label_values(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
        } else {
            // Fails only if there is no such series.
            let _ = self.families.snapshot_expected.remove_label_values(&labels);
        }
    }

    /// The log is published up to `position`; Close's clock is at `close_now`.
    pub(crate) fn log_position(&self, position: Moment, close_now: Moment) {
        self.families.log_position.with_label_values(&[&self.connector]).set(seconds(position));
        self.families.log_lag.with_label_values(&[&self.connector]).set(close_now.since(position).as_secs_f64());
    }

    /// A change of an object, at this time of Close, was published.
    pub(crate) fn last_event(&self, object: &str, at: Moment) {
        let gauge = self.families.last_event.with_label_values(&[&*self.connector, object]);
        if seconds(at) > gauge.get() {
            gauge.set(seconds(at));
        }
    }

    /// A poll of these objects has ended without an error; nothing was left to read if `caught_up`.
    pub(crate) fn polled<'o>(&self, objects: impl IntoIterator<Item = &'o str>, caught_up: bool, took: Duration) {
        for object in objects {
            self.families.last_poll.with_label_values(&[&*self.connector, object]).set(now());
            if caught_up {
                self.families.caught_up.with_label_values(&[&*self.connector, object]).set(now());
            }
        }
        self.families.poll_duration.with_label_values(&[&self.connector]).observe(took.as_secs_f64());
    }

    /// Differences that a comparison found.
    pub(crate) fn differences(&self, object: &str, kind: Difference, records: usize) {
        let labels = [&*self.connector, object, kind.as_str()];
        self.families.differences.with_label_values(&labels).inc_by(records as u64);
    }

    /// A comparison of an object has ended.
    pub(crate) fn compared(&self, object: &str, complete: bool) {
        self.families.compared.with_label_values(&[&*self.connector, object]).set(now());
        if complete {
            self.families.compared_whole.with_label_values(&[&*self.connector, object]).set(now());
        }
    }

    /// The organization's fields and types were read.
    pub(crate) fn structure_renewed(&self) {
        self.families.renewals.with_label_values(&[&self.connector]).inc();
    }

    /// A schema has changed; `change` is a word of ours, such as `field_added`.
    pub(crate) fn schema_changed(&self, object: &str, change: &'static str) {
        self.families.schema_changes.with_label_values(&[&*self.connector, object, change]).inc();
    }

    /// A notice was sent (`channel` is `log`, `email`, `webhook`), or could not be.
    pub(crate) fn notice(&self, channel: &'static str, event: &'static str, sent: bool) {
        let outcome = if sent { "sent" } else { "failed" };
        self.families.notices.with_label_values(&[&*self.connector, channel, event, outcome]).inc();
    }

    /// A post to the doorbell.
    pub(crate) fn doorbell(&self, verified: bool) {
        let outcome = if verified { "verified" } else { "refused" };
        self.families.doorbell.with_label_values(&[&*self.connector, outcome]).inc();
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "microseconds are exact for centuries, to the microsecond for decades")]
fn seconds(moment: Moment) -> f64 {
    moment.0 as f64 / 1e6
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
