//! Sequence subscriptions: a contact in a sequence.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// sequence_subscription.
pub static SEQUENCE_SUBSCRIPTION: Resource = Resource {
    name: "sequence_subscription",
    event: Some(|_| "sequence_subscription"),
    stamps: Stamps::Naive,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("sequence_subscription", &[Kind::SequenceSubscription])], endpoints: &[] };
