//! Work scheduled by the organization's clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    World,
    change::{Actor, Change},
};
use crate::{
    model::{Id, Moment},
    resources,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Job {
    /// The next step of a lead merge.
    Merge(resources::activity::lead_merge::Step),
    /// The next state of an export.
    Export(Id),
    /// The next portion of a bulk action.
    BulkAction(Id),
    /// The next state of an import.
    Import(Id),
    /// A meeting starts or ends.
    Meeting(Id),
    /// The conversion of a custom field's values ends.
    Conversion(Id),
    /// The values of a deleted custom field are removed.
    ForgetValues(Id),
    /// A completed system task is removed.
    Purge(Id),
    /// A scheduled mail or message is sent.
    Send(Id),
    /// A call is answered, or ends.
    Call(resources::activity::call::Step),
}

/// Scheduled work, by moment and then in the order of scheduling.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Jobs {
    due: BTreeMap<(Moment, u64), Job>,
    last: u64,
}

impl Jobs {
    pub fn schedule(&mut self, at: Moment, job: Job) {
        self.last += 1;
        self.due.insert((at, self.last), job);
    }

    /// The time of the next work.
    pub fn next(&self) -> Option<Moment> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }

    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    fn take(&mut self, now: Moment) -> Option<(Moment, Job)> {
        let ((at, _), _) = self.due.first_key_value().filter(|((at, _), _)| *at <= now)?;
        let at = *at;
        self.due.pop_first().map(|(_, job)| (at, job))
    }
}

impl World {
    /// Runs due work, each item at its own moment, and prunes data older than the retention.
    pub fn catch_up(&mut self) {
        let now = self.clock.now();
        while let Some((at, job)) = self.jobs.take(now) {
            let held = self.clock.hold(Some(at));
            let mut change = Change::begin(self, Actor::system());
            match job {
                Job::Merge(step) => resources::activity::lead_merge::step(&mut change, step),
                Job::Export(id) => resources::export::step(&mut change, id),
                Job::BulkAction(id) => resources::bulk_action::step(&mut change, id),
                Job::Import(id) => resources::r#import::step(&mut change, id),
                Job::Meeting(id) => resources::activity::meeting::clock(&mut change, id),
                Job::Conversion(id) => resources::custom_field::converted(&mut change, id),
                Job::ForgetValues(id) => resources::custom_field::forget_values(&mut change, id),
                Job::Purge(id) => resources::task::purge(&mut change, id),
                Job::Send(id) => resources::activity::delivery::send(&mut change, id),
                Job::Call(step) => resources::activity::call::progress(&mut change, &step),
            }
            self.clock.hold(held);
        }
        self.prune(now);
    }
}
