//! Memberships: a user in the organization, with a role (reference, section 9.1). A changed membership has no event;
//! only `activated` and `deactivated` exist, and a reactivated membership keeps its ids (8.2).

use serde_json::{Value as Json, json};

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Deed, U},
        object,
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value, input,
        render::Scene,
        resource::{Field, GET, ID, LIST, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::{
        change::{Body, Change},
        people::{Caller, Credential},
        view::View,
    },
};

/// The members of a membership in `/me/` (reference, section 1.4).
pub const OF_ME: &[&str] =
    &["id", "organization_id", "user_id", "role_id", "permissions_granted", "auto_record_calls", "track_email_opens"];

/// A membership. Stored, not shown: `is_active` (the membership of a removed user is listed as inactive), and
/// `pinned_views`.
pub static MEMBERSHIP: Resource = Resource {
    name: "membership",
    // Its two events are emitted explicitly: creations and updates have none.
    event: None,
    stamps: Stamps::Offset,
    fields: &[&[
        ID,
        ORGANIZATION,
        Field::stored("user_id", Type::Ref(&[Kind::User])),
        Field::computed("user_email", |s| of_user(s, "email")).only(LIST | GET),
        Field::computed("user_first_name", |s| of_user(s, "first_name")).only(LIST | GET),
        Field::computed("user_last_name", |s| of_user(s, "last_name")).only(LIST | GET),
        Field::computed("user_full_name", |s| of_user(s, "full_name")).only(LIST | GET),
        Field::computed("user_phone", |s| of_user(s, "phone")).only(LIST | GET),
        Field::stored("role_id", Type::Ref(&[Kind::Role])).writable().not_null(),
        Field::computed("role", |s| s.view.field_of(s.record.id_of("role_id"), "name")).only(LIST | GET),
        Field::stored("permissions_granted", Type::List(&Type::Text(64))).unset(Unset::EmptyList),
        Field::stored("auto_record_calls", Type::Json).writable().unset(Unset::False),
        Field::stored("track_email_opens", Type::Bool).writable().unset(Unset::False),
        Field::stored("is_free", Type::Bool).unset(Unset::False),
        Field::stored("may_workflows_impersonate", Type::Bool).writable().unset(Unset::False),
        Field::stored("default_caller_id", Type::Text(64)).writable(),
        Field::stored("hangup_recording_url", Type::Text(1024)).writable(),
        Field::text("primary_personal_number"),
        Field::text("onboarding_status"),
    ]],
    custom_fields: false,
    laws: Laws { revise, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: U,
        permit: |_, caller, deed, _| deed == Deed::Read || caller.is_admin(),
        section: "9.1",
        ..Collection::new("membership", &[Kind::Membership])
    }],
    endpoints: &[
        endpoint("POST", "membership", Handler::Write(add), Exactness::Documented),
        endpoint("PUT", "membership", Handler::Write(update_many), Exactness::Documented),
        endpoint("DELETE", "membership/{}", Handler::Write(deactivate), Exactness::Inferred),
        endpoint("GET", "membership/{}/pinned_views", Handler::Read(pinned_views), Exactness::Documented),
        endpoint("PUT", "membership/{}/pinned_views", Handler::Write(pin_views), Exactness::Documented),
    ],
};

const fn endpoint(method: &'static str, path: &'static str, handler: Handler, exactness: Exactness) -> Endpoint {
    Endpoint { method, path, handler, section: "9.1", exactness }
}

fn of_user(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.view.field_of(scene.record.id_of("user_id"), name)
}

/// The users that are members now, oldest first.
pub fn active_users(view: &View<'_>) -> Vec<Id> {
    view.all(Kind::Membership)
        .filter(|record| record.is("is_active"))
        .filter_map(|record| record.id_of("user_id"))
        .collect()
}

fn admin() -> Id {
    Id::new(Kind::Role, 1)
}

