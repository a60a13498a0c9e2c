//! HTTP: one request from its bytes to its answer.
//!
//! `server` reads a request, draws its fault, and passes it to [`answer::answer`], which checks in this order: route,
//! credentials, limits, handler. A handler is a collection's list or object (`list`, `object`) or a single endpoint.

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
