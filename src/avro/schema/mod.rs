//! Schemas: those that we register (`envelope`), and what any registered schema means to us.
//!
//! Reading order: `envelope`; `shape` (is it an envelope, a plain record, a key?), which takes a schema without
//! references (`inline`) and compiles its reading (`plan`) by the types of Connect and Debezium (`semantic`,
//! `convert`). Nothing here talks to the registry.

mod convert;
pub mod envelope;
pub(super) mod inline;
pub(super) mod plan;
pub(super) mod semantic;
pub(super) mod shape;
