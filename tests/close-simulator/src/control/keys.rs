//! API keys: their secrets, their users, and new keys. Close shows a secret once; the simulator shows it at any time.

use serde_json::{Value as Json, json};

use crate::{
    Simulator,
    http::{Answer, Request},
    model::{Id, Kind, Refusal, Value},
    world::{
        World,
        change::{Actor, Change},
        people::ApiKey,
        view::View,
    },
};

/// `{"keys": [{"name": "admin", "secret": "api_…", "api_key_id": "key_…", "user_id": "user_…", "user": "Mara Voss",
/// "role_id": "admin", "role": "Admin"}, …]}` in order of creation. `role` is null if the user was removed; the key
/// then answers 401. `oauth_clients` has the applications that may request tokens: `[{"client_id": "oa2client_…",
/// "client_secret": "…"}]`.
pub(super) fn get(simulator: &Simulator) -> Answer {
    let world = simulator.read();
    let mut keys: Vec<&ApiKey> = world.people.keys.values().collect();
    keys.sort_by_key(|key| key.id);
    let clients =
        world.people.clients.iter().map(|(id, (secret, _))| json!({ "client_id": id, "client_secret": secret }));
    let keys = keys.into_iter().map(|key| shown(&world, key));
    Answer::json(200, &json!({ "keys": keys.collect::<Vec<_>>(), "oauth_clients": clients.collect::<Vec<_>>() }))
}

fn shown(world: &World, key: &ApiKey) -> Json {
    let view = View::now(world);
    let role = world.caller_by_key(&key.secret).map(|caller| caller.role);
    let name = |id: Option<Id>, field| view.field_of(id, field).as_text().map(str::to_owned);
    json!({
        "name": key.name,
        "secret": key.secret,
        "api_key_id": view.id_text(key.id),
        "user_id": view.id_text(key.user),
        "user": name(Some(key.user), "full_name"),
        "role_id": role.map(|role| view.id_text(role)),
        "role": name(role, "name"),
    })
}

/// `{"name": "…"}` with `"user": "user_…"` for a key of that user, or with `"role"` (`admin`, `superuser`, `user`,
/// `restricteduser` or `role_…`) for a key of a new user with that role. `"secret"` sets the secret.
pub(super) fn add(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    if let Some(unknown) = body.map.keys().find(|key| !matches!(key.as_str(), "name" | "user" | "role" | "secret")) {
        return Err(Refusal::field(unknown, "unknown; must be name, user, role or secret"));
    }
    let name = body.text("name").ok_or_else(|| Refusal::field("name", "needed"))?;
    let mut world = simulator.world.write();
    world.catch_up();
    if world.people.keys.values().any(|key| key.name == name) {
        return Err(Refusal::field("name", format!("the key `{name}` already exists")));
    }
    let secret = body.text("secret").map(str::to_owned);
    if secret.as_ref().is_some_and(|secret| world.people.keys.contains_key(secret)) {
        return Err(Refusal::field("secret", "another key has this secret"));
    }
    let of_kind = |world: &World, field: &str, kind: Kind| match body.text(field) {
        None => Ok(None),
        Some(text) => match world.parse_id(text).filter(|id| id.kind() == kind && world.store.get(*id).is_some()) {
            Some(id) => Ok(Some(id)),
            None => Err(Refusal::field(field, format!("the {field} `{text}` does not exist"))),
        },
    };
    let user = match (of_kind(&world, "user", Kind::User)?, of_kind(&world, "role", Kind::Role)?) {
        (Some(user), None) => user,
        (None, Some(role)) => member(&mut world, name, role),
        _ => return Err(Refusal::bad("exactly one of `user` and `role` is required")),
    };
    let key = match secret {
        Some(secret) => world.add_key_with_secret(name, user, secret),
        None => world.add_key(name, user),
    };
    let answer = Answer::json(201, &shown(&world, &key));
    drop(world);
    simulator.wake.notify_waiters();
    Ok(answer)
}

/// Removes the key `?name=`: it answers 401 from now on.
pub(super) fn remove(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let name = request.param("name").ok_or_else(|| Refusal::bad("?name= is required: the name of the key"))?;
    let mut world = simulator.world.write();
    let before = world.people.keys.len();
    world.people.keys.retain(|_, key| key.name != name);
    if world.people.keys.len() == before {
        return Err(Refusal::Missing(format!("the key `{name}` does not exist")));
    }
    drop(world);
    Ok(get(simulator))
}

/// Adds a user with a role to the organization.
fn member(world: &mut World, name: &str, role: Id) -> Id {
    let mut change = Change::begin(world, Actor::system());
    let user = change.record(Kind::User);
    let user = user
        .with(
            "email",
            format!("{}@composed.example", name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        )
        .with("first_name", name)
        .with("last_name", "Key")
        .with("full_name", format!("{name} Key"));
    let user = change.insert(user);
    let membership = change.record(Kind::Membership);
    let membership = membership
        .with("user_id", user)
        .with("role_id", role)
        .with("is_active", true)
        .with("track_email_opens", Value::Bool(true));
    change.insert(membership);
    user
}
