//! Activities of a lead. One file for each type; `shared` has the common parts.

pub mod any;
pub mod call;
pub mod created;
pub mod custom;
pub mod delivery;
pub mod email;
pub mod email_thread;
pub mod form_submission;
pub mod import_update;
pub mod lead_merge;
pub mod meeting;
pub mod note;
pub mod rich_text;
pub mod shared;
pub mod sms;
pub mod status_change;
pub mod task_completed;
pub mod telephone;
pub mod trace;
pub mod whatsapp;
