//! Changes without an API request: random changes under a seed, and scenarios by name.
//!
//! Everything here uses the API's own path, `Change` with JSON bodies or the endpoints themselves, so that each change
//! leaves the same trace as a caller's.

pub mod api;
pub mod bodies;
pub mod changes;
pub mod deeds;
pub mod pick;
pub mod running;
pub mod scenarios;

pub use running::Laboratory;
