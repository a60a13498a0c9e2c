//! Smart Views: saved searches (reference, section 4.10). Their events and path say `saved_search`.
//!
//! A list without `type` or `type__in` has those of type `lead` only (section 12, item 13).

use crate::{
    http::{
        Collection, Request, Source,
        collection::{Condition, Filter, Paging, Test},
    },
    model::{
        Kind, Record, Refusal, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::{
        change::{Body, Change},
        view::View,
    },
};

/// Types of results.
const TYPES: &[&str] = &[
    "lead",
    "contact",
    "opportunity",
    "call",
    "email",
    "sms",
    "meeting",
    "note",
    "whatsapp_message",
    "custom_activity",
    "form_submission",
];

/// A Smart View. `type`, `is_shared` and `user_id` are always stored.
pub static SMART_VIEW: Resource = Resource {
    name: "saved_search",
    event: Some(|_| "saved_search"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("type", Type::Choice(TYPES)).writable().not_null(),
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("description", Type::Text(5_000)).writable(),
            Field::stored("query", Type::Text(50_000)).writable(),
            Field::stored("s_query", Type::Json).writable(),
            Field::stored("selected_fields", Type::Json).writable(),
            Field::stored("is_shared", Type::Bool).writable().not_null(),
            Field::stored("shared_with", Type::Json).writable().unset(Unset::EmptyList),
            Field::stored("sharing_settings", Type::Json).writable(),
            Field::stored("user_id", Type::Ref(&[Kind::User])),
            Field::computed("is_user_dependent", |s| user_dependent(s.record).into()),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise, deleting, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Offset { max_limit: 600, max_skip: 250_000 },
        filters: &[
            Filter { param: "type", test: Test::Field("type") },
            Filter { param: "is_shared", test: Test::Field("is_shared") },
            Filter { param: "user_id", test: Test::Field("user_id") },
        ],
        check: leads_unless_asked,
        section: "4.10",
        ..Collection::new("saved_search", &[Kind::SmartView])
    }],
    endpoints: &[],
};

#[allow(clippy::unnecessary_wraps)]
fn leads_unless_asked(_: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    if request.param("type").is_some() || request.param("type__in").is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Box::new(|_, view| view.text("type") == Some("lead"))])
}

/// Returns true if its result depends on the caller, because it names the current user.
fn user_dependent(view: &Record) -> bool {
    let names = |text: &str| text.contains("current_user") || text.contains("user:me");
    view.text("query").is_some_and(names)
        || matches!(view.get("s_query"), Some(crate::model::Value::Json(json)) if names(json))
}

fn prepare(change: &mut Change<'_>, view: &mut Record, _: &Body) -> Result<(), Refusal> {
    if view.is("is_shared") {
        change.require("manage_team_smart_views")?;
    }
    if view.get("type").is_none() {
        view.set("type", "lead");
    }
    if view.get("is_shared").is_none() {
        view.set("is_shared", false);
    }
    view.set("user_id", change.actor.user);
    Ok(())
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, _: &Body) -> Result<(), Refusal> {
    if after.is("is_shared") || !own(change, before) { change.require("manage_team_smart_views") } else { Ok(()) }
}

fn deleting(change: &mut Change<'_>, view: &Record) -> Result<(), Refusal> {
    if own(change, view) { Ok(()) } else { change.require("manage_team_smart_views") }
}

/// Returns true if it is private to the caller.
fn own(change: &Change<'_>, view: &Record) -> bool {
    !view.is("is_shared") && (view.id_of("user_id").is_none() || view.id_of("user_id") == change.actor.user)
}
