//! Connected accounts: mailboxes, calendars and video services of users (reference, section 4.10). They are connected
//! in the application, so the API only reads them. `user_id` is the only filter; `_type` is not a filter.

use crate::{
    http::{
        Collection, Source,
        collection::{Filter, G, L, Paging, Test},
    },
    model::{
        Kind, Stamps,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
};

/// Types of accounts.
const TYPES: &[&str] = &["google", "custom_email", "zoom", "microsoft", "calendly"];

/// A connected account. It has no events.
pub static CONNECTED_ACCOUNT: Resource = Resource {
    name: "connected_account",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            Field::stored("_type", Type::Choice(TYPES)),
            ID,
            ORGANIZATION,
            Field::stored("user_id", Type::Ref(&[Kind::User])),
            Field::text("email"),
            Field::stored("identities", Type::Json).unset(Unset::EmptyList),
            Field::stored("smtp", Type::Json).unset(Unset::Absent),
            Field::stored("imap", Type::Json).unset(Unset::Absent),
            Field::text("receive_status"),
            Field::text("send_status"),
            Field::stored("enabled_features", Type::Json).unset(Unset::EmptyList),
            Field::stored("synced_calendars", Type::Json).unset(Unset::EmptyList),
            Field::stored("available_calendars", Type::Json).unset(Unset::EmptyList),
            Field::text("latest_receive_error"),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G,
        paging: Paging::Bare,
        total: false,
        filters: &[Filter { param: "user_id", test: Test::Field("user_id") }],
        section: "4.10",
        ..Collection::new("connected_account", &[Kind::ConnectedAccount])
    }],
    endpoints: &[],
};
