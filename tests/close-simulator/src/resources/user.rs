//! Users: people, known to every organization they are a member of (reference, sections 1.4 and 4.7).

use serde_json::json;

use crate::http::collection::{G, L, Order, OrderBy, Paging, SortKey};
use crate::http::{Answer, Collection, Endpoint, Exactness, Handler, Request, Source};
use crate::model::resource::{DATES, Field, ID, Laws, Resource};
use crate::model::{Kind, Record, Refusal, Stamps, Value};
use crate::world::people::Caller;
use crate::world::view::View;

/// A person.
pub static USER: Resource = Resource {
    name: "user",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            Field::text("email"),
            Field::text("first_name"),
            Field::text("last_name"),
            Field::text("image"),
            Field::text("last_used_timezone"),
            Field::text("email_verified_at"),
            Field::computed("organizations", |s| Value::list([s.view.organization().into()])),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

fn named(first: &'static str, second: &'static str) -> impl Fn(&Record) -> SortKey {
    move |record| {
        SortKey::Text(format!("{}\u{0}{}", record.text(first).unwrap_or(""), record.text(second).unwrap_or("")).to_lowercase())
    }
}

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G,
        paging: Paging::Offset { max_limit: 1000, max_skip: 250_000 },
        total: false,
        order: Order::OldestFirst,
        orders: &[
            OrderBy { name: "last_name,first_name", key: |_, record| named("last_name", "first_name")(record) },
            OrderBy { name: "first_name,last_name", key: |_, record| named("first_name", "last_name")(record) },
        ],
        section: "4.7",
        ..Collection::new("user", &[Kind::User])
    }],
    endpoints: &[Endpoint {
        method: "GET",
        path: "me",
        handler: Handler::Read(me),
        section: "1.4",
        exactness: Exactness::Documented,
    }],
};

fn me(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let _ = request;
    let user = view.get(caller.user).ok_or_else(|| Refusal::missing_id(caller.user, view.seed()))?;
    Ok(Answer::json(200, &json!({ "id": view.id_text(user.id) })))
}
