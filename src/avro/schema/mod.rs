//! Schemas: the envelope that we register, and the interpretation of any registered schema.
//!
//! Reading order: `envelope`; `shape` (distinguishes envelopes, plain records and keys) takes a schema without
//! references (`inline`) and compiles how to read its values (`plan`), including the types of Connect and Debezium
//! (`semantic`, `convert`) and names that Avro does not allow (`names`); types that contain
//! themselves are read as JSON (`tree`). Nothing here talks to the registry.

mod convert;
pub mod envelope;
pub(super) mod inline;
pub(super) mod names;
pub(super) mod plan;
pub(super) mod semantic;
pub(super) mod shape;
pub(super) mod tree;
