//! A list that is only paged by `_skip`.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Page, Trouble, Turn};

/// Times that a list is read again because its total says that rows are missing.
const PASSES: u8 = 2;
/// Pages without a row that is new, after which a list counts as endless.
const REPEATS: usize = 50;

/// The next `_skip` of a list, and the rows that its page must overlap with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paged {
    #[serde(default)]
    pub(crate) skip: u64,
    /// The rows of the last page. The next page begins with the last of them, or rows have moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) seen: Vec<u64>,
    /// Times that the list was read to its end.
    #[serde(default)]
    pub(crate) pass: u8,
}

/// What a process knows of a walk beyond the position.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// All rows that this process has seen, of the list or of the crowded second.
    pub(crate) known: HashSet<u64>,
    /// Whether `known` has the rows of the whole pass.
    pub(super) partly: bool,
    repeats: usize,
}

impl Paged {
    /// Takes in a page that was asked for with `skip`.
    ///
    /// # Errors
    /// [`Trouble::Endless`] for a list that goes on without new rows.
    pub(crate) fn turn(&mut self, memory: &mut Memory, page: &Page) -> Result<Turn, Trouble> {
        memory.recall(&self.seen);
        if !memory.anchors(self.skip, &self.seen, page) {
            // Rows before this page were deleted, so some that are unseen moved ahead of it. Nothing of this page is
            // taken: what is known must stay a gapless beginning of the list.
            self.skip = self.skip.saturating_sub(page.limit);
            return Ok(Turn::none(page));
        }
        let fresh: Vec<bool> = page.rows.iter().map(|row| memory.known.insert(row.id)).collect();
        let read_before = if self.pass > 0 { memory.known.len() } else { 0 };
        memory.progress(&fresh, read_before)?;
        if page.more(&fresh) {
            self.skip = next_skip(self.skip, page);
            self.seen = overlap(page);
            return Ok(Turn::new(fresh, false));
        }
        self.pass += 1;
        let missing = page.total.is_some_and(|total| !memory.partly && total > memory.known.len() as u64);
        // Rows that Close counts but does not show are never found: the number of passes is limited.
        let over = !missing || self.pass > PASSES;
        if !over {
            (self.skip, self.seen) = (0, Vec::new());
        }
        Ok(Turn::new(fresh, over))
    }
}

impl Memory {
    /// After a restart, only the rows of the last page are known.
    pub(super) fn recall(&mut self, seen: &[u64]) {
        if self.known.is_empty() && !seen.is_empty() {
            self.partly = true;
        }
        self.known.extend(seen);
    }

    /// True if a page that begins at `skip` overlaps with what was `seen`, so that nothing lies between.
    pub(super) fn anchors(&self, skip: u64, seen: &[u64], page: &Page) -> bool {
        skip == 0
            || seen.is_empty()
            || page.rows.is_empty() && page.has_more == Some(true)
            || page.rows.iter().any(|row| self.known.contains(&row.id))
    }

    /// Counts pages without a row that is new. `again` is the number of rows that are rightly read again.
    pub(super) fn progress(&mut self, new: &[bool], again: usize) -> Result<(), Trouble> {
        self.repeats = if new.contains(&true) { 0 } else { self.repeats + 1 };
        if self.repeats > REPEATS + again { Err(Trouble::Endless) } else { Ok(()) }
    }
}

/// The rows of a page with which the next must overlap. A page of one row, of many that were asked for, gives no place
/// to overlap at.
pub(super) fn overlap(page: &Page) -> Vec<u64> {
    if page.rows.len() > 1 { page.rows.iter().map(|row| row.id).collect() } else { Vec::new() }
}

/// The skip of the next page: its first row is the last of this page. A page with fewer rows than asked for lacks rows
/// that Close cannot show, so only its own rows are counted; after a page without any, the whole page is.
pub(super) fn next_skip(skip: u64, page: &Page) -> u64 {
    match page.rows.len() as u64 {
        0 => skip + page.limit,
        1 => skip + 1,
        rows => skip + rows - 1,
    }
}
