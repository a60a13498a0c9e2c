//! One task of a connector: a source task or a sink task, and their parts.
//!
//! A task runs until it is stopped, until it fails, or until another worker fences it. It knows nothing of other tasks,
//! of connector classes ([`crate::plugin`]) or of who decided that it runs here ([`crate::worker`]). The two
//! environments that a task depends on, its outside system or store and Kafka, may go away at any time: the task waits,
//! reports, and resumes by itself.

pub(crate) mod codes;
mod health;
pub(crate) mod sink;
pub(crate) mod source;

pub(crate) use health::TaskHealth;
