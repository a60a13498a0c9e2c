//! Send-as: users who may send mail in another user's name (reference, section 4.10). A caller sees and changes only
//! associations of its own user, and grants permission only in its own name.

use serde_json::Value as Json;

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{C, Condition, D, Deed, Filter, G, L, Paging, Test},
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, input,
        render::{self, Selection},
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Write},
    },
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// An association of two users. It has no events.
pub static SEND_AS: Resource = Resource {
    name: "send_as",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("allowing_user_id", Type::Ref(&[Kind::User])).write(Write::RequiredOnce),
            Field::stored("allowed_user_id", Type::Ref(&[Kind::User])).write(Write::RequiredOnce),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G | C | D,
        paging: Paging::Bare,
        total: false,
        filters: &[
            Filter { param: "allowing_user_id", test: Test::Field("allowing_user_id") },
            Filter { param: "allowed_user_id", test: Test::Field("allowed_user_id") },
        ],
        check: own,
        permit,
        created_status: 201,
        deleted_status: 204,
        section: "4.10",
        ..Collection::new("send_as", &[Kind::SendAs])
    }],
    endpoints: &[
        Endpoint {
            method: "DELETE",
            path: "send_as",
            handler: Handler::Write(disallow),
            section: "4.10",
            exactness: Exactness::Documented,
        },
        Endpoint {
            method: "POST",
            path: "send_as/bulk",
            handler: Handler::Write(bulk),
            section: "4.10",
            exactness: Exactness::Documented,
        },
    ],
};

fn takes_part(record: &Record, user: Id) -> bool {
    record.id_of("allowing_user_id") == Some(user) || record.id_of("allowed_user_id") == Some(user)
}

#[allow(clippy::unnecessary_wraps)]
fn own(view: &View<'_>, _: &Request) -> Result<Vec<Condition>, Refusal> {
    let Some(user) = view.caller.map(|caller| caller.user) else { return Ok(Vec::new()) };
    Ok(vec![Box::new(move |_, record| takes_part(record, user))])
}

fn permit(_: &View<'_>, caller: &Caller, deed: Deed, record: Option<&Record>) -> bool {
    match (deed, record) {
        (Deed::Delete, Some(record)) => record.id_of("allowing_user_id") == Some(caller.user),
        (_, Some(record)) => takes_part(record, caller.user),
        (_, None) => true,
    }
}

fn find(view: &View<'_>, allowing: Id, allowed: Id) -> Option<Id> {
    view.all(Kind::SendAs)
        .find(|record| {
            record.id_of("allowing_user_id") == Some(allowing) && record.id_of("allowed_user_id") == Some(allowed)
        })
        .map(|record| record.id)
}

fn prepare(change: &mut Change<'_>, record: &mut Record, _: &Body) -> Result<(), Refusal> {
    let (allowing, allowed) = (record.id_of("allowing_user_id"), record.id_of("allowed_user_id"));
    if allowing != change.actor.user {
        return Err(Refusal::field("allowing_user_id", "Must be your own user."));
    }
    if allowing == allowed {
        return Err(Refusal::field("allowed_user_id", "Must be another user."));
    }
    match (allowing, allowed) {
        (Some(allowing), Some(allowed)) if find(&change.whole(), allowing, allowed).is_some() => {
            Err(Refusal::field("allowed_user_id", "This user is already allowed."))
        }
        _ => Ok(()),
    }
}

fn user(view: &View<'_>, name: &str, text: Option<&str>) -> Result<Id, Refusal> {
    let text = text.ok_or_else(|| Refusal::bad(format!("{name} must be given.")))?;
    view.parse_id(text).filter(|id| id.kind() == Kind::User).ok_or_else(|| Refusal::missing(text))
}

/// `DELETE /send_as/?allowing_user_id=…&allowed_user_id=…`
fn disallow(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let view = change.whole();
    let allowing = user(&view, "allowing_user_id", request.param("allowing_user_id"))?;
    let allowed = user(&view, "allowed_user_id", request.param("allowed_user_id"))?;
    let id = find(&view, allowing, allowed).filter(|_| change.actor.user == Some(allowing));
    let id = id.ok_or_else(|| Refusal::missing(request.param("allowed_user_id").unwrap_or("")))?;
    change.delete(id)?;
    Ok(Answer::empty(204))
}

/// `POST /send_as/bulk/` with `allowed_user_ids` and `disallowed_user_ids`; the answer has all associations that the
/// caller then allows.
fn bulk(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let own = change.actor.user.expect("a request has a user");
    let users = |name: &str| -> Result<Vec<Id>, Refusal> {
        let list = body.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
        list.iter()
            .map(|json| input::read_reference(&change.view(), &[Kind::User], json))
            .map(|read| read.map_err(|error| Refusal::field(name, error.as_str().unwrap_or_default())))
            .collect()
    };
    let (allowed, disallowed) = (users("allowed_user_ids")?, users("disallowed_user_ids")?);
    if allowed.contains(&own) {
        return Err(Refusal::field("allowed_user_ids", "Must be other users."));
    }
    for user in allowed {
        if find(&change.whole(), own, user).is_none() {
            let record = change.record(Kind::SendAs).with("allowing_user_id", own).with("allowed_user_id", user);
            change.insert(record);
        }
    }
    for user in disallowed {
        if let Some(id) = find(&change.whole(), own, user) {
            change.remove(id);
        }
    }
    let view = change.whole();
    let mut out = b"{\"data\":[".to_vec();
    for record in view.all(Kind::SendAs).filter(|record| record.id_of("allowing_user_id") == Some(own)) {
        if !out.ends_with(b"[") {
            out.push(b',');
        }
        render::write(&view, record, render::LIST, &Selection::Default, &mut out);
    }
    out.extend_from_slice(b"]}");
    Ok(Answer::json_bytes(200, out))
}
