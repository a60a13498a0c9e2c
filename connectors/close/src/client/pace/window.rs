//! The window of a group as its answers announce it: what is left, and when the next one begins.
//!
//! Answers are late, and overtake each other. So a request belongs to the window in which it was sent by our reckoning:
//! an answer to an earlier one says nothing about the window that has begun since. A window ends for us before it ends
//! for Close, by the shortest way there and back: what is sent then arrives in the next one.

use std::time::{Duration, Instant};

use super::{MEMORY, Shares, Turn};

/// Close's window ends a little before its announcement says, which is rounded.
const ROUNDING: Duration = Duration::from_millis(2);

/// What an answer announces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// The number of its request.
    pub(super) number: u64,
    pub(super) left: u64,
    pub(super) reset: Duration,
}

/// Who else uses the group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) by_changes: bool,
    pub(super) by_others: bool,
}

#[derive(Debug)]
pub(super) struct Window {
    limit: u64,
    /// Its length: the longest time to its end that was announced lately.
    length: Duration,
    /// The longest announced since `length_since`, which replaces `length` in time: limits change.
    longest: Duration,
    length_since: Instant,
    /// The first request that belongs to it.
    first: u64,
    ends: Instant,
    /// The shortest way there and back.
    way: Duration,
    /// True if neither its end nor what is left was announced yet.
    is_guess: bool,
    /// True if the announcements are in whole seconds, so that an end may be up to a second too late.
    is_coarse: bool,
    /// What was announced as left, at least.
    left: u64,
    /// Answers since then that belong to the window before, by our reckoning.
    unheard: u64,
    /// Requests of changes in this window and in the one before.
    changes: u64,
    changes_before: u64,
}

impl Window {
    pub(super) fn new(limit: u64, told: Told, now: Instant) -> Self {
        let length = told.reset.max(Duration::from_millis(1));
        Self {
            limit,
            length,
            longest: length,
            length_since: now,
            first: told.number,
            ends: now + told.reset + ROUNDING,
            way: Duration::ZERO,
            is_guess: false,
            is_coarse: is_coarse(told.reset),
            left: told.left,
            unheard: 0,
            changes: 0,
            changes_before: 0,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// The number of the first request that belongs to the window.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn count_change(&mut self) {
        self.changes += 1;
    }

    /// The time from which requests belong to the next window.
    fn next(&self) -> Instant {
        // Ways differ, so a part of the shortest one that is known.
        let lead = (self.way / 4 * 3).min(self.length / 2);
        self.ends.checked_sub(lead).unwrap_or(self.ends)
    }

    /// Begins the next window if this one has ended for requests that are sent now; `sent` is the number of the last
    /// one.
    pub(super) fn roll(&mut self, sent: u64, way: Duration, now: Instant) {
        self.way = way;
        if now < self.next() {
            return;
        }
        (self.left, self.first, self.is_guess) = (self.limit, sent + 1, true);
        self.changes_before = std::mem::take(&mut self.changes);
        // On the grid of the windows if requests are frequent, else from now on.
        let next = self.ends + self.length;
        self.ends = if next > now { next } else { now + self.length };
    }

    /// Takes over what an answer announces, while `under_way` requests have no answer, of this window or others.
    /// Returns true if others have used the allowance as well.
    pub(super) fn learn(&mut self, told: Told, under_way: u64, now: Instant) -> bool {
        let Told { number, left, reset } = told;
        self.learn_length(reset, now);
        if number < self.first {
            self.unheard += 1;
            return false;
        }
        let own = under_way + 1 + std::mem::take(&mut self.unheard);
        let (ends, apart) = (now + reset + ROUNDING, self.length / 8);
        let was_coarse = std::mem::replace(&mut self.is_coarse, is_coarse(reset));
        let is_coarse = was_coarse && self.is_coarse;
        let is_later = if is_coarse { left > self.left || now >= self.ends } else { ends > self.ends + apart };
        if is_later {
            // Close's next window has begun before ours, or later than we believed.
            if left > self.left {
                self.first = number;
                self.changes_before = std::mem::take(&mut self.changes);
            }
            (self.left, self.ends, self.is_guess) = (left, ends, false);
            return false;
        }
        if !is_coarse && ends + apart < self.ends {
            // The windows have become shorter, or we began this one too early.
            (self.left, self.ends, self.is_guess) = (left, ends, false);
            return false;
        }
        // Answers may overtake each other: the least is the newest.
        let by_others = !self.is_guess && left + own < self.left;
        self.left = self.left.min(left);
        if !is_coarse {
            self.ends = if self.is_guess { ends } else { self.ends.min(ends) };
        }
        self.is_guess = false;
        by_others
    }

    fn learn_length(&mut self, reset: Duration, now: Instant) {
        if now.duration_since(self.length_since) > MEMORY.max(self.length * 4) {
            self.length = self.longest;
            (self.longest, self.length_since) = (reset, now);
        }
        self.longest = self.longest.max(reset).max(Duration::from_millis(1));
        self.length = self.length.max(self.longest);
    }

    fn part(&self, share: f64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let part = (self.limit as f64 * share.clamp(0.0, 1.0) + 1e-9).floor() as u64;
        part
    }

    /// What may be used at all: half a request is not reserved.
    fn allowed(&self, shares: Shares) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let reserve = (self.limit as f64 * shares.reserve.clamp(0.0, 1.0) - 0.5).ceil().max(0.0) as u64;
        self.limit.saturating_sub(reserve).max(1)
    }

    /// What the snapshot leaves to changes.
    fn of_changes(&self, shares: Shares) -> u64 {
        self.allowed(shares).saturating_sub(self.part(shares.snapshot)).max(1)
    }

    /// Changes leave the reserve, unless they have had less than their part: then a snapshot has used it.
    pub(super) fn changes(&self, shares: Shares, under_way: u64) -> Turn {
        let left = self.left.saturating_sub(under_way);
        let reserve = self.limit.saturating_sub(self.allowed(shares));
        let may = left > reserve || left > 0 && self.changes < self.of_changes(shares);
        if may { Turn::Go } else { Turn::At(self.next()) }
    }

    /// A snapshot leaves the reserve and what changes may still need in this window, and is spread over it.
    pub(super) fn snapshot(
        &self,
        shares: Shares,
        under_way: u64,
        used: Use,
        due: &mut Option<Instant>,
        now: Instant,
    ) -> Turn {
        let (left, allowed) = (self.left.saturating_sub(under_way), self.allowed(shares));
        let of_changes = if used.by_changes { self.of_changes(shares).saturating_sub(self.changes) } else { 0 };
        let kept = self.limit.saturating_sub(allowed) + of_changes;
        // With a limit of one there is nothing to divide.
        if left <= kept.min(self.limit.saturating_sub(1)) {
            return Turn::At(self.next());
        }
        let changes = if used.by_changes { self.changes.max(self.changes_before) } else { 0 };
        let share = if used.by_changes || used.by_others { self.part(shares.snapshot).min(allowed) } else { allowed };
        let requests = share.min(allowed.saturating_sub(changes)).max(1);
        let interval = self.length / u32::try_from(requests).unwrap_or(u32::MAX);
        // Lost time is made up for, within limits.
        let behind = (interval * 8).min(self.length / 8).max(interval);
        let earliest = now.checked_sub(behind).unwrap_or(now);
        let at = due.map_or(now, |at| at.max(earliest));
        if at > now {
            return Turn::At(at.min(now + self.length));
        }
        *due = Some(at + interval);
        Turn::Go
    }
}

fn is_coarse(reset: Duration) -> bool {
    reset.subsec_nanos() == 0
}
