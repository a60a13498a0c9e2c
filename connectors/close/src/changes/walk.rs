//! One walk back through the event log.
//!
//! The log is read newest first, and events may be missing below those that are read. So a walk gives nothing before it
//! is whole, and then its events in ascending order.

use std::collections::{BTreeMap, HashSet};

use towpath_api::{Error, ErrorType, Result};

use super::log::{Dated, Log, Page, Place};
use crate::{codes, moment::Moment};

/// Pages without events in a row after which a walk is given up.
const EMPTY_PAGES: u32 = 20;

/// How far back a walk goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Older events are left out.
    pub(super) from: Moment,
    /// Events at this time or later are left out.
    pub(super) before: Option<Moment>,
    /// The walk ends with the first page that has no new event and reaches this time; it is not whole then.
    pub(super) until: Option<Moment>,
    /// The most new events that are kept in memory, and the most bytes of their pages.
    pub(super) limit: Limit,
}

/// The most that a walk keeps in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Limit {
    pub(super) const NONE: Self = Self { events: usize::MAX, bytes: usize::MAX };
}

/// What a walk has found.
#[derive(Debug)]
pub(super) enum Walked {
    Events(Found),
    /// There are more new events than the limit, and the newest event that was read is of this time.
    TooMany(Moment),
}

/// The new events of a walk.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The events that were not known, in ascending order.
    pub(super) fresh: Vec<Dated>,
    /// The bytes of the pages that they were in, as far as these had new events.
    pub(super) bytes: usize,
    /// By `object_type`, the events in the pages, and those of them that were known.
    pub(super) types: BTreeMap<String, (usize, usize)>,
}

impl Found {
    fn count(&mut self, Dated { event, .. }: &Dated, known: bool) {
        if let Some(counts) = self.types.get_mut(&event.object_type) {
            *counts = (counts.0 + 1, counts.1 + usize::from(known));
        } else {
            self.types.insert(event.object_type.clone(), (1, known.into()));
        }
    }
}

/// Walks back. `known` tells which events are published.
///
/// # Errors
/// Those of the client. A page that goes forward or repeats its cursor is refused with a retry, and the walk is lost.
pub(super) async fn walk(log: &impl Log, reach: Reach, known: impl Fn(&Dated) -> bool + Send + Sync) -> Result<Walked> {
    let mut found = Found::default();
    let (mut cursors, mut taken) = (HashSet::new(), HashSet::new());
    let (mut oldest, mut newest): (Option<Moment>, Option<Moment>) = (None, None);
    let (mut restarted, mut empty) = (None, 0);
    let mut place = Place::Range { from: reach.from, before: reach.before };
    loop {
        let page = match (log.page(&place).await, oldest) {
            // The cursor has expired: the rest is read from the time that is reached, once for each such time.
            (Err(error), Some(reached)) if is_refused_cursor(&place, &error) && restarted != Some(reached) => {
                restarted = Some(reached);
                cursors.clear();
                place = Place::Range { from: reach.from, before: Some(Moment(reached.0.saturating_add(1))) };
                continue;
            }
            (page, _) => page?,
        };
        check(&page, oldest, &mut cursors)?;
        empty = if page.events.is_empty() { empty + 1 } else { 0 };
        let (mut fresh, all) = (0, page.events.len().max(1));
        for dated in page.events {
            oldest = Some(oldest.map_or(dated.at, |oldest| oldest.min(dated.at)));
            newest = newest.max(Some(dated.at));
            let within = dated.at >= reach.from && reach.before.is_none_or(|before| dated.at < before);
            if !within || !taken.insert((dated.at, dated.event.id.clone())) {
                continue;
            }
            let is_known = known(&dated);
            found.count(&dated, is_known);
            if !is_known {
                found.fresh.push(dated);
                fresh += 1;
            }
        }
        found.bytes += page.bytes / all * fresh;
        if found.fresh.len() > reach.limit.events || found.bytes > reach.limit.bytes {
            return Ok(Walked::TooMany(newest.unwrap_or(reach.from)));
        }
        let below = |bound: Moment| oldest.is_some_and(|oldest| oldest < bound);
        let enough = fresh == 0 && reach.until.is_some_and(below);
        let Some(cursor) = page.older.filter(|_| !below(reach.from) && !enough) else { break };
        if empty == EMPTY_PAGES {
            return Err(refused("gives only empty pages"));
        }
        place = Place::Cursor(cursor);
    }
    // Close gives events of one object in their order, also those of one time: the reverse of it, kept by the sort.
    found.fresh.reverse();
    found.fresh.sort_by_key(|dated| dated.at);
    Ok(Walked::Events(found))
}

fn is_refused_cursor(place: &Place, error: &Error) -> bool {
    matches!(place, Place::Cursor(_)) && matches!(error.code, codes::REFUSED | codes::NOT_FOUND)
}

/// A page is never newer than the one before it, and its cursor is a new one.
fn check(page: &Page, oldest: Option<Moment>, cursors: &mut HashSet<String>) -> Result<()> {
    if let Some(oldest) = oldest
        && page.events.iter().any(|dated| dated.at > oldest)
    {
        return Err(refused("goes forward"));
    }
    match &page.older {
        Some(cursor) if !cursors.insert(cursor.clone()) => Err(refused("repeats a cursor")),
        _ => Ok(()),
    }
}

fn refused(what: &str) -> Error {
    Error::retry(codes::UNAVAILABLE, ErrorType::Decode, format!("walk back through the event log: Close {what}"))
        .with_help("nothing is lost: the walk begins again; ask Close's support if this stays")
}
