//! The activity that shows the progress of a lead merge. The merge itself is in `lead::merge`.

use super::{shared, trace};
use crate::{
    http::{
        Source,
        collection::{G, L},
    },
    model::{
        Kind, Stamps,
        resource::{AUTHORS, DATES, Field, LEAD_ID, Laws, Resource, Type},
    },
};

pub use crate::resources::lead::merge::{Step, step};

/// A `LeadMerge` activity. Its `lead_id` is the source, which no longer exists after the merge is completed (reference,
/// section 4.6). Stored: `source_lead_id`, `destination_lead_id`, both `…_display_name` as they were, `merge_status`,
/// `error_message`.
pub static LEAD_MERGE: Resource = Resource {
    name: "lead_merge",
    event: Some(|_| "activity.lead_merge"),
    stamps: Stamps::Offset,
    fields: &[
        trace::BASE,
        &[
            LEAD_ID,
            Field::stored("source_lead_id", Type::Ref(&[Kind::Lead])),
            Field::stored("destination_lead_id", Type::Ref(&[Kind::Lead])),
            Field::text("source_display_name"),
            Field::text("destination_display_name"),
            Field::text("merge_status"),
            Field::text("error_message"),
        ],
        AUTHORS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source =
    Source { collections: &[shared::collection("activity/lead_merge", &[Kind::LeadMerge], L | G)], endpoints: &[] };
