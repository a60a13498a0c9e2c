//! One file for each kind of object: its fields, its paths, its laws. A new object of Close is a new file here, one
//! line below, and one line in `model::kind`.

pub mod activity;
pub mod blocked_number;
pub mod bulk_action;
mod bulk_work;
pub mod comment;
pub mod connected_account;
pub mod contact;
pub mod custom_activity_type;
pub mod custom_field;
pub mod custom_object;
pub mod custom_object_type;
pub mod dialer;
pub mod enrich;
pub mod event;
pub mod export;
mod export_rows;
pub mod file;
pub mod form;
pub mod group;
pub mod r#import;
pub mod integration_link;
pub mod lead;
pub mod membership;
pub mod nested;
pub mod opportunity;
pub mod organization;
pub mod outcome;
pub mod phone_number;
pub mod pipeline;
pub mod playbook;
pub mod report;
pub mod role;
pub mod scheduling_link;
pub mod search;
pub mod send_as;
pub mod sequence;
pub mod smart_view;
pub mod spelling;
pub mod status;
pub mod subscription;
pub mod task;
pub mod template;
mod template_render;
pub mod unsubscribed_email;
pub mod user;
pub mod webhook;

use crate::{
    http::Source,
    model::{
        Stamps,
        resource::{Laws, Resource},
    },
};

/// The resource of kinds that exist only as ids, such as requests.
pub static NOT_STORED: Resource = Resource {
    name: "not stored",
    event: None,
    stamps: Stamps::Offset,
    fields: &[],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// Everything that is served.
pub static SOURCES: &[&Source] = &[
    &activity::any::SOURCE,
    &activity::call::SOURCE,
    &activity::created::SOURCE,
    &activity::custom::SOURCE,
    &activity::email::SOURCE,
    &activity::email_thread::SOURCE,
    &activity::form_submission::SOURCE,
    &activity::import_update::SOURCE,
    &activity::lead_merge::SOURCE,
    &activity::meeting::SOURCE,
    &activity::note::SOURCE,
    &activity::sms::SOURCE,
    &activity::status_change::SOURCE,
    &activity::task_completed::SOURCE,
    &activity::whatsapp::SOURCE,
    &blocked_number::SOURCE,
    &bulk_action::SOURCE,
    &comment::SOURCE,
    &connected_account::SOURCE,
    &contact::SOURCE,
    &custom_activity_type::SOURCE,
    &custom_field::SOURCE,
    &custom_field::association::SOURCE,
    &custom_field::schema::SOURCE,
    &custom_object::SOURCE,
    &custom_object_type::SOURCE,
    &dialer::SOURCE,
    &enrich::SOURCE,
    &event::SOURCE,
    &export::SOURCE,
    &file::SOURCE,
    &form::SOURCE,
    &group::SOURCE,
    &r#import::SOURCE,
    &integration_link::SOURCE,
    &lead::SOURCE,
    &membership::SOURCE,
    &opportunity::SOURCE,
    &organization::SOURCE,
    &outcome::SOURCE,
    &phone_number::SOURCE,
    &pipeline::SOURCE,
    &playbook::SOURCE,
    &report::SOURCE,
    &role::SOURCE,
    &scheduling_link::SOURCE,
    &search::SOURCE,
    &send_as::SOURCE,
    &sequence::SOURCE,
    &smart_view::SOURCE,
    &status::SOURCE,
    &subscription::SOURCE,
    &task::SOURCE,
    &template::SOURCE,
    &unsubscribed_email::SOURCE,
    &user::SOURCE,
    &webhook::SOURCE,
];
