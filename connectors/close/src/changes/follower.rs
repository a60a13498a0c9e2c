//! The mark: how far the log is published, and what is read to move it.
//!
//! `position.log` moves only after a walk was whole and all that it found is published, in one transaction with the
//! last of it. An event may become visible late, by the overlap at most, so a deep walk begins that much before the
//! mark, and knows what it has published by [`Window`]. After a start, the window is learnt from the tails of the
//! topics.

use std::{collections::BTreeMap, time::Duration};

use towpath_api::Result;

use super::{
    log::{Dated, Log, Place},
    walk::{Found, Limit, Reach, Walked, walk},
    window::Window,
};
use crate::{
    moment::Moment,
    position::{ClosePosition, Ends},
};

/// Close keeps events for 30 days; older ones vanish without notice.
const KEPT: Duration = Duration::from_hours(29 * 24);
/// The events of one transaction at most.
const STEP: usize = 500;
/// The new events of one slice that are held in memory at most. In memory they take a few times the bytes.
const SLICE: Limit = Limit { events: 20_000, bytes: 16 * 1024 * 1024 };
/// The new events of a quick walk at most; with more, a deep walk cuts them into slices.
const QUICK: Limit = Limit { events: 2_000, ..SLICE };
/// The length of a slice at first, at most and at least.
const LENGTH: Duration = Duration::from_hours(1);
const SHORTEST_SLICE: Duration = Duration::from_micros(1);
const LONGEST_SLICE: Duration = Duration::from_hours(24);
/// A quick walk goes back behind what it has seen by this much, for events that became visible a little late.
const QUICK_MARGIN: Duration = Duration::from_secs(30);
/// After a pause of this length, the start checks that the log reaches back to the mark.
const CHECKED_PAUSE: Duration = Duration::from_hours(48);

/// A change of the position.
pub(super) type Change = Box<dyn FnOnce(&mut ClosePosition) + Send>;

/// What is published, and the way to publish.
pub(super) trait Ledger: Send {
    /// The mark of the newest durable position.
    fn mark(&self) -> Option<Moment>;

    /// The ends that the newest durable position has.
    fn noted(&self) -> Vec<Ends>;

    /// Publishes the records of these events and changes the position, in one transaction. If Close does not give the
    /// row of an event, the position says that it is to be read again.
    fn publish(&mut self, events: &[Dated], change: Change) -> impl Future<Output = Result<()>> + Send;

    /// The ends of the topics, by object.
    fn ends(&self) -> impl Future<Output = Result<BTreeMap<String, Vec<i64>>>> + Send;

    /// Passes the `event_id` of each record from these offsets on to `each`.
    fn read<'a>(
        &'a self,
        from: &'a BTreeMap<String, Vec<i64>>,
        each: &'a mut (dyn FnMut(&str) + Send),
    ) -> impl Future<Output = Result<()>> + Send + 'a;

    /// Says that the log no longer reaches back to the mark, and asks for a comparison.
    fn lost(&self, reason: &str);

    /// Counts a walk.
    fn walked(&self, _found: &Found) {}

    /// Shows that everything up to `mark` is published, at this time of Close.
    fn reached(&self, _mark: Moment, _now: Moment) {}
}

/// Follows one event log.
pub(super) struct Follower<L, R> {
    log: L,
    ledger: R,
    overlap: Duration,
    window: Window,
    /// Close's time at the start of the last walk that reached the newest event.
    walked: Option<Moment>,
    /// The length of the next slice: it is halved and doubled by what slices hold.
    length: Duration,
    slice: Limit,
    step: usize,
    /// The mark and Close's time when the ends were noted last.
    noted: Option<(Moment, Moment)>,
}

impl<L: Log, R: Ledger> Follower<L, R> {
    /// Learns what is published.
    ///
    /// # Errors
    /// Those of the log and the ledger.
    pub(super) async fn start(log: L, ledger: R, overlap: Duration) -> Result<Self> {
        let mut follower = Self {
            log,
            ledger,
            overlap,
            window: Window::default(),
            walked: None,
            length: LENGTH,
            slice: SLICE,
            step: STEP,
            noted: None,
        };
        follower.reaches_back().await?;
        follower.learn().await?;
        Ok(follower)
    }

