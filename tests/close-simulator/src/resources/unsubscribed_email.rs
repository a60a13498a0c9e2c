//! Unsubscribed mail addresses (reference, section 4.10): created and deleted by the address itself; contacts show them
//! as `is_unsubscribed`.

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{C, L, Paging},
        object,
    },
    model::{
        Id, Kind, Refusal, Stamps,
        resource::{CREATED_BY, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type},
    },
    world::{change::Change, view::View},
};

/// An unsubscribed address. `email` is stored in lower case.
pub static UNSUBSCRIBED_EMAIL: Resource = Resource {
    name: "unsubscribed_email",
    event: Some(|_| "unsubscribed_email"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, Field::stored("email", Type::Text(320)).required(), CREATED_BY], DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | C,
        paging: Paging::Bare,
        total: false,
        section: "4.10",
        ..Collection::new("unsubscribe/email", &[Kind::UnsubscribedEmail])
    }],
    endpoints: &[
        Endpoint {
            method: "POST",
            path: "unsubscribe/email",
            handler: Handler::Write(unsubscribe),
            section: "4.10",
            exactness: Exactness::Documented,
        },
        Endpoint {
            method: "DELETE",
            path: "unsubscribe/email/{}",
            handler: Handler::Write(resubscribe),
            section: "4.10",
            exactness: Exactness::Documented,
        },
    ],
};

fn find(view: &View<'_>, email: &str) -> Option<Id> {
    view.all(Kind::UnsubscribedEmail).find(|record| record.text("email") == Some(email)).map(|record| record.id)
}

/// Idempotent.
fn unsubscribe(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let Some(email) = body.text("email").map(|email| email.trim().to_lowercase()) else {
        return Err(Refusal::field("email", "This field is required."));
    };
    if email.split_once('@').is_none_or(|(local, host)| local.is_empty() || !host.contains('.')) {
        return Err(Refusal::field("email", "Invalid email address."));
    }
    let known = find(&change.whole(), &email);
    let id = known.unwrap_or_else(|| {
        let record = change.record(Kind::UnsubscribedEmail).with("email", email);
        change.insert(record)
    });
    Ok(object::written(change, id, request, 201))
}

fn resubscribe(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let email = request.segments[0].to_lowercase();
    let id = find(&change.whole(), &email).ok_or_else(|| Refusal::missing(&email))?;
    change.delete(id)?;
    Ok(Answer::json_bytes(200, b"{}".to_vec()))
}
