//! Memberships: a user in the organization, with a role (reference, section 9.1).

use crate::http::collection::U;
use crate::http::{Collection, Source};
use crate::model::resource::{Field, ID, Laws, ORGANIZATION, Resource, Type, Unset};
use crate::model::{Kind, Stamps};

/// A membership. `is_active` is stored, not shown: a removed user's membership stands among the inactive ones.
pub static MEMBERSHIP: Resource = Resource {
    name: "membership",
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[
        ID,
        ORGANIZATION,
        Field::stored("user_id", Type::Ref(&[Kind::User])),
        Field::stored("role_id", Type::Ref(&[Kind::Role])).writable().not_null(),
        Field::stored("permissions_granted", Type::List(&Type::Text(64))).unset(Unset::EmptyList),
        Field::stored("auto_record_calls", Type::Bool).writable().unset(Unset::False),
        Field::stored("track_email_opens", Type::Bool).writable().unset(Unset::False),
    ]],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection { methods: U, section: "9.1", ..Collection::new("membership", &[Kind::Membership]) }],
    endpoints: &[],
};