fn is_last_admin(view: &View<'_>, membership: &Record) -> bool {
    let is_admin = |record: &Record| record.is("is_active") && record.id_of("role_id") == Some(admin());
    is_admin(membership) && !view.all(Kind::Membership).any(|other| other.id != membership.id && is_admin(other))
}

/// Checks first, and maps the newer words for `auto_record_calls` to the flag of the reference.
fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    if after.id_of("role_id") != Some(admin()) && is_last_admin(&change.whole(), before) {
        return Err(Refusal::field("role_id", "The organization needs at least one admin."));
    }
    if let Some(json) = body.map.get("auto_record_calls") {
        let records = match (json.as_bool(), json.as_str()) {
            (Some(flag), _) => flag,
            (None, Some("enabled")) => true,
            (None, Some("disabled" | "unset")) => false,
            _ if json.is_null() => false,
            _ => {
                return Err(Refusal::field(
                    "auto_record_calls",
                    "Not a valid choice. Expected one of: enabled, disabled, unset.",
                ));
            }
        };
        after.set("auto_record_calls", if records { Value::Bool(true) } else { Value::Null });
    }
    Ok(())
}

/// Adds a user by mail address: a new user, or a removed one, whose membership returns with its id.
fn add(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let forbidden = Refusal::Forbidden(change.world.switches.forbidden_text.clone());
    let caller = change.actor.caller.as_ref().ok_or_else(|| forbidden.clone())?;
    if !caller.is_admin() {
        return Err(forbidden);
    }
    if matches!(caller.credential, Credential::Key(_)) && !change.world.switches.membership_create_by_key {
        return Err(Refusal::Forbidden("Memberships can only be created with OAuth, not with an API key.".to_owned()));
    }
    let body = request.json()?;
    let email = body.text("email").map(str::trim).filter(|email| email.contains('@'));
    let email = email.ok_or_else(|| Refusal::field("email", "A valid email address is required."))?.to_lowercase();
    let role = body.map.get("role_id").ok_or_else(|| Refusal::field("role_id", "This field is required."))?;
    let role = input::read_reference(&change.view(), &[Kind::Role], role)
        .map_err(|error| Refusal::field("role_id", error.as_str().unwrap_or_default()))?;

    let user = change.whole().all(Kind::User).find(|user| user.text("email") == Some(&email)).map(|user| user.id);
    let former = user.and_then(|user| {
        let whole = change.whole();
        whole.all(Kind::Membership).find(|membership| membership.id_of("user_id") == Some(user)).cloned()
    });
    let id = match former {
        Some(membership) if membership.is("is_active") => {
            return Err(Refusal::field("email", "This user is a member of the organization already."));
        }
        Some(membership) => {
            let id = membership.id;
            change.update(membership.with("is_active", true).with("role_id", role));
            id
        }
        None => {
            let user = user.unwrap_or_else(|| new_user(change, &email, &body));
            let membership = change.record(Kind::Membership);
            change.insert(membership.with("user_id", user).with("role_id", role).with("is_active", true))
        }
    };
    tell(change, id, "activated");
    Ok(object::written(change, id, request, 200))
}

/// Creates a user. Without a name in the body, the name is derived from the address.
fn new_user(change: &mut Change<'_>, email: &str, body: &Body) -> Id {
    let first = body.text("first_name").unwrap_or_else(|| email.split('@').next().unwrap_or(email)).to_owned();
    let last = body.text("last_name").unwrap_or("").to_owned();
    let user = change.record(Kind::User).with("email", email).with("full_name", format!("{first} {last}").trim());
    change.insert(user.with("first_name", first).with("last_name", last))
}

