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
mod consolidation;
mod event_rows;
mod events;
mod filters;
mod receiver;
mod replay;
mod subscriptions;
mod transport;
mod webhook_failures;
mod webhooks;
