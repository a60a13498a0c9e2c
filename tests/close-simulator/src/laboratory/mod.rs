//! What happens to the organization without a caller at the door: random changes under a seed, and scenarios by name.
//!
//! Everything here goes the way of the API: through `Change` with JSON bodies, or through the endpoints themselves, so
//! that each change leaves the trace that a caller's would.

pub mod api;
pub mod bodies;
pub mod changes;
pub mod deeds;
pub mod pick;
pub mod running;
pub mod scenarios;

pub use running::Laboratory;