/// Removes a user from the organization. Its records stay; its keys and tokens stop working.
fn deactivate(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let membership = found(&change.view(), request)?.clone();
    admins_only(change)?;
    if !membership.is("is_active") {
        return Err(Refusal::missing(&request.segments[0]));
    }
    if is_last_admin(&change.whole(), &membership) {
        return Err(Refusal::invalid("The organization needs at least one admin."));
    }
    let id = membership.id;
    change.update(membership.with("is_active", false));
    tell(change, id, "deactivated");
    Ok(Answer::json(200, &json!({})))
}

fn tell(change: &mut Change<'_>, id: Id, action: &'static str) {
    if let Some(membership) = change.get(id) {
        let data = change.rendered(&membership).bytes;
        change.emit_raw("membership", id, None, action, Some(data.into()));
    }
}

/// `{"_params": {"id__in": "memb_…,memb_…"}, "role_id": …}` changes several memberships at once.
fn update_many(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    admins_only(change)?;
    let mut body = request.json()?;
    let params = body.map.remove("_params");
    let texts = params.as_ref().and_then(|params| params.get("id__in")).map(|ids| match ids {
        Json::Array(items) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect::<Vec<_>>(),
        other => other.as_str().unwrap_or("").split(',').map(|text| text.trim().to_owned()).collect(),
    });
    let texts = texts.ok_or_else(|| Refusal::field("_params", "id__in is required."))?;
    let mut ids = Vec::with_capacity(texts.len());
    for text in &texts {
        ids.push(of_text(&change.view(), text)?.id);
    }
    let mut admins_left = change
        .whole()
        .all(Kind::Membership)
        .any(|other| other.is("is_active") && other.id_of("role_id") == Some(admin()) && !ids.contains(&other.id));
    admins_left |= body.text("role_id").is_none_or(|role| role == "admin");
    if !admins_left {
        return Err(Refusal::field("role_id", "The organization needs at least one admin."));
    }
    for id in &ids {
        change.revise(*id, &body)?;
    }
    Ok(Answer::json(200, &json!({ "count": ids.len() })))
}

fn pinned_views(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    Ok(pinned(view, found(view, request)?))
}

fn pin_views(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let membership = found(&change.view(), request)?.clone();
    if change.actor.user != membership.id_of("user_id") {
        admins_only(change)?;
    }
    let body = request.json()?;
    let views =
        body.get("saved_view_ids").ok_or_else(|| Refusal::field("saved_view_ids", "This field is required."))?;
    let views =
        input::read_value(&change.view(), Type::List(&Type::Ref(&[Kind::SmartView])), views, 0).map_err(|error| {
            Refusal::Invalid {
                errors: Vec::new(),
                fields: [("saved_view_ids".to_owned(), error)].into_iter().collect(),
            }
        })?;
    let id = membership.id;
    change.update(membership.with("pinned_views", views));
    let membership = change.get(id).ok_or_else(|| Refusal::missing(&request.segments[0]))?;
    Ok(pinned(&change.whole(), &membership))
}

fn pinned(view: &View<'_>, membership: &Record) -> Answer {
    let views = membership.get("pinned_views").map(Value::items).unwrap_or_default();
    let views: Vec<String> =
        views.iter().filter_map(Value::as_id).filter(|id| view.exists(*id)).map(|id| view.id_text(id)).collect();
    Answer::json(200, &json!({ "saved_view_ids": views }))
}

fn found<'v>(view: &'v View<'_>, request: &Request) -> Result<&'v Record, Refusal> {
    of_text(view, &request.segments[0])
}

fn of_text<'v>(view: &'v View<'_>, text: &str) -> Result<&'v Record, Refusal> {
    let membership = view.parse_id(text).filter(|id| id.kind() == Kind::Membership).and_then(|id| view.get(id));
    membership.ok_or_else(|| Refusal::missing(text))
}

fn admins_only(change: &Change<'_>) -> Result<(), Refusal> {
    match &change.actor.caller {
        Some(caller) if !caller.is_admin() => Err(Refusal::Forbidden(change.world.switches.forbidden_text.clone())),
        _ => Ok(()),
    }
}
