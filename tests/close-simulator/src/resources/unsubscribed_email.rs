//! Unsubscribed email addresses.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// unsubscribed_email.
pub static UNSUBSCRIBED_EMAIL: Resource = Resource {
    name: "unsubscribed_email",
    event: Some(|_| "unsubscribed_email"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("unsubscribe/email", &[Kind::UnsubscribedEmail])], endpoints: &[] };
