//! The activity that an import leaves on a lead it changed.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// import_update.
pub static IMPORT_UPDATE: Resource = Resource {
    name: "import_update",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("activity/import_update", &[Kind::ImportUpdate])], endpoints: &[] };
