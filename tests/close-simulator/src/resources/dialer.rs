//! Dialer sessions.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// dialer_session.
pub static DIALER_SESSION: Resource = Resource {
    name: "dialer_session",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source { collections: &[Collection::new("dialer", &[Kind::DialerSession])], endpoints: &[] };
