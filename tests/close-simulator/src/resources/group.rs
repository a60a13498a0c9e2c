//! Groups: named sets of users. The list does not show the members, a read by id does (reference, section 4.7).

use serde_json::{Value as Json, json};

use super::membership;
use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Deed, Order, Paging},
        list, object,
    },
    model::{
        Id, Key, Kind, Record, Refusal, Stamps, Value,
        resource::{EVENT, Field, GET, ID, Laws, ORGANIZATION, Resource, Type},
    },
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// A group. `members` is stored as a list of users and shown as `[{"user_id": …}]`.
pub static GROUP: Resource = Resource {
    name: "group",
    event: Some(|_| "group"),
    stamps: Stamps::Offset,
    fields: &[&[
        ID,
        ORGANIZATION,
        Field::stored("name", Type::Text(255)).required(),
        Field::computed("members", |s| {
            let users = s.record.get("members").map(Value::items).unwrap_or_default();
            Value::list(users.iter().map(|user| Value::object([("user_id", user.clone())])))
        })
        .only(GET | EVENT),
    ]],
    custom_fields: false,
    laws: Laws { prepare, revise, ..Laws::PLAIN },
};

const COLLECTION: Collection = Collection {
    paging: Paging::Bare,
    total: false,
    order: Order::OldestFirst,
    permit: |_, caller, deed, _| deed == Deed::Read || caller.is_admin(),
    created_status: 201,
    deleted_status: 204,
    section: "4.7",
    ..Collection::new("group", &[Kind::Group])
};

pub static SOURCE: Source = Source {
    collections: &[COLLECTION],
    endpoints: &[
        endpoint("GET", "group", Handler::Read(list)),
        endpoint("POST", "group/{}/member", Handler::Write(add_member)),
        endpoint("DELETE", "group/{}/member/{}", Handler::Write(remove_member)),
    ],
};

const fn endpoint(method: &'static str, path: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method, path, handler, section: "4.7", exactness: Exactness::Documented }
}

/// The list never has members, even if `_fields` names them.
fn list(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let mut request = request.clone();
    if let Some(fields) = request.param("_fields") {
        let fields: Vec<&str> =
            match fields.split(',').map(str::trim).filter(|name| *name != "members").collect::<Vec<_>>() {
                fields if fields.contains(&"_all") || fields.is_empty() => vec!["id", "organization_id", "name"],
                fields => fields,
            };
        let fields = fields.join(",");
        request.params.push(("_fields".to_owned(), fields));
    }
    list::list(view, &COLLECTION, &request)
}

fn prepare(change: &mut Change<'_>, group: &mut Record, body: &Body) -> Result<(), Refusal> {
    read_members(change, group, body)
}

fn revise(change: &mut Change<'_>, _before: &Record, group: &mut Record, body: &Body) -> Result<(), Refusal> {
    read_members(change, group, body)
}

/// Reads `members: [{"user_id": …}]` of a body, if present: all of them or none.
fn read_members(change: &Change<'_>, group: &mut Record, body: &Body) -> Result<(), Refusal> {
    if group.text("name").is_none_or(|name| name.trim().is_empty()) {
        return Err(Refusal::field("name", "This field may not be blank."));
    }
    let Some(items) = body.get("members").and_then(Json::as_array) else { return Ok(()) };
    let mut users: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let user = Value::Id(member(&change.whole(), &item["user_id"])?);
        if !users.contains(&user) {
            users.push(user);
        }
    }
    group.set("members", Value::list(users));
    Ok(())
}

/// The user of a `user_id`, who must be a member of the organization.
fn member(view: &View<'_>, json: &Json) -> Result<Id, Refusal> {
    let user = json.as_str().and_then(|text| view.parse_id(text));
    user.filter(|user| membership::active_users(view).contains(user)).ok_or_else(|| {
        let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
        Refusal::bad(format!("Invalid organization members: {text}"))
    })
}

fn add_member(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let group = found(change, request)?;
    let body = request.json()?;
    let user = member(&change.whole(), body.get("user_id").unwrap_or(&Json::Null))?;
    let mut users = group.get("members").map(Value::items).unwrap_or_default().to_vec();
    if !users.contains(&Value::Id(user)) {
        users.push(Value::Id(user));
        change.edit(group.id, |group| group.put(Key::Name("members"), Value::list(users)));
    }
    Ok(Answer::json(201, &json!({ "user_id": user.text(change.world.seed) })))
}

fn remove_member(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let group = found(change, request)?;
    let text = &request.segments[1];
    let user = change.world.parse_id(text).map(Value::Id);
    let users = group.get("members").map(Value::items).unwrap_or_default();
    let user = user.filter(|user| users.contains(user)).ok_or_else(|| Refusal::missing(text))?;
    let left = Value::list(users.iter().filter(|other| **other != user).cloned());
    change.edit(group.id, |group| group.put(Key::Name("members"), left));
    Ok(Answer::empty(204))
}

fn found(change: &Change<'_>, request: &Request) -> Result<Record, Refusal> {
    let view = change.view();
    let group = object::find(&view, &COLLECTION, &request.segments[0])?;
    if let Some(caller) = &change.actor.caller {
        object::permit(&view, caller, &COLLECTION, Deed::Update, Some(group))?;
    }
    Ok(group.clone())
}
