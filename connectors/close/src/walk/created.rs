//! A list that is filtered and sorted by `date_created`, newest first.

use serde::{Deserialize, Serialize};

use super::{
    Page, Trouble, Turn,
    paged::{Memory, Paged, next_skip, overlap},
};
use crate::moment::Moment;

const SECOND: i64 = 1_000_000;

/// The rows that were created from second `from` to second `to`, both included. Whole seconds, since Close compares the
/// dates of activities by the second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Created {
    /// Open if absent: imported rows may be of any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Moment>,
    /// Open if absent: meetings are created in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Moment>,
    /// Rows to skip in a second that has more rows than a page, or in a list that turned out not to be sorted.
    #[serde(default)]
    pub(crate) skip: u64,
    /// Rows of second `to` that are published; with `skip`, the rows of the last page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) seen: Vec<u64>,
    /// True if the list is not sorted, so that the range is only paged.
    #[serde(default)]
    pub(crate) unsorted: bool,
}

impl Created {
    pub(crate) fn range(from: Option<Moment>, to: Option<Moment>) -> Self {
        Self { from: from.map(Moment::second), to: to.map(Moment::second), ..Self::default() }
    }

    /// The filter, as parameters.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if let Some(from) = self.from {
            parameters.push(("date_created__gte", from.text()));
        }
        if let Some(to) = self.to {
            parameters.push(("date_created__lte", Moment(to.0 + SECOND - 1).text()));
        }
        if self.skip > 0 {
            parameters.push(("_skip", self.skip.to_string()));
        }
        parameters
    }

    /// True if nothing is left of the range.
    pub(crate) fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if from > to)
    }

    fn has(&self, at: Moment) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at <= to)
    }

    /// Takes in a page that was asked for as `asked`, which is this range as it was then: its end may have been given
    /// to another reader since.
    ///
    /// # Errors
    /// [`Trouble::NotFiltered`] if the answer does not obey the bounds.
    pub(crate) fn turn(&mut self, memory: &mut Memory, asked: &Self, page: &Page) -> Result<Turn, Trouble> {
        let seconds: Vec<Option<Moment>> = page.rows.iter().map(|row| row.created.map(Moment::second)).collect();
        if seconds.iter().flatten().any(|second| !asked.has(*second)) {
            return Err(Trouble::NotFiltered);
        }
        let sorted = seconds.iter().all(Option::is_some) && seconds.is_sorted_by(|newer, older| newer >= older);
        if !sorted && !self.unsorted {
            self.unsorted = true;
            if self.skip > 0 {
                (self.skip, self.seen) = (0, Vec::new());
                return Ok(Turn::none(page));
            }
        }
        memory.recall(&self.seen);
        if self.unsorted {
            return self.paged(memory, page, &seconds);
        }
        if !memory.anchors(self.skip, &self.seen, page) {
            self.skip = self.skip.saturating_sub(page.limit);
            return Ok(Turn::none(page));
        }
        let new: Vec<bool> = page.rows.iter().map(|row| memory.known.insert(row.id)).collect();
        memory.progress(&new, 0)?;
        let mine = seconds.iter().map(|second| second.is_none_or(|second| self.has(second)));
        let fresh = new.iter().zip(mine).map(|(new, mine)| *new && mine).collect();
        let more = page.more(&new);
        let Some(last) = seconds.last().copied().flatten() else {
            // Close shows no row of this page; the skip counts on from the same second.
            (self.skip, self.seen) = (self.skip + page.limit, Vec::new());
            return Ok(Turn::new(fresh, !more));
        };
        if self.to.is_none_or(|to| last < to) {
            let of_last = page.rows.iter().zip(&seconds).filter(|(_, second)| **second == Some(last));
            self.seen = of_last.map(|(row, _)| row.id).collect();
            self.to = Some(last);
            // The next page begins with the rows of this second. Many of them need not be read again.
            let of_last = self.seen.len() as u64;
            self.skip = if of_last * 2 > page.limit { of_last - 1 } else { 0 };
            memory.known = self.seen.iter().copied().collect();
        } else {
            self.skip = next_skip(self.skip, page);
            self.seen = overlap(page);
        }
        Ok(Turn::new(fresh, !more || self.is_empty()))
    }

    /// A page of a list that is not sorted.
    fn paged(&mut self, memory: &mut Memory, page: &Page, seconds: &[Option<Moment>]) -> Result<Turn, Trouble> {
        let mut list = Paged { skip: self.skip, seen: std::mem::take(&mut self.seen), pass: 0 };
        let turn = list.turn(memory, page)?;
        (self.skip, self.seen) = (list.skip, list.seen);
        let mine = seconds.iter().map(|second| second.is_none_or(|second| self.has(second)));
        let fresh = turn.fresh.iter().zip(mine).map(|(fresh, mine)| *fresh && mine).collect();
        Ok(Turn::new(fresh, turn.over))
    }

    /// Close refused `skip`, since it is above `cap`. Returns a further range, if this one had to be cut in two.
    ///
    /// # Errors
    /// [`Trouble::Crowded`] if the range is a single second: the walk then goes on below it.
    pub(crate) fn capped(&mut self, cap: u64) -> Result<Option<Self>, Trouble> {
        if self.unsorted {
            let lower = self.split(None);
            (self.skip, self.seen) = (0, Vec::new());
            return match (lower, self.to) {
                (Some(lower), _) => Ok(Some(lower)),
                (None, to) => Err(Trouble::Crowded(to.unwrap_or_default())),
            };
        }
        // The last page that Close gives may still end the second.
        let to = self.to.unwrap_or_default();
        let last_skip = self.skip.saturating_sub((self.seen.len() as u64).saturating_sub(1));
        if last_skip < cap && !self.seen.is_empty() {
            self.skip = cap;
            self.seen = Vec::new();
            return Ok(None);
        }
        self.to = Some(Moment(to.0 - SECOND));
        (self.skip, self.seen) = (0, Vec::new());
        Err(Trouble::Crowded(to))
    }

    /// True if the rest of the range can be cut while it is read.
    pub(crate) fn can_split(&self) -> bool {
        !self.unsorted && self.to.is_some_and(|to| self.from.is_none_or(|from| from < to))
    }

    /// Cuts the range; returns its older part. `age` is the time that the rest of an open range is expected to span.
    pub(crate) fn split(&mut self, age: Option<i64>) -> Option<Self> {
        let to = self.to?;
        let middle = match (self.from, age) {
            (Some(from), _) => from.0 + (to.0 - from.0) / 2,
            (None, Some(age)) => to.0.saturating_sub(age / 2),
            // Half of the age of the rows, from 1970 on.
            (None, None) => to.0 / 2,
        };
        let middle = Moment(middle).second().min(Moment(to.0 - SECOND));
        if self.from.is_some_and(|from| middle < from) {
            return None;
        }
        let lower = Self { from: self.from, to: Some(middle), ..Self::default() };
        self.from = Some(Moment(middle.0 + SECOND));
        Some(lower)
    }
}
