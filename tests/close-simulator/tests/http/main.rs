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
mod changes;
mod client;
mod comments;
mod controls;
mod data_set;
mod emails;
mod faults;
mod limits;
mod meetings;
mod paging;
mod scenarios;
mod snapshot;
mod transport;
mod truth;
