//! Phone numbers of the organization, and blocked ones.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// phone_number.
pub static PHONE_NUMBER: Resource = Resource {
    name: "phone_number",
    event: Some(|_| "phone_number"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// blocked_number.
pub static BLOCKED_NUMBER: Resource = Resource {
    name: "blocked_number",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[
        Collection::new("phone_number", &[Kind::PhoneNumber]),
        Collection::new("blocked_phone_number", &[Kind::BlockedNumber]),
    ],
    endpoints: &[],
};
