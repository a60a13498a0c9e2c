//! A search, sorted by `date_created`, oldest first.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Page, Trouble, Turn, paged::Memory};
use crate::moment::Moment;

/// Objects that Close gives in one sequence of cursors (close-api.md, section 2.6).
const SEQUENCE: u64 = 10_000;

/// The rows that were created from `from` on, and before `before`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Moment>,
    /// Rows created at `from` that are published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) seen: Vec<u64>,
}

/// The cursor over rows that were created at the same time. Cursors die after 30 s, so they are not stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    pub(crate) text: Option<String>,
    /// Rows of its sequence so far.
    rows: u64,
}

impl Found {
    pub(crate) fn range(from: Option<Moment>, before: Option<Moment>) -> Self {
        Self { from, before, seen: Vec::new() }
    }

    /// The body of the search.
    pub(crate) fn body(&self, object: &str, fields: &[String], cursor: &Cursor, limit: u64, count: bool) -> Json {
        let created = json!({"type": "regular_field", "object_type": object, "field_name": "date_created"});
        let mut queries = vec![json!({"type": "object_type", "object_type": object})];
        if self.from.is_some() || self.before.is_some() {
            let moment = |at: Moment| json!({"type": "fixed_utc", "value": at.text()});
            queries.push(json!({
                "type": "field_condition",
                "field": created,
                "condition": {
                    "type": "moment_range",
                    "on_or_after": self.from.map(moment),
                    "before": self.before.map(moment),
                },
            }));
        }
        json!({
            "query": {"type": "and", "queries": queries},
            "sort": [{"direction": "asc", "field": created}],
            "_fields": {object: fields},
            "_limit": limit,
            "cursor": cursor.text,
            "include_counts": count,
        })
    }

    /// Takes in a page that was asked for as `asked`, which is this range as it was then.
    ///
    /// # Errors
    /// If the answer is not sorted, does not obey the bounds, or repeats its cursor.
    pub(crate) fn turn(
        &mut self,
        memory: &mut Memory,
        cursor: &mut Cursor,
        asked: &Self,
        page: &Page,
    ) -> Result<Turn, Trouble> {
        memory.recall(&self.seen);
        let dates: Vec<Moment> = page.rows.iter().filter_map(|row| row.created).collect();
        let out_of_bounds =
            |at: &Moment| asked.from.is_some_and(|from| *at < from) || asked.before.is_some_and(|before| *at >= before);
        if dates.iter().any(out_of_bounds) {
            return Err(Trouble::NotFiltered);
        }
        if dates.len() < page.rows.len() || !dates.is_sorted() {
            return Err(Trouble::NotSorted);
        }
        let new: Vec<bool> = page.rows.iter().map(|row| memory.known.insert(row.id)).collect();
        // After its cursor has expired, a crowd is read again from its beginning.
        memory.progress(&new, memory.known.len() / 10)?;
        let fresh = new.iter().zip(&dates).map(|(new, at)| *new && self.before.is_none_or(|before| *at < before));
        let fresh: Vec<bool> = fresh.collect();
        cursor.rows += page.rows.len() as u64;
        let Some(last) = dates.last().copied() else {
            if page.cursor.is_some() && page.cursor == cursor.text {
                return Err(Trouble::Endless);
            }
            let over = page.cursor.is_none();
            cursor.text.clone_from(&page.cursor);
            return Ok(Turn::new(fresh, over));
        };
        let beyond = self.before.is_some_and(|before| last >= before);
        let crowded = self.from == Some(last) && dates.first() == Some(&last);
        if beyond || page.cursor.is_none() && !(crowded && cursor.rows >= SEQUENCE) {
            return Ok(Turn::new(fresh, true));
        }
        if crowded {
            // All of the page was created at the same time: only the cursor leads on.
            if page.cursor.is_none() {
                (self.from, self.seen) = (Some(Moment(last.0 + 1)), Vec::new());
                *cursor = Cursor::default();
                return Ok(Turn { fresh, over: false, crowded: Some(last) });
            }
            if page.cursor == cursor.text {
                return Err(Trouble::Endless);
            }
            cursor.text.clone_from(&page.cursor);
            return Ok(Turn::new(fresh, false));
        }
        let of_last = page.rows.iter().zip(&dates).filter(|(_, at)| **at == last);
        self.seen = of_last.map(|(row, _)| row.id).collect();
        self.from = Some(last);
        memory.known = self.seen.iter().copied().collect();
        *cursor = Cursor::default();
        Ok(Turn::new(fresh, false))
    }

    /// True if the rest of the range can be cut while it is read.
    pub(crate) fn can_split(&self, now: Moment) -> bool {
        self.from.is_some_and(|from| from < self.before.unwrap_or(now))
    }

    /// Cuts the range; returns its newer part. An open range ends at `now` for this.
    pub(crate) fn split(&mut self, now: Moment) -> Option<Self> {
        let from = self.from?;
        let end = self.before.unwrap_or(now);
        let middle = Moment(from.0 + (end.0 - from.0) / 2).second();
        if middle <= from || middle >= end {
            return None;
        }
        let newer = Self { from: Some(middle), before: self.before, seen: Vec::new() };
        self.before = Some(middle);
        Some(newer)
    }
}