    async fn learn(&mut self) -> Result<()> {
        self.window = Window::default();
        let from = self.from();
        let tail = self.ledger.noted().into_iter().rev().find(|ends| ends.log < from);
        let offsets = tail.map(|ends| ends.offsets).unwrap_or_default();
        let Self { ledger, window, .. } = self;
        window.forget(from);
        ledger.read(&offsets, &mut |event_id| window.learn(event_id)).await
    }

    /// Where a deep walk begins, and Close's time. If Close's clock was set back to what the window has forgotten, the
    /// window is learnt again.
    async fn begin(&mut self) -> Result<(Moment, Moment)> {
        if self.window.floor().is_some_and(|floor| self.from() < floor) {
            self.learn().await?;
        }
        Ok((self.from(), self.now()))
    }

    /// Reads the log from before the mark to its newest event, in slices if it is long, and moves the mark.
    ///
    /// # Errors
    /// Those of the log and the ledger. What a whole slice had is published, and the mark is behind it.
    pub(super) async fn deep(&mut self) -> Result<()> {
        let (mut from, _) = self.begin().await?;
        let (mut top, mut limit) = (from, self.slice);
        // Close's time when the first slice was read that may lack late events: the next walk is to cover it again.
        let mut incomplete: Option<Moment> = None;
        loop {
            if self.gap().await? {
                (from, _) = self.begin().await?;
                incomplete = None;
            }
            let now = self.now();
            top = top.max(now);
            let end = from.plus(self.length);
            let before = (end < top).then_some(end);
            match self.walk(Reach { from, before, until: None, limit }).await? {
                Walked::TooMany(newest) => {
                    top = top.max(Moment(newest.0.saturating_add(1)));
                    let length = before.unwrap_or(top).since(from);
                    self.length = (length / 2).max(SHORTEST_SLICE);
                    // Events of one time cannot be parted.
                    limit = if length <= SHORTEST_SLICE { Limit::NONE } else { limit };
                }
                Walked::Events(found) => {
                    if found.fresh.len() <= self.slice.events / 4 && found.bytes <= self.slice.bytes / 4 {
                        self.length = (self.length * 2).min(LONGEST_SLICE);
                    }
                    limit = self.slice;
                    if before.is_none_or(|before| now.minus(self.overlap) < before) {
                        incomplete = incomplete.or(Some(now));
                    }
                    let reached = before.unwrap_or(now).min(now);
                    let mark = incomplete.map_or(reached, |read| reached.min(read));
                    self.publish(found.fresh, Some(mark)).await?;
                    self.ledger.reached(mark, now);
                    self.note_ends().await?;
                    match before {
                        None => {
                            self.walked = Some(now);
                            return Ok(());
                        }
                        Some(before) => from = before,
                    }
                }
            }
        }
    }

    /// Publishes what is new at the end of the log, and leaves the mark where it is.
    ///
    /// # Errors
    /// Those of the log and the ledger.
    pub(super) async fn quick(&mut self) -> Result<()> {
        let (from, now) = self.begin().await?;
        let Some(walked) = self.walked else { return self.deep().await };
        let until = Some(walked.min(now).minus(QUICK_MARGIN));
        match self.walk(Reach { from, before: None, until, limit: QUICK }).await? {
            Walked::TooMany(_) => self.deep().await,
            Walked::Events(found) => {
                self.publish(found.fresh, None).await?;
                self.ledger.reached(now, now);
                self.walked = Some(now);
                Ok(())
            }
        }
    }

    async fn walk(&mut self, reach: Reach) -> Result<Walked> {
        let walked = walk(&self.log, reach, |dated| self.window.contains(dated.at, &dated.event.id)).await?;
        if let Walked::Events(found) = &walked {
            self.ledger.walked(found);
        }
        Ok(walked)
    }

