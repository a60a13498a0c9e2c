//! Users: people, shared by all organizations of which they are members (reference, sections 1.4 and 4.7).

use serde_json::{Map, Value as Json, json};

use super::{membership, nested, organization};
use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Condition, L, Order, OrderBy, Paging, SortKey},
        object,
    },
    model::{
        Kind, Record, Refusal, Stamps, Value,
        render::{self, Selection},
        resource::{DATES, Field, ID, Laws, Resource},
    },
    world::{people::Caller, view::View},
};

/// A user. `full_name` is stored, not shown: other objects show it as `…_name`.
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
        SortKey::Text(
            format!("{}\u{0}{}", record.text(first).unwrap_or(""), record.text(second).unwrap_or("")).to_lowercase(),
        )
    }
}

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L,
        paging: Paging::Offset { max_limit: 1000, max_skip: 250_000 },
        total: false,
        order: Order::OldestFirst,
        orders: &[
            OrderBy { name: "last_name,first_name", key: |_, record| named("last_name", "first_name")(record) },
            OrderBy { name: "first_name,last_name", key: |_, record| named("first_name", "last_name")(record) },
        ],
        check: members_only,
        section: "4.7",
        ..Collection::new("user", &[Kind::User])
    }],
    endpoints: &[
        Endpoint {
            method: "GET",
            path: "me",
            handler: Handler::Read(me),
            section: "1.4",
            exactness: Exactness::Documented,
        },
        Endpoint {
            method: "GET",
            path: "user/availability",
            handler: Handler::Read(availability),
            section: "4.7",
            exactness: Exactness::Inferred,
        },
        Endpoint {
            method: "GET",
            path: "user/{}",
            handler: Handler::Read(get),
            section: "4.7",
            exactness: Exactness::Documented,
        },
        Endpoint {
            method: "GET",
            path: "api_key",
            handler: Handler::Read(api_keys),
            section: "1.4",
            exactness: Exactness::Inferred,
        },
        Endpoint {
            method: "GET",
            path: "api_key/{}",
            handler: Handler::Read(api_key),
            section: "1.4",
            exactness: Exactness::Chosen,
        },
    ],
};

/// The list has present members only; former ones are in the organization's `inactive_memberships`.
#[allow(clippy::unnecessary_wraps)]
fn members_only(view: &View<'_>, _request: &Request) -> Result<Vec<Condition>, Refusal> {
    let members = membership::active_users(view);
    Ok(vec![Box::new(move |_, record| members.contains(&record.id))])
}

fn get(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let user = view.parse_id(text).filter(|id| id.kind() == Kind::User).and_then(|id| view.get(id));
    let user =
        user.filter(|user| view.switches().former_users_by_id || membership::active_users(view).contains(&user.id));
    Ok(object::shown(view, user.ok_or_else(|| Refusal::missing(text))?, request, 200))
}

fn me(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let user = view.get(caller.user).ok_or_else(|| Refusal::missing_id(caller.user, view.seed()))?;
    let mut me = match json_of(&nested::object(view, user, &Selection::Default)) {
        Json::Object(me) => me,
        _ => Map::new(),
    };
    let whose = |kind: Kind| view.all(kind).filter(|record| record.id_of("user_id") == Some(user.id));
    let shown = |kind: Kind| json_of(&nested::list(view, whose(kind), &Selection::Default));
    let memberships = whose(Kind::Membership).filter(|membership| membership.is("is_active"));
    me.insert("email_accounts".into(), shown(Kind::ConnectedAccount));
    me.insert("phone_numbers".into(), shown(Kind::PhoneNumber));
    me.insert("memberships".into(), json_of(&nested::list(view, memberships, &nested::only(membership::OF_ME))));
    let organizations = view.get(view.organization()).into_iter();
    me.insert("organizations".into(), json_of(&nested::list(view, organizations, &nested::only(organization::OF_ME))));
    if let Some(Selection::Named(names)) = request.param("_fields").map(Selection::parse) {
        me.retain(|name, _| names.contains(name));
    }
    Ok(Answer::json(200, &Json::Object(me)))
}

/// Converts a value without ids and moments to JSON: the output of [`nested`].
fn json_of(value: &Value) -> Json {
    let mut out = Vec::new();
    render::write_value(value, 0, Stamps::Offset, &mut out);
    serde_json::from_slice(&out).expect("what was rendered is JSON")
}

/// No user of this organization is ever available for calls.
#[allow(clippy::unnecessary_wraps)]
fn availability(view: &View<'_>, _caller: &Caller, _request: &Request) -> Result<Answer, Refusal> {
    let devices: Vec<Json> = ["mobile", "native", "web"]
        .iter()
        .map(|device| json!({ "type": device, "status": "offline", "active_calls": [] }))
        .collect();
    let users: Vec<Json> = membership::active_users(view)
        .into_iter()
        .map(|user| json!({ "user_id": view.id_text(user), "availability": devices }))
        .collect();
    Ok(Answer::json(200, &json!({ "data": users })))
}

/// The caller's own key only, without its secret, which is shown once at creation.
#[allow(clippy::unnecessary_wraps)]
fn api_keys(view: &View<'_>, caller: &Caller, _request: &Request) -> Result<Answer, Refusal> {
    let keys: Vec<Json> = keys_of(view, caller).map(|(_, key)| key).collect();
    Ok(Answer::json(200, &json!({ "data": keys, "has_more": false })))
}

fn api_key(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let key = keys_of(view, caller).find(|(secret, key)| secret == text || key["id"] == text.as_str());
    Ok(Answer::json(200, &key.ok_or_else(|| Refusal::missing(text))?.1))
}

fn keys_of<'v>(view: &'v View<'_>, caller: &'v Caller) -> impl Iterator<Item = (&'v str, Json)> {
    view.world.people.keys.values().filter(|key| key.user == caller.user).map(|key| {
        let shown = json!({
            "id": view.id_text(key.id), "name": key.name, "user_id": view.id_text(key.user),
            "organization_id": view.id_text(view.organization()),
        });
        (key.secret.as_str(), shown)
    })
}
