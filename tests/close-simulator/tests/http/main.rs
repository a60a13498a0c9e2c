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
mod custom_fields;
mod custom_objects;
mod emails;
mod faults;
mod leads;
mod limits;
mod meetings;
mod merge;
mod messages;
mod oauth;
mod opportunities;
mod organization;
mod roles;
mod snapshot;
mod statuses;
mod tasks;
mod transport;
mod truth;
mod users;
