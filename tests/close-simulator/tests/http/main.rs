//! The simulator as a client sees it: all tests here use HTTP only.

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
mod agreement;
mod bulk;
mod calls;
mod changes;
mod client;
mod comments;
mod consolidation;
mod contacts;
mod control_input;
mod controls;
mod custom_activities;
mod custom_fields;
mod custom_objects;
mod data_set;
mod emails;
mod event_laws;
mod event_rows;
mod events;
mod exports;
mod faults;
mod field_changes;
mod filters;
mod imports;
mod lead_changes;
mod leads;
mod limits;
mod links;
mod meetings;
mod merge;
mod messages;
mod names;
mod newcomer;
mod oauth;
mod opportunities;
mod organization;
mod paging;
mod posting_back;
mod quirks_events;
mod quirks_paging;
mod quirks_records;
mod quirks_transport;
mod receiver;
mod recipe;
mod replay;
mod reports;
mod roles;
mod rows;
mod rows_activities;
mod rows_jobs;
mod rows_objects;
mod rows_settings;
mod rows_traces;
mod scenarios;
mod search;
mod sequences;
mod snapshot;
mod statuses;
mod subscriptions;
mod task_changes;
mod tasks;
mod telephony;
mod templates;
mod text_query;
mod transport;
mod truth;
mod users;
mod views;
mod webhook_failures;
mod webhooks;
