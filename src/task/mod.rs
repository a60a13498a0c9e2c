//! One task of a connector: a source task or a sink task, and their parts.
//!
//! A task runs until it is stopped, until it fails, or until another worker fences it. It does not know other tasks,
//! connector classes ([`crate::plugin`]) or the worker ([`crate::worker`]). Its outside system or store, and Kafka, may
//! become unavailable at any time: the task waits, reports, and resumes by itself.

pub(crate) mod codes;
mod health;
pub(crate) mod sink;
pub(crate) mod source;
mod source_parts;

pub(crate) use health::TaskHealth;