    /// Publishes in steps; the last one moves the mark, which never moves back.
    async fn publish(&mut self, events: Vec<Dated>, mark: Option<Moment>) -> Result<()> {
        let mark = mark.filter(|mark| self.mark() < *mark);
        let mut steps = events.chunks(self.step).peekable();
        while let Some(step) = steps.next() {
            let moved = mark.filter(|_| steps.peek().is_none());
            self.ledger.publish(step, moving(moved)).await?;
            step.iter().for_each(|dated| self.window.add(dated.at, &dated.event.id));
        }
        if events.is_empty() && mark.is_some() {
            self.ledger.publish(&[], moving(mark)).await?;
        }
        if mark.is_some() {
            let from = self.from();
            self.window.forget(from);
        }
        Ok(())
    }

    /// Notes the topics' ends when the mark or the time has moved by the overlap. Two entries suffice: the older one is
    /// good for the position as it is, the newer one becomes so when the overlap has left its events behind.
    async fn note_ends(&mut self) -> Result<()> {
        let (mark, now) = (self.mark(), self.now());
        let moved = |(noted, then): (Moment, Moment)| {
            mark.since(noted) >= self.overlap || now.since(then) >= self.overlap || now < then
        };
        if !self.noted.is_none_or(moved) {
            return Ok(());
        }
        let (from, mut ends) = (self.from(), self.ledger.noted());
        if ends.len() > 1 {
            // The older one is needed for as long as the newer one is not good.
            match ends.pop().filter(|newer| newer.log < from) {
                Some(newer) => ends = vec![newer],
                None => return Ok(()),
            }
        }
        let newest = self.window.newest().max(ends.last().map(|ends| ends.log));
        let log = newest.unwrap_or(Moment(from.0.saturating_sub(1)));
        ends.push(Ends { log, offsets: self.ledger.ends().await? });
        self.ledger.publish(&[], Box::new(move |position| position.ends = ends)).await?;
        self.noted = Some((mark, now));
        Ok(())
    }

    /// At the start after a pause: a log that has nothing from before the mark was cut, and may have a gap.
    async fn reaches_back(&mut self) -> Result<()> {
        if self.gap().await? || self.now().since(self.mark()) < CHECKED_PAUSE {
            return Ok(());
        }
        let (mark, from) = (self.mark(), Moment(0));
        let place = Place::Range { from, before: Some(Moment(mark.0.saturating_add(1))) };
        if self.log.page(&place).await?.events.is_empty() {
            self.goes_on(&format!("the event log has no event as old as {mark}, up to which it is published")).await?;
        }
        Ok(())
    }

    /// True if the log no longer reaches back to the mark, or the mark says nothing. It is then followed from now on.
    async fn gap(&mut self) -> Result<bool> {
        let (mark, now) = (self.mark(), self.now());
        let reason = if now.since(mark) > KEPT {
            format!("the event log is published up to {mark}, and Close keeps it for 30 days")
        } else if mark.since(now) > self.overlap / 2 {
            // By a clock of Close that was wrong: how far the log is published is not known. Servers of Close differ a
            // little, which the overlap makes good.
            format!("the event log is published up to {mark}, and at Close it is {now}")
        } else {
            return Ok(false);
        };
        self.goes_on(&reason).await?;
        Ok(true)
    }

    async fn goes_on(&mut self, reason: &str) -> Result<()> {
        let now = self.now();
        let mark = now.minus(self.overlap);
        let change = move |position: &mut ClosePosition| {
            position.log = Some(mark);
            position.gap = Some(now);
            // What has begun already makes nothing good, whatever its date.
            let before = Moment(now.0.saturating_sub(1));
            position.compared = position.compared.map(|compared| compared.min(before));
            if let Some(snapshot) = &mut position.snapshot {
                snapshot.began = snapshot.began.min(before);
            }
        };
        self.ledger.publish(&[], Box::new(change)).await?;
        self.ledger.lost(reason);
        Ok(())
    }

    fn mark(&self) -> Moment {
        self.ledger.mark().or_else(|| self.log.now()).unwrap_or_default()
    }

    fn now(&self) -> Moment {
        self.log.now().unwrap_or_else(|| self.mark())
    }

    fn from(&self) -> Moment {
        self.mark().min(self.now()).minus(self.overlap)
    }
}

fn moving(mark: Option<Moment>) -> Change {
    Box::new(move |position| {
        if mark.is_some() {
            position.log = mark;
        }
    })
}

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;
