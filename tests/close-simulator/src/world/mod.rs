//! The organization as it lives: what is stored, how it changes, what each change leaves behind.
//!
//! A change comes in through [`change::Change`], is kept in [`store::Store`], noted in [`history::History`] and told in
//! [`events::EventLog`]. Reading goes through [`view::View`], which is the organization as one caller sees it at one
//! moment.

pub mod change;
pub mod clock;
pub mod events;
pub mod files;
pub mod history;
pub mod jobs;
pub mod people;
pub mod store;
pub mod switches;
pub mod view;

use serde::{Deserialize, Serialize};

use crate::model::{Id, Kind, Moment};
pub use clock::Clock;
pub use switches::Switches;

/// Everything the simulator knows, and all that a snapshot holds.
#[derive(Serialize, Deserialize)]
pub struct World {
    /// From which ids and generated data follow.
    pub seed: u64,
    /// The organization's time.
    pub clock: Clock,
    /// Which of Close's unverified behaviours are shown.
    pub switches: Switches,
    /// The objects.
    pub store: store::Store,
    /// Changes of the last 30 days in order.
    pub history: history::History,
    /// The event log of the last 30 days.
    pub events: events::EventLog,
    /// Work that is due later.
    pub jobs: jobs::Jobs,
    /// Keys and tokens.
    pub people: people::People,
    /// Files of exports, and uploaded ones.
    #[serde(default)]
    pub files: files::Files,
    /// What waits for webhook receivers.
    #[serde(default)]
    pub webhooks: crate::webhooks::Webhooks,
    /// The last serial given out of each kind.
    serials: Vec<u64>,
    /// Sums of lists, remembered until the next change.
    #[serde(skip)]
    pub totals: crate::http::totals::Cache,
}

impl World {
    /// Days that events and history are kept.
    pub const RETENTION_DAYS: i64 = 30;

    /// An organization without objects.
    pub fn empty(seed: u64, now: Moment) -> Self {
        let mut serials = vec![0; Kind::COUNT];
        // The first serials of roles belong to the built-in ones, whose ids are words.
        serials[Kind::Role as usize] = 4;
        Self {
            seed,
            clock: Clock::starting_at(now),
            switches: Switches::default(),
            store: store::Store::default(),
            history: history::History::default(),
            events: events::EventLog::default(),
            jobs: jobs::Jobs::default(),
            people: people::People::default(),
            files: files::Files::default(),
            webhooks: crate::webhooks::Webhooks::default(),
            serials,
            totals: crate::http::totals::Cache::default(),
        }
    }

    /// A new id of a kind.
    pub fn next_id(&mut self, kind: Kind) -> Id {
        let serial = &mut self.serials[kind as usize];
        *serial += 1;
        Id::new(kind, *serial)
    }

    /// The last serial that was given out of a kind; 0 before the first.
    pub fn last_serial(&self, kind: Kind) -> u64 {
        self.serials[kind as usize]
    }

    /// Marks the serials of a kind up to this one as given out: for ids that were numbered elsewhere.
    pub fn give_out_to(&mut self, kind: Kind, serial: u64) {
        let last = &mut self.serials[kind as usize];
        *last = serial.max(*last);
    }

    /// The id of a text, if it is one of this organization's.
    pub fn parse_id(&self, text: &str) -> Option<Id> {
        Id::parse(text, self.seed)
    }

    /// The organization's own id.
    pub fn organization(&self) -> Id {
        Id::new(Kind::Organization, 1)
    }

    /// Forgets events and changes older than the retention.
    pub fn prune(&mut self, now: Moment) {
        let before = now.plus_days(-Self::RETENTION_DAYS);
        self.events.prune(before);
        self.history.prune(before);
    }
}
