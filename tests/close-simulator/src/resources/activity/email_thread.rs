//! Email threads.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// email_thread.
pub static EMAIL_THREAD: Resource = Resource {
    name: "email_thread",
    event: Some(|_| "activity.email_thread"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("activity/emailthread", &[Kind::EmailThread])], endpoints: &[] };
