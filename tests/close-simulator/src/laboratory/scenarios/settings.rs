//! Changes of settings and people: fields, choices, statuses, names. Most of them leave no trace on the records.

use serde_json::{Value as Json, json};

use super::{Scenario, Wish};
use crate::{
    laboratory::api::{ask, body, founder_actor},
    model::{Id, Kind, Record, Refusal, Value},
    seed::foundation::founder,
    world::{
        World,
        change::{Actor, Change},
    },
};

const FIELD: super::Parameter = ("id", "-", "the field, by its cf_ id");

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "field_rename",
        meaning: "A custom field is renamed; records do not change",
        parameters: &[FIELD, ("name", "Renamed", "the new name")],
        run: field_rename,
    },
    Scenario {
        name: "field_type_change",
        meaning: "A custom field gets another type; values are converted by the clock, without events (reference, 5.3)",
        parameters: &[FIELD, ("type", "text", "the new type")],
        run: field_type_change,
    },
    Scenario {
        name: "choice_rename",
        meaning: "A choice of a custom field is renamed, and the values of all records with it",
        parameters: &[FIELD, ("from", "-", "the choice"), ("to", "Renamed choice", "its new text")],
        run: choice_rename,
    },
    Scenario {
        name: "field_delete",
        meaning: "A custom field is deleted: its values vanish from all records immediately, without events",
        parameters: &[FIELD],
        run: field_delete,
    },
    Scenario {
        name: "delete_user",
        meaning: "A user is removed from the organization: one membership event; records keep the user and the name",
        parameters: &[("user", "-", "the user")],
        run: delete_user,
    },
    Scenario {
        name: "status_rename",
        meaning: "A lead status is renamed: all its leads show the new label, with neither an event nor a new date",
        parameters: &[("id", "-", "the status"), ("label", "Renamed status", "its new label")],
        run: status_rename,
    },
    Scenario {
        name: "user_rename",
        meaning: "A user is renamed: records show the new name, with neither an event nor a new date",
        parameters: &[
            ("user", "-", "the user"),
            ("first_name", "Renamed", "first name"),
            ("last_name", "Person", "last name"),
        ],
        run: user_rename,
    },
];

/// Changes a field as the founder, through the API.
fn change_field(world: &mut World, id: Id, members: Json) -> Result<(), Refusal> {
    let actor = founder_actor(world, "PUT", &format!("custom_field/lead/{}", id.text(world.seed)));
    Change::begin(world, actor).revise(id, &body(members))
}

fn of_leads(field: &Record) -> bool {
    field.text("object") == Some("lead")
}

fn field_rename(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let field = wish.object(world, "id", Kind::CustomField, of_leads)?;
    let name = wish.text("name").unwrap_or("Renamed").to_owned();
    change_field(world, field.id, json!({ "name": name }))?;
    Ok(json!({ "id": field.id.text(world.seed), "from": field.text("name"), "to": name }))
}

fn field_type_change(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let ty = wish.text("type").unwrap_or("text").to_owned();
    let field =
        wish.object(world, "id", Kind::CustomField, |field| of_leads(field) && field.text("type") == Some("number"))?;
    change_field(world, field.id, json!({ "type": ty }))?;
    Ok(json!({ "id": field.id.text(world.seed), "from": field.text("type"), "to": ty }))
}

fn choice_rename(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let field =
        wish.object(world, "id", Kind::CustomField, |field| of_leads(field) && field.text("type") == Some("choices"))?;
    let choices: Vec<&str> =
        field.get("choices").map(Value::items).unwrap_or_default().iter().filter_map(Value::as_text).collect();
    let from = wish.text("from").or(choices.first().copied()).unwrap_or_default().to_owned();
    if !choices.contains(&from.as_str()) {
        return Err(Refusal::field("from", format!("the field has no choice `{from}`")));
    }
    let to = wish.text("to").unwrap_or("Renamed choice").to_owned();
    let renamed: Vec<&str> = choices.iter().map(|choice| if *choice == from { to.as_str() } else { choice }).collect();
    change_field(world, field.id, json!({ "choices": renamed }))?;
    Ok(json!({ "id": field.id.text(world.seed), "from": from, "to": to }))
}

fn field_delete(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    // Never the field that controls the visibility for the restricted role, unless the body names it.
    let field = wish.object(world, "id", Kind::CustomField, |field| of_leads(field) && field.id.serial() > 1)?;
    let actor = founder_actor(world, "DELETE", &format!("custom_field/lead/{}", field.id.text(world.seed)));
    Change::begin(world, actor).delete(field.id)?;
    Ok(json!({ "id": field.id.text(world.seed), "name": field.text("name") }))
}

fn delete_user(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let named = wish.text("user").is_some();
    let user =
        wish.object(world, "user", Kind::User, |user| user.id != founder() && membership(world, user.id).is_some())?.id;
    let membership = membership(world, user).ok_or_else(|| Refusal::field("user", "must be a member"))?;
    if user == founder() && !named {
        return Err(Refusal::bad("there is no other member"));
    }
    let path = format!("membership/{}", membership.text(world.seed));
    let actor = founder_actor(world, "DELETE", &path);
    let mut change = Change::begin(world, actor);
    if ask(&mut change, "DELETE", &path, &json!({})).is_err() {
        change.edit(membership, |membership| membership.set("is_active", false));
        change.emit(membership, "deactivated");
    }
    Ok(json!({ "user_id": user.text(world.seed), "membership_id": membership.text(world.seed) }))
}

/// The membership of a present member.
fn membership(world: &World, user: Id) -> Option<Id> {
    use crate::model::Moment;
    let mut all = world.store.of_kind(Kind::Membership, Moment::FIRST, Moment::LAST);
    all.find(|id| {
        world
            .store
            .get(*id)
            .is_some_and(|membership| membership.is("is_active") && membership.id_of("user_id") == Some(user))
    })
}

fn status_rename(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let status = wish.object(world, "id", Kind::LeadStatus, |_| true)?;
    let label = wish.text("label").unwrap_or("Renamed status").to_owned();
    let actor = founder_actor(world, "PUT", &format!("status/lead/{}", status.id.text(world.seed)));
    Change::begin(world, actor).revise(status.id, &body(json!({ "label": label })))?;
    Ok(json!({ "id": status.id.text(world.seed), "from": status.text("label"), "to": label }))
}

fn user_rename(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let user = wish.object(world, "user", Kind::User, |_| true)?;
    let first = wish.text("first_name").unwrap_or("Renamed").to_owned();
    let last = wish.text("last_name").unwrap_or("Person").to_owned();
    let mut change = Change::begin(world, Actor::system());
    let renamed = Record { updated: change.now(), ..Record::clone(&user) }
        .with("full_name", format!("{first} {last}"))
        .with("first_name", first)
        .with("last_name", last);
    change.alter_silently(renamed);
    Ok(json!({ "user_id": user.id.text(world.seed), "from": user.text("full_name") }))
}
