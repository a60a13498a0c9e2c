//! The simulator as a client sees it: everything here speaks HTTP only.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss
)]

mod activities;
mod calls;
mod client;
mod comments;
mod contacts;
mod controls;
mod emails;
mod faults;
mod lead_changes;
mod leads;
mod limits;
mod meetings;
mod merge;
mod opportunities;
mod snapshot;
mod task_changes;
mod tasks;
mod transport;
mod truth;
