//! A walk as its reader knows it, and how much of it is probably left.

use super::super::rows::LIMIT;
use crate::{
    moment::Moment,
    walk::{Created, Cursor, Memory, Page, Walk},
};

/// A rest of at least this number of rows is cut in two when a reader is idle. A cut costs a page at most.
const WORTH_A_SPLIT: u64 = 10 * LIMIT;
/// Pages of a list without a total and without an oldest row, after which it is cut.
const PAGES_OF_OPEN: u64 = 4;
/// Such a list is cut this much further on than it was read.
const BEYOND: i64 = 8;

/// A walk that this process knows.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) walk: Option<Walk>,
    pub(super) memory: Memory,
    pub(super) cursor: Cursor,
    pub(super) claimed: bool,
    /// True if it could not be cut since its last page.
    pub(super) indivisible: bool,
    /// Rows that are left, if Close says so.
    pub(super) left: Option<u64>,
    /// Pages that this process has read.
    pub(super) pages: u64,
    /// The creation of the newest row that this process has read.
    pub(super) newest: Option<Moment>,
    /// The time between the oldest and the newest row of the last page, in microseconds per row.
    pub(super) pace: Option<f64>,
}

impl Live {
    pub(super) fn of(walk: Walk) -> Self {
        Self { walk: Some(walk), ..Self::default() }
    }

    /// Rows that are probably left. Without a total, a bounded range goes on as it did, and an open one for longer than
    /// what was read.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a guess")]
    pub(super) fn estimate(&self) -> u64 {
        match (self.left, &self.walk) {
            (Some(left), _) => left,
            (None, Some(Walk::Created(Created { from: Some(from), to: Some(to), .. }))) => {
                self.pace.map_or(0, |pace| (to.since(*from).as_micros() as f64 / pace.max(1.0)) as u64)
            }
            (None, Some(Walk::Created(_))) if self.pages >= PAGES_OF_OPEN => self.pages * LIMIT * BEYOND.unsigned_abs(),
            _ => 0,
        }
    }

    /// The time that the rest of an open range is expected to span, in microseconds.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a guess")]
    pub(super) fn age(&self) -> Option<i64> {
        let age = match (self.left, self.pace, &self.walk) {
            (Some(left), Some(pace), _) => (pace * left as f64) as i64,
            (None, _, Some(Walk::Created(range))) => {
                self.newest?.0.saturating_sub(range.to?.0).saturating_mul(2 * BEYOND)
            }
            _ => return None,
        };
        Some(age.max(1))
    }

    /// Whether a reader without work may take a part of this walk.
    pub(super) fn can_split(&self, now: Moment) -> bool {
        !self.indivisible
            && self.estimate() >= WORTH_A_SPLIT
            && match &self.walk {
                Some(Walk::Created(range)) => range.can_split(),
                Some(Walk::Found(range)) => range.can_split(now),
                Some(Walk::Parents(_)) => true,
                _ => false,
            }
    }
}

/// Microseconds per row of a page.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn pace_of(page: &Page) -> Option<f64> {
    let (newest, oldest) = (page.rows.first()?.created?, page.rows.last()?.created?);
    Some(newest.since(oldest).as_micros() as f64 / page.rows.len() as f64)
}
