//! Form submissions.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, LEAD_ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// form_submission.
pub static FORM_SUBMISSION: Resource = Resource {
    name: "form_submission",
    event: Some(|_| "activity.form_submission"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LEAD_ID], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source =
    Source { collections: &[Collection::new("activity/form_submission", &[Kind::FormSubmission])], endpoints: &[] };
