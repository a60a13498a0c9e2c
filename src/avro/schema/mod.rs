//! Schemas: the envelope that we register, and the interpretation of any registered schema.
//!
//! Reading order: `envelope`; `shape` (distinguishes envelopes, plain records and keys) takes a schema without
//! references (`inline`) and compiles how to read its values (`plan`), including the types of Connect and Debezium
//! (`semantic`, `convert`). Nothing here talks to the registry.

mod convert;
pub mod envelope;
pub(super) mod inline;
pub(super) mod plan;
pub(super) mod semantic;
pub(super) mod shape;
