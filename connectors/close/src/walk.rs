//! The walk over one list: which page comes next, and which of its rows were not seen before. Pure.
//!
//! Close's pages are not a snapshot: rows that are created or deleted between two requests shift what `_skip` counts,
//! and a delete hides a row. So each walk continues from the last row that it saw, not from a number:
//!
//! | Walk | Next page | A page shift |
//! |---|---|---|
//! | [`Created`] | the rows created in the second of the last row, or earlier | cannot happen |
//! | [`Found`] | the rows created at the time of the last row, or later | cannot happen |
//! | [`Paged`] | `_skip`, one row back: one of the page's rows must be known | seen, and the walk goes back |
//!
//! Within a second that has more rows than a page, [`Created`] counts as [`Paged`] does. What always holds: a row that
//! exists from the first page of a walk to the last is on one of its pages.

mod created;
mod found;
mod paged;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    created::Created,
    found::{Cursor, Found},
    paged::{Memory, Paged},
};
use crate::moment::Moment;

/// What is still to be read of a list. Small enough for the position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Walk {
    /// Newest first, within bounds of `date_created`.
    Created(Created),
    /// By search, oldest first, within bounds of `date_created`.
    Found(Found),
    /// The whole list.
    Paged(Paged),
    /// One list for each of several parents.
    Parents(Parents),
    /// Single rows of a request, by their place in it.
    Ids { next: usize, end: usize },
}

/// The lists of the parents after `after`, up to and including `until`, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parents {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Of the list of the parent that follows `after`.
    #[serde(default)]
    pub(crate) list: Paged,
}

/// A page, as far as a walk is concerned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// The rows, in the order of the answer.
    pub(crate) rows: Vec<Mark>,
    /// Close's `has_more`; absent from some bare lists.
    pub(crate) has_more: Option<bool>,
    /// All rows that match, where Close says so.
    pub(crate) total: Option<u64>,
    /// The cursor of the next page, of a search.
    pub(crate) cursor: Option<String>,
    /// The number of rows that were asked for.
    pub(crate) limit: u64,
}

/// A row, as far as a walk is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// [`id_sum`](crate::id_sum::id_sum) of its id.
    pub(crate) id: u64,
    pub(crate) created: Option<Moment>,
}

/// What a page changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// For each row of the page, true if it is to be published: it was not seen before, and belongs to this walk.
    pub(crate) fresh: Vec<bool>,
    /// True if the walk is over.
    pub(crate) over: bool,
    /// Set if more rows were created at this time than Close gives; the walk goes on behind them.
    pub(crate) crowded: Option<Moment>,
}

impl Turn {
    pub(crate) fn new(fresh: Vec<bool>, over: bool) -> Self {
        Self { fresh, over, crowded: None }
    }

    /// Nothing of the page is taken.
    fn none(page: &Page) -> Self {
        Self::new(vec![false; page.rows.len()], false)
    }
}

/// Why a list cannot be read as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Rows lie outside the bounds that were asked for: the filter has no effect.
    NotFiltered,
    /// The rows of a search are not in the order that was asked for.
    NotSorted,
    /// The list never ends, or repeats its cursor.
    Endless,
    /// More rows have the same time than Close gives.
    Crowded(Moment),
}

impl Trouble {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::NotFiltered => "Close gave rows outside the range of `date_created` that was asked for".to_owned(),
            Self::NotSorted => "Close gave rows that are not sorted by `date_created`".to_owned(),
            Self::Endless => "Close's pages repeat and never end".to_owned(),
            Self::Crowded(at) => format!("more rows were created at {at} than Close lists"),
        }
    }
}

impl Page {
    /// True if more rows follow. Where Close does not say so, a page of just the limit may have a successor, unless it
    /// was known already; a longer one is a bare list, all of it in one answer.
    fn more(&self, new: &[bool]) -> bool {
        self.has_more.unwrap_or(self.rows.len() as u64 == self.limit && new.contains(&true))
    }
}
