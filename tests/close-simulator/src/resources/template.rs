//! Templates of mails and messages.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// email_template.
pub static EMAIL_TEMPLATE: Resource = Resource {
    name: "email_template",
    event: Some(|_| "email_template"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// sms_template.
pub static SMS_TEMPLATE: Resource = Resource {
    name: "sms_template",
    event: Some(|_| "sms_template"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[
        Collection::new("email_template", &[Kind::EmailTemplate]),
        Collection::new("sms_template", &[Kind::SmsTemplate]),
    ],
    endpoints: &[],
};
