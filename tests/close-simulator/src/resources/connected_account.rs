//! Connected accounts: mailboxes, calendars.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// connected_account.
pub static CONNECTED_ACCOUNT: Resource = Resource {
    name: "connected_account",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("connected_account", &[Kind::ConnectedAccount])], endpoints: &[] };
