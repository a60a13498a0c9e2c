//! The organization's clock: runs beside the machine's, faster, slower or not at all, and can be moved.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::model::Moment;

/// A clock that never goes back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Clock {
    /// The organization's time when the clock was last set.
    base: Moment,
    /// The machine's time at that point; a restored clock runs on from its base.
    #[serde(skip, default = "Instant::now")]
    set_at: Instant,
    /// Seconds of the organization per second of the machine, 0 or more.
    rate: f64,
    /// The moment of the running job, which is not after now.
    #[serde(skip)]
    held: Option<Moment>,
}

impl Clock {
    /// A clock that shows `now` and runs at the machine's speed.
    pub fn starting_at(now: Moment) -> Self {
        Self { base: now.to_millis(), set_at: Instant::now(), rate: 1.0, held: None }
    }

    /// The time, to the millisecond, the precision of a document store.
    pub fn now(&self) -> Moment {
        if let Some(held) = self.held {
            return held;
        }
        #[allow(clippy::cast_possible_truncation)]
        let passed = (self.set_at.elapsed().as_secs_f64() * self.rate * 1_000.0) as i64;
        self.base.plus_millis(passed)
    }

    /// Seconds of the organization per second of the machine.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Changes the rate from now on; 0 stops the clock.
    pub fn set_rate(&mut self, rate: f64) {
        self.set(self.now());
        self.rate = rate.max(0.0);
    }

    /// Moves the clock to a later moment; an earlier one is ignored.
    pub fn set(&mut self, to: Moment) {
        self.base = to.max(self.now()).to_millis();
        self.set_at = Instant::now();
    }

    /// Holds the clock at a moment while work of that moment runs, or releases it; returns the moment at which it was
    /// held before.
    pub fn hold(&mut self, at: Option<Moment>) -> Option<Moment> {
        std::mem::replace(&mut self.held, at)
    }
}
