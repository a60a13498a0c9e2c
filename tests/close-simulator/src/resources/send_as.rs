//! Who may send mail as whom.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// send_as.
pub static SEND_AS: Resource = Resource {
    name: "send_as",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("send_as", &[Kind::SendAs])], endpoints: &[] };
