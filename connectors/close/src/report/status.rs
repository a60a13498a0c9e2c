//! The report as the contract's status.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use towpath_api::{ObjectProgress, SnapshotProgress, SnapshotState, SnapshotStatus};

use super::{ObjectReport, Report, Running};
use crate::{
    moment::Moment,
    position::{FinishedRun, ObjectEnd, ObjectState},
};

impl Report {
    /// True while a source runs that answers what is asked.
    pub(crate) fn is_attended(&self) -> bool {
        self.lock().attended
    }

    /// The objects that wait for the approval of deletes.
    pub(crate) fn awaits_approval(&self) -> Vec<String> {
        let waits =
            |(name, end): (&String, &ObjectEnd)| matches!(end, ObjectEnd::AwaitsApproval { .. }).then(|| name.clone());
        self.lock().held.iter().filter_map(waits).collect()
    }

    /// The snapshots as an operator sees them.
    pub(crate) fn status(&self) -> SnapshotStatus {
        let finished = self.0.finished.borrow().clone();
        let state = self.lock();
        SnapshotStatus {
            state: overall(state.run.is_some(), &state.held, finished.as_deref()),
            running: state.run.as_ref().map(Running::progress),
            queued: state.pending,
            held: state.held.iter().map(|(name, end)| end.progress(name)).collect(),
            next: state.next.map(time),
            completed: finished.as_deref().map(FinishedRun::json),
        }
    }
}

fn overall(runs: bool, held: &BTreeMap<String, ObjectEnd>, finished: Option<&FinishedRun>) -> SnapshotState {
    if runs {
        SnapshotState::Running
    } else if held.values().any(|end| matches!(end, ObjectEnd::AwaitsApproval { .. })) {
        SnapshotState::AwaitsApproval
    } else if !held.is_empty() {
        SnapshotState::Incomplete
    } else if finished.is_some() {
        SnapshotState::Complete
    } else {
        SnapshotState::None
    }
}

fn time(moment: Moment) -> SystemTime {
    moment.timestamp().into()
}

impl Running {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn progress(&self) -> SnapshotProgress {
        let seconds = self.here.elapsed().as_secs_f64().max(0.001);
        let rate = self.rows().saturating_sub(self.rows_before) as f64 / seconds;
        let left: u64 = self.objects.values().map(ObjectReport::left).sum();
        let unknown = self.objects.values().any(|object| object.expected.is_none() && !object.state.is_over());
        let left = (rate > 0.0).then(|| left as f64 / rate);
        SnapshotProgress {
            generation: self.generation,
            kind: self.kind.as_str().to_owned(),
            reason: self.reason.clone(),
            began: Some(time(self.began)),
            rows: self.rows(),
            rows_per_second: rate,
            waited_share: self.waited_share,
            left: left.and_then(|left| Duration::try_from_secs_f64(left).ok()),
            left_at_least: unknown,
            objects: self.objects.iter().map(|(name, object)| object.progress(name)).collect(),
        }
    }
}

impl ObjectReport {
    fn progress(&self, name: &str) -> ObjectProgress {
        ObjectProgress {
            name: name.to_owned(),
            state: self.state.of_contract(),
            rows: self.tally.rows,
            expected: self.expected,
            note: self.reason.clone(),
            deletes: None,
        }
    }
}

impl ObjectState {
    fn of_contract(self) -> towpath_api::ObjectState {
        use towpath_api::ObjectState as Contract;
        match self {
            Self::Waiting => Contract::Waiting,
            Self::Reading => Contract::Reading,
            Self::Done => Contract::Done,
            Self::Skipped => Contract::Skipped,
            Self::Incomplete => Contract::Incomplete,
            Self::AwaitsApproval => Contract::AwaitsApproval,
        }
    }
}

impl ObjectEnd {
    fn progress(&self, name: &str) -> ObjectProgress {
        use towpath_api::ObjectState as Contract;
        let (state, note, deletes) = match self {
            Self::Done => (Contract::Done, None, None),
            Self::Skipped { reason } => (Contract::Skipped, Some(reason.clone()), None),
            Self::Incomplete { reason } => (Contract::Incomplete, Some(reason.clone()), None),
            Self::Differs { difference } => (Contract::Incomplete, Some(difference.clone()), None),
            Self::AwaitsApproval { unlisted, allowed, of } => {
                let note =
                    format!("Close no longer lists {unlisted} of {of} records, {allowed} at most without approval");
                (Contract::AwaitsApproval, Some(note), Some(*unlisted))
            }
        };
        ObjectProgress { name: name.to_owned(), state, note, deletes, ..ObjectProgress::default() }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        moment::Moment,
        position::{ObjectState, RunKind},
        report::Report,
    };

    #[test]
    fn an_estimate_counts_what_is_known_and_says_if_more_is_left() {
        let report = Report::default();
        report.begins(1, RunKind::First, "nothing was read yet", Moment(0));
        report.object("lead", |object| {
            (object.state, object.expected, object.tally.rows) = (ObjectState::Reading, Some(100), 40);
        });
        let left = || report.status().running.map(|running| (running.left.is_some(), running.left_at_least));
        assert_eq!(left(), Some((true, false)));
        report.object("comment", |_| {});
        assert_eq!(left(), Some((true, true)), "Close gives no number of comments");
        report.object("comment", |object| object.state = ObjectState::Done);
        assert_eq!(left(), Some((true, false)));
    }
}
