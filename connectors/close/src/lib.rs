//! The Close source: everything of one organization once, then every change.
//!
//! ```text
//! snapshot ─┐                    ┌─ Journal::publish: events and position in one Kafka transaction
//! changes  ─┼─ events ─ publish ─┤
//! lists    ─┘                    └─ topic <topic.prefix>.<object>
//! ```
//!
//! `source` probes the key and starts three loops that run side by side. `snapshot` reads every object once, and again
//! to compare. `changes` follows the event log, which is the one authority for what changes; a webhook of Close only
//! wakes it (`doorbell`). `lists` reads again what has no events: users, roles, pipelines and so on. All of them read
//! through `client`, which shares the allowance of the key, make events with `record` by the schemas of `structure`,
//! and hand them to `publish`, the only owner of the journal, which shortens what does not fit (`fit`). `position` is
//! what is stored with the events, and all that survives a restart: what is still to be read (`walk`), runs that have
//! ended, what is to be told. `schema_changes` says what has changed in the fields.
//!
//! `catalogue` lists the objects. `config` declares the keys, `codes` the error codes, `metrics` the metrics. `report`
//! is the progress of snapshots, `control` what people see of it and ask for; `notify` tells people that a sync is
//! done. `views` declares the views that a sink may create over the tables.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod address;
mod brake;
mod catalogue;
mod changes;
mod client;
mod codes;
mod config;
mod context;
mod control;
mod doorbell;
mod field_type;
mod fit;
mod id_sum;
mod lists;
mod live_rows;
#[cfg(test)]
mod memory;
mod metrics;
mod moment;
mod notify;
mod position;
mod publish;
mod record;
mod report;
mod schema_changes;
mod snapshot;
mod source;
mod structure;
mod sync_run;
mod views;
mod walk;

pub use config::CloseConfig;
pub use doorbell::Doorbell;
pub use metrics::CloseMetrics;
pub use source::{CloseSource, OpenCloseSource};
pub use views::standard_views;
