//! The visible wait of one request.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use towpath_api::{Error, Lifecycle};

/// The wait of one request, as a part of the source. The part works again when it is dropped: the request was answered,
/// or nobody waits for it any more.
pub(super) struct Wait<'l> {
    life: Option<&'l Lifecycle>,
    group: &'l str,
    delays: backon::ExponentialBackoff,
    attempt: u32,
}

impl<'l> Wait<'l> {
    pub(super) fn new(life: Option<&'l Lifecycle>, group: &'l str) -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(Duration::from_mins(1))
            .with_jitter()
            .without_max_times();
        Self { life, group, delays: delays.build(), attempt: 0 }
    }

    pub(super) fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(Duration::from_mins(1))
    }

    pub(super) fn reports(&mut self, error: &Error, delay: Duration) {
        self.attempt += 1;
        if let Some(life) = self.life {
            life.part_waits(&format!("Close {}", self.group), error, self.attempt, delay);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(life) = self.life.filter(|_| self.attempt > 0) {
            life.part_works(&format!("Close {}", self.group));
        }
    }
}
