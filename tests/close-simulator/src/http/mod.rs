//! The outside: one request from its bytes to its answer.
//!
//! `server` takes a connection's request, sees which fault it meets, and hands it to [`answer::answer`], which asks in
//! this order: route, credentials, limits, handler. A handler is a collection's list or object (`list`, `object`) or an
//! endpoint of its own.

pub mod answer;
pub mod auth;
pub mod collection;
pub mod compress;
pub mod counters;
pub mod damage;
pub mod faults;
pub mod files;
pub mod group;
pub mod limit_settings;
pub mod limits;
pub mod list;
pub mod object;
pub mod request;
pub mod router;
pub mod server;
pub mod socket;
pub mod totals;

pub use answer::Answer;
pub use collection::{Collection, Endpoint, Exactness, Handler, Source};
pub use request::Request;
