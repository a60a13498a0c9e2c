//! The snapshot: all rows of all objects, once, and again to compare.
//!
//! ```text
//! run ── due: which run is due
//!  └─ reading: readers take jobs of the board ── rows: a page of Close ── walk: which page comes next
//!      └─ deliver: rows that are new, or differ from what the topic has (known), and the position, in one step
//!          └─ gone: after a comparison, which rows are no longer there
//! check, count: do the topics have what Close has?
//! ```
//!
//! What always holds: the log's mark is fixed before the first row is read, so a change after it comes by the log; the
//! position says what is still to be read, so a kill costs the pages in flight, and empty lists of single parents of
//! the last transaction; an object that could not be read whole deletes nothing.

mod board;
mod check;
mod count;
mod deliver;
mod due;
mod fields;
mod gone;
mod known;
mod reading;
mod requests;
mod rows;
mod runs;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::runs::run;
