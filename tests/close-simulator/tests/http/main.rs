//! The simulator as a client sees it: everything here speaks HTTP only.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss
)]

mod client;
mod controls;
mod faults;
mod limits;
mod paging;
mod snapshot;
mod transport;
