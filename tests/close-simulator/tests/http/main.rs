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
mod activity_lists;
mod calls;
mod client;
mod comments;
mod contacts;
mod controls;
mod custom_activities;
mod emails;
mod faults;
mod lead_changes;
mod leads;
mod limits;
mod meetings;
mod merge;
mod messages;
mod opportunities;
mod snapshot;
mod task_changes;
mod tasks;
mod transport;
mod truth;
