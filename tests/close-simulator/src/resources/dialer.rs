//! Dialer sessions: power and predictive dialing over a list of leads (reference, section 4.0). They are started in the
//! application, so the API only reads them.

use crate::{
    http::{
        Collection, Exactness, Source,
        collection::{Filter, G, L, Test},
    },
    model::{
        Kind, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
};

/// A dialer session. It has no events.
pub static DIALER_SESSION: Resource = Resource {
    name: "dialer",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("user_id", Type::Ref(&[Kind::User])),
            Field::stored("type", Type::Choice(&["power", "predictive"])).unset(Unset::Text("power")),
            Field::text("status"),
            Field::text("source_type"),
            Field::text("source_value"),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G,
        total: false,
        filters: &[
            Filter { param: "user_id", test: Test::Field("user_id") },
            Filter { param: "status", test: Test::Field("status") },
            Filter { param: "source_type", test: Test::Field("source_type") },
            Filter { param: "source_value", test: Test::Field("source_value") },
        ],
        exactness: Exactness::Inferred,
        ..Collection::new("dialer", &[Kind::DialerSession])
    }],
    endpoints: &[],
};
