//! What every activity has: base fields, filters, and the list of all of them (reference, section 4.5).

use crate::http::collection::{Filter, L, Test};
use crate::http::{Collection, Source};
use crate::model::resource::{DATE_CREATED, DATE_UPDATED, Field, Type};
use crate::model::{Kind, Record};

/// Filters of every activity list. Dates compare to the second (reference, section 2.4).
pub const FILTERS: &[Filter] = &[
    Filter { param: "id", test: Test::Field("id") },
    Filter { param: "lead_id", test: Test::Lead },
    Filter { param: "contact_id", test: Test::Field("contact_id") },
    Filter { param: "user_id", test: Test::Field("user_id") },
    Filter { param: "organization_id", test: Test::Field("organization_id") },
    Filter { param: "date_created", test: Test::Created(1_000_000) },
    Filter { param: "activity_at", test: Test::Moment(activity_at, 1_000_000) },
];

/// When the activity happened: its own field, or else its creation.
pub fn activity_at(record: &Record) -> Option<crate::model::Moment> {
    Some(record.moment("activity_at").unwrap_or(record.created))
}

/// `activity_at` as it is written.
pub const ACTIVITY_AT: Field = Field { ty: Type::Moment, ..Field::computed("activity_at", |s| activity_at(s.record).into()) };
/// The dates of an activity.
pub const ACTIVITY_DATES: &[Field] = &[ACTIVITY_AT, DATE_CREATED, DATE_UPDATED];

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L,
        filters: FILTERS,
        total: false,
        section: "4.5",
        ..Collection::new("activity", Kind::ACTIVITIES)
    }],
    endpoints: &[],
};
