//! Webhook subscriptions.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// webhook.
pub static WEBHOOK: Resource = Resource {
    name: "webhook",
    event: None,
    stamps: Stamps::Naive,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("webhook", &[Kind::Webhook])], endpoints: &[] };
