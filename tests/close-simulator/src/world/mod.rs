//! The living organization: its objects, how they change, and the traces of each change.
//!
//! A change comes in through [`change::Change`], is stored in [`store::Store`], noted in [`history::History`] and
//! reported in [`events::EventLog`]. Reads go through [`view::View`], which is the organization as one caller sees it
//! at one moment.

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

/// All state of the simulator, and the contents of a snapshot.
#[derive(Serialize, Deserialize)]
pub struct World {
    /// Determines ids and generated data.
    pub seed: u64,
    pub clock: Clock,
    /// The active variants of Close's unverified behavior.
    pub switches: Switches,
    pub store: store::Store,
    /// Changes of the last 30 days in order.
    pub history: history::History,
    /// The event log of the last 30 days.
    pub events: events::EventLog,
    pub jobs: jobs::Jobs,
    /// Keys and tokens.
    pub people: people::People,
    /// Files of exports, and uploads.
    #[serde(default)]
    pub files: files::Files,
    /// Pending webhook deliveries.
    #[serde(default)]
    pub webhooks: crate::webhooks::Webhooks,
    /// The last used serial of each kind.
    serials: Vec<u64>,
    /// Sums of lists, cached until the next change.
    #[serde(skip)]
    pub totals: crate::http::totals::Cache,
}

impl World {
    /// Days that events and history are kept.
    pub const RETENTION_DAYS: i64 = 30;

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

    pub fn next_id(&mut self, kind: Kind) -> Id {
        let serial = &mut self.serials[kind as usize];
        *serial += 1;
        Id::new(kind, *serial)
    }

    /// The last used serial of a kind; 0 before the first.
    pub fn last_serial(&self, kind: Kind) -> u64 {
        self.serials[kind as usize]
    }

    /// Marks the serials of a kind up to this one as used: for ids that were allocated elsewhere.
    pub fn give_out_to(&mut self, kind: Kind, serial: u64) {
        let last = &mut self.serials[kind as usize];
        *last = serial.max(*last);
    }

    /// Parses an id of this organization.
    pub fn parse_id(&self, text: &str) -> Option<Id> {
        Id::parse(text, self.seed)
    }

    pub fn organization(&self) -> Id {
        Id::new(Kind::Organization, 1)
    }

    /// Drops events and changes older than the retention.
    pub fn prune(&mut self, now: Moment) {
        let before = now.plus_days(-Self::RETENTION_DAYS);
        self.events.prune(before);
        self.history.prune(before);
    }
}
