//! Blocked phone numbers, and whether anonymous callers are rejected (reference, section 4.0).

use serde_json::json;

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Filter, Test},
    },
    model::{
        Kind, Record, Refusal, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// A blocked number, which can neither call nor be called. It has no events.
pub static BLOCKED_NUMBER: Resource = Resource {
    name: "blocked_phone_number",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("phone", Type::Text(32)).required(),
            Field::stored("reason", Type::Text(1024)).writable().unset(Unset::Text("")),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise: |_, _, after, _| check(after), ..Laws::PLAIN },
};

/// Stored on the organization, and not shown there.
const REJECT: &str = "reject_anonymous_inbound_calls";

pub static SOURCE: Source = Source {
    collections: &[Collection {
        filters: &[Filter { param: "phone", test: Test::Field("phone") }],
        created_status: 201,
        deleted_status: 204,
        ..Collection::new("blocked_phone_number", &[Kind::BlockedNumber])
    }],
    endpoints: &[
        Endpoint {
            method: "GET",
            path: "blocked_phone_number/settings",
            handler: Handler::Read(settings),
            section: "4.0",
            exactness: Exactness::Inferred,
        },
        Endpoint {
            method: "PUT",
            path: "blocked_phone_number/settings",
            handler: Handler::Write(set),
            section: "4.0",
            exactness: Exactness::Inferred,
        },
    ],
};

fn is_number(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    (7..=15).contains(&digits) && text.chars().all(|c| c.is_ascii_digit() || "+-() .".contains(c))
}

fn check(blocked: &Record) -> Result<(), Refusal> {
    if blocked.text("phone").is_some_and(is_number) {
        Ok(())
    } else {
        Err(Refusal::field("phone", "Invalid phone number."))
    }
}

fn prepare(change: &mut Change<'_>, blocked: &mut Record, _: &Body) -> Result<(), Refusal> {
    check(blocked)?;
    let phone = blocked.text("phone");
    if change.whole().all(Kind::BlockedNumber).any(|other| other.text("phone") == phone) {
        return Err(Refusal::field("phone", "This phone number is already blocked."));
    }
    Ok(())
}

fn shown(view: &View<'_>) -> Answer {
    let rejects = view.get(view.organization()).is_some_and(|organization| organization.is(REJECT));
    Answer::json(200, &json!({ REJECT: rejects }))
}

#[allow(clippy::unnecessary_wraps)]
fn settings(view: &View<'_>, _: &Caller, _: &Request) -> Result<Answer, Refusal> {
    Ok(shown(view))
}

fn set(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    change.require("manage_organization")?;
    let body = request.json()?;
    if let Some(json) = body.get(REJECT) {
        let rejects = json.as_bool().ok_or_else(|| Refusal::field(REJECT, "Not a valid boolean."))?;
        let organization = change.world.organization();
        if let Some(before) = change.get(organization) {
            change.alter_silently(Record::clone(&before).with(REJECT, rejects));
        }
    }
    Ok(shown(&change.whole()))
}
