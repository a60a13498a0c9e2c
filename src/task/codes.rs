//! The codes of errors that a task itself reports.

/// The store has not answered for 40 seconds.
pub(super) const NO_ANSWER: &str = "sink.no_answer";
/// The stored offset differs from the expected offset.
pub(super) const OFFSET_MOVED: &str = "sink.offset_moved";
/// The stored offset is lower than before.
pub(super) const STORE_WENT_BACK: &str = "sink.store_went_back";
/// Records of a batch were dead-lettered.
pub(super) const DEAD_LETTER: &str = "sink.dead_letter";
/// A source returned without a request to stop.
pub(super) const SOURCE_ENDED: &str = "source.ended";
/// A batch was to be applied without a claim; a bug.
pub(super) const UNCLAIMED: &str = "internal.unclaimed";
/// A part of the worker could not be started; a bug.
pub(crate) const START: &str = "internal.start";
/// A task or a part of it panicked; a bug.
pub(crate) const PANIC: &str = "internal.panic";
