//! Scheduling links of users, and shared links that lead to a user's link (reference, section 4.0).

use serde_json::json;

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Deed, Paging},
        object,
    },
    model::{
        Id, Key, Kind, Record, Refusal, Stamps, Value, input,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Write},
    },
    resources::sequence::{CREATED_BY_ID, UPDATED_BY_ID},
    world::{
        change::{Body, Change},
        people::Credential,
    },
};

/// A user's link. `source_id` identifies it for the application that created it. It has no events.
pub static SCHEDULING_LINK: Resource = Resource {
    name: "scheduling_link",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("user_id", Type::Ref(&[Kind::User])),
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("url", Type::Text(4096)).required(),
            Field::stored("description", Type::Text(10_000)).writable(),
            Field::stored("duration_in_minutes", Type::Int(1, 1_440)).writable(),
            Field::stored("source_id", Type::Text(255)).write(Write::Once),
            Field::text("source_type"),
            CREATED_BY_ID,
            UPDATED_BY_ID,
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws {
        prepare: |change, link, _| {
            link.set("user_id", change.actor.user);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

/// A shared link. `associations` is stored: one object for each user that it leads to. It has no events.
pub static SHARED_SCHEDULING_LINK: Resource = Resource {
    name: "shared_scheduling_link",
    event: None,
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::stored("description", Type::Text(10_000)).writable(),
            Field::stored("associations", Type::Json).unset(crate::model::resource::Unset::EmptyList),
            CREATED_BY_ID,
            UPDATED_BY_ID,
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

const fn endpoint(
    method: &'static str,
    path: &'static str,
    write: fn(&mut Change<'_>, &Request) -> Result<Answer, Refusal>,
) -> Endpoint {
    Endpoint { method, path, handler: Handler::Write(write), section: "4.0", exactness: Exactness::Inferred }
}

pub static SOURCE: Source = Source {
    collections: &[
        Collection {
            paging: Paging::Bare,
            total: false,
            permit: |_, caller, deed, link| {
                matches!(deed, Deed::Read | Deed::Create)
                    || link.is_some_and(|link| link.id_of("user_id") == Some(caller.user))
                    || caller.is_admin()
            },
            created_status: 201,
            deleted_status: 204,
            ..Collection::new("scheduling_link", &[Kind::SchedulingLink])
        },
        Collection {
            paging: Paging::Bare,
            total: false,
            created_status: 201,
            deleted_status: 204,
            ..Collection::new("shared_scheduling_link", &[Kind::SharedSchedulingLink])
        },
    ],
    endpoints: &[
        endpoint("POST", "scheduling_link/integration", upsert),
        endpoint("DELETE", "scheduling_link/integration/{}", forget),
        endpoint("POST", "shared_scheduling_link_association", |change, request| associate(change, request, true)),
        endpoint("POST", "shared_scheduling_link_association/unmap", |change, request| {
            associate(change, request, false)
        }),
    ],
};

/// Links of applications are for OAuth only; the token gives the application's name.
fn application(change: &Change<'_>) -> Result<String, Refusal> {
    match change.actor.caller.as_ref().map(|caller| &caller.credential) {
        Some(Credential::OAuth { client, .. }) => Ok(client.text(change.world.seed)),
        _ => Err(Refusal::Forbidden(change.world.switches.forbidden_text.clone())),
    }
}

fn of_source(change: &Change<'_>, application: &str, source: &str) -> Option<Id> {
    let (user, whole) = (change.actor.user, change.whole());
    let is = |link: &&Record| {
        link.text("source_type") == Some(application)
            && link.text("source_id") == Some(source)
            && link.id_of("user_id") == user
    };
    whole.all(Kind::SchedulingLink).find(is).map(|link| link.id)
}

/// `POST /scheduling_link/integration/`: creates or updates the link of a `source_id`.
fn upsert(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let application = application(change)?;
    let body = request.json()?;
    let Some(source) = body.text("source_id") else {
        return Err(Refusal::field("source_id", "This field is required."));
    };
    let id = match of_source(change, &application, source) {
        Some(id) => {
            change.revise(id, &body)?;
            id
        }
        None => {
            change.create_with(Kind::SchedulingLink, &body, |link| link.set("source_type", application.as_str()))?
        }
    };
    Ok(object::written(change, id, request, 200))
}

fn forget(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let application = application(change)?;
    let source = &request.segments[0];
    let id = of_source(change, &application, source).ok_or_else(|| Refusal::missing(source))?;
    change.delete(id)?;
    Ok(Answer::empty(204))
}

/// Maps a shared link to a user's link or to a URL, or removes the mapping.
fn associate(change: &mut Change<'_>, request: &Request, map: bool) -> Result<Answer, Refusal> {
    let Body { map: body, .. } = request.json()?;
    let reference = |name: &str, kind: Kind| match body.get(name).filter(|json| !json.is_null()) {
        Some(json) => input::read_reference(&change.view(), &[kind], json)
            .map(Some)
            .map_err(|error| Refusal::field(name, error.as_str().unwrap_or_default())),
        None => Ok(None),
    };
    let shared = reference("shared_scheduling_link_id", Kind::SharedSchedulingLink)?
        .ok_or_else(|| Refusal::field("shared_scheduling_link_id", "This field is required."))?;
    let user = reference("user_id", Kind::User)?;
    let link = reference("user_scheduling_link_id", Kind::SchedulingLink)?;
    let url = body.get("url").and_then(|url| url.as_str()).map(str::to_owned);
    if map && link.is_none() == url.is_none() {
        return Err(Refusal::invalid("Exactly one of user_scheduling_link_id and url must be given."));
    }
    let user = user.or(change.actor.user);
    let of_user = |entry: &Value| entry.member("user_id").and_then(Value::as_id) == user;
    change.edit(shared, |shared| {
        let mut entries: Vec<Value> = shared.get("associations").map(Value::items).unwrap_or_default().to_vec();
        entries.retain(|entry| !of_user(entry));
        if map {
            let mut members = vec![(Key::Name("user_id"), Value::from(user))];
            members.extend(link.map(|link| (Key::Name("user_scheduling_link_id"), link.into())));
            members.extend(url.clone().map(|url| (Key::Name("url"), url.into())));
            entries.push(Value::Object(members.into()));
        }
        shared.set("associations", if entries.is_empty() { Value::Null } else { Value::list(entries) });
    });
    let seed = change.world.seed;
    let mut answer = json!({
        "organization_id": change.world.organization().text(seed),
        "shared_scheduling_link_id": shared.text(seed),
    });
    for (name, value) in [
        ("user_id", user.map(|id| id.text(seed))),
        ("user_scheduling_link_id", link.map(|id| id.text(seed))),
        ("url", url),
    ] {
        if let Some(value) = value {
            answer[name] = value.into();
        }
    }
    Ok(Answer::json(if map { 201 } else { 200 }, &answer))
}
