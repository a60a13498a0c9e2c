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
mod changes;
mod client;
mod comments;
mod controls;
mod data_set;
mod emails;
mod consolidation;
mod controls;
mod custom_activities;
mod emails;
mod event_rows;
mod events;
mod faults;
mod filters;
mod limits;
mod meetings;
mod paging;
mod scenarios;
mod messages;
mod receiver;
mod replay;
mod snapshot;
mod subscriptions;
mod transport;
mod truth;
mod webhook_failures;
mod webhooks;
mod bulk;
mod client;
mod exports;
mod imports;
mod links;
mod reports;
mod sequences;
mod telephony;
mod templates;
mod transport;
mod views;
