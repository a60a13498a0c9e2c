//! The outside: one request from its bytes to its answer.
//!
//! `server` takes a connection's request and hands it to [`answer::answer`], which asks in this order: faults, credentials, limits, route,
//! handler. A handler is a collection's list or object (`list`, `object`) or an endpoint of its own.

pub mod answer;
pub mod auth;
pub mod collection;
pub mod counters;
pub mod faults;
pub mod files;
pub mod limits;
pub mod list;
pub mod object;
pub mod request;
pub mod router;
pub mod server;
pub mod totals;

pub use answer::Answer;
pub use collection::{Collection, Endpoint, Exactness, Handler, Source};
pub use request::Request;
