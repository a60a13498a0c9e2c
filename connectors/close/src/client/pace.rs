//! The pace of one endpoint group: which request may go, and when. Pure; `budget` has the waiting.
//!
//! Two rules hold at once. *Left*: a request goes only while the window, as the newest answer announced it, has an
//! allowance beyond the requests under way, the reserve, and, for a snapshot, what the other lane may still need.
//! *Pace*: requests of a snapshot are spread evenly over the window. The first rule alone prevents a 429 of our own;
//! the second keeps the first from becoming bursts and pauses.

mod window;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use self::window::{Told, Window};
use super::{Lane, headers::Announced};

/// The least time for which the use of a group by changes, or by others, limits a snapshot.
const MEMORY: Duration = Duration::from_secs(30);
/// Answers without an announcement, in a row, after which a group counts as unlimited.
const BARE: u32 = 3;

/// The shares of the allowance, by the config of the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Of a snapshot, while the group is used by changes or by others.
    pub(super) snapshot: f64,
    /// Left to other users of the key.
    pub(super) reserve: f64,
}

/// When a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Go,
    /// Not before this time.
    At(Instant),
    /// After the answer to a request under way.
    AfterAnswer,
}

/// What the answers have said so far.
#[derive(Debug)]
enum Known {
    /// Nothing: requests go one by one.
    Nothing,
    Unlimited,
    Window(Window),
}

#[derive(Debug)]
pub(super) struct Pace {
    known: Known,
    bare: u32,
    paused: Option<Instant>,
    /// Requests under way, by number: the time at which each went.
    under_way: BTreeMap<u64, Instant>,
    /// The number of the last request.
    sent: u64,
    /// The shortest time from a request to its answer; it grows slowly, as ways may become longer.
    way: Duration,
    /// The time at which the next request of a snapshot is due.
    snapshot_due: Option<Instant>,
    /// The last use by changes.
    changes_at: Option<Instant>,
    /// The last use by others.
    others_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            known: Known::Nothing,
            bare: 0,
            paused: None,
            under_way: BTreeMap::new(),
            sent: 0,
            way: Duration::MAX,
            snapshot_due: None,
            changes_at: None,
            others_at: None,
        }
    }

    /// Returns true while the group pauses after a 429.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| until > now)
    }

    /// Decides on a request; [`Turn::Go`] counts it as sent, under the number that [`Pace::number`] has then.
    pub(super) fn ask(&mut self, lane: Lane, shares: Shares, now: Instant) -> Turn {
        if let Some(until) = self.paused.filter(|until| *until > now) {
            return Turn::At(until);
        }
        self.paused = None;
        let turn = match &mut self.known {
            Known::Nothing if self.under_way.is_empty() => Turn::Go,
            Known::Nothing => Turn::AfterAnswer,
            Known::Unlimited => Turn::Go,
            Known::Window(window) => {
                window.roll(self.sent, self.way, now);
                let under_way = self.under_way.range(window.first()..).count() as u64;
                let memory = MEMORY.max(window.length() * 2);
                let recently = |at: Option<Instant>| at.is_some_and(|at| now.duration_since(at) < memory);
                match lane {
                    Lane::Changes => window.changes(shares, under_way),
                    Lane::Snapshot => {
                        let (by_changes, by_others) = (recently(self.changes_at), recently(self.others_at));
                        let use_of = window::Use { by_changes, by_others };
                        window.snapshot(shares, under_way, use_of, &mut self.snapshot_due, now)
                    }
                }
            }
        };
        if turn == Turn::Go {
            self.sent += 1;
            self.under_way.insert(self.sent, now);
            if lane == Lane::Changes {
                self.changes_at = Some(now);
                if let Known::Window(window) = &mut self.known {
                    window.count_change();
                }
            }
        }
        turn
    }

    /// The number of the last request.
    pub(super) fn number(&self) -> u64 {
        self.sent
    }

    /// A request has ended without an answer.
    pub(super) fn ended(&mut self, number: u64) {
        self.under_way.remove(&number);
    }

    /// A request was answered, and the answer announces the allowance; `None` if it announces nothing.
    pub(super) fn answered(&mut self, number: u64, announced: Option<Announced>, now: Instant) {
        if let Some(sent) = self.under_way.remove(&number) {
            self.way = self.way.saturating_add(self.way / 64).min(now.duration_since(sent));
        }
        let Some(Announced { limit: Some(limit), remaining: Some(left), reset: Some(reset) }) = announced else {
            self.bare += 1;
            if announced.is_none() && (self.bare >= BARE || matches!(self.known, Known::Nothing)) {
                self.known = Known::Unlimited;
            }
            return;
        };
        self.bare = 0;
        let told = Told { number, left, reset };
        match &mut self.known {
            Known::Window(window) if window.limit() == limit => {
                if window.learn(told, self.under_way.len() as u64, now) {
                    self.others_at = Some(now);
                }
            }
            known => *known = Known::Window(Window::new(limit, told, now)),
        }
    }

    /// After a 429: no request of the group goes before `until`.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused = self.paused.max(Some(until));
    }
}
