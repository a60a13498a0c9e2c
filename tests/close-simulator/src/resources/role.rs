//! Roles: sets of permissions, four of them built in (reference, section 9.2), and the leads that a role lets a user
//! see (9.3).

use crate::{
    http::{
        Collection, Source,
        collection::{Deed, Order, Paging},
    },
    model::{
        Id, Key, Kind, Record, Refusal, Stamps, Value,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::{
        World,
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

pub static ROLE: Resource = Resource {
    name: "role",
    event: None,
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::computed("editable", |s| (!is_built_in(s.record)).into()),
            Field::stored("permissions", Type::List(&Type::Text(64))).writable().unset(Unset::EmptyList),
            Field::stored("visibility_user_lcf_ids", Type::List(&Type::Ref(&[Kind::CustomField]))).writable(),
            Field::stored("visibility_user_lcf_behavior", Type::Choice(&["require_assignment", "allow_unassigned"]))
                .writable(),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, revise, deleting, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Bare,
        total: false,
        order: Order::OldestFirst,
        permit: |_, caller, deed, _| deed == Deed::Read || caller.is_admin(),
        created_status: 201,
        section: "9.2",
        ..Collection::new("role", &[Kind::Role])
    }],
    endpoints: &[],
};

/// Maximum lead fields by which a role may show leads.
const MAX_VISIBILITY_FIELDS: usize = 3;

/// Permissions are an open list: only their form is checked.
fn check(change: &Change<'_>, role: &Record) -> Result<(), Refusal> {
    if role.text("name").is_none_or(|name| name.trim().is_empty()) {
        return Err(Refusal::field("name", "This field may not be blank."));
    }
    for permission in role.get("permissions").map(Value::items).unwrap_or_default() {
        let text = permission.as_text().unwrap_or_default();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(Refusal::field("permissions", format!("'{text}' is not a valid permission.")));
        }
    }
    let fields = role.get("visibility_user_lcf_ids").map(Value::items).unwrap_or_default();
    if fields.len() > MAX_VISIBILITY_FIELDS {
        return Err(Refusal::field(
            "visibility_user_lcf_ids",
            format!("At most {MAX_VISIBILITY_FIELDS} fields are allowed."),
        ));
    }
    let view = change.whole();
    for field in fields.iter().filter_map(Value::as_id) {
        let of_users = view
            .get(field)
            .is_some_and(|field| field.text("object") == Some("lead") && field.text("type") == Some("user"));
        if !of_users {
            let message = format!("'{}' is not a lead custom field of type user.", view.id_text(field));
            return Err(Refusal::field("visibility_user_lcf_ids", message));
        }
    }
    Ok(())
}

fn prepare(change: &mut Change<'_>, role: &mut Record, _body: &Body) -> Result<(), Refusal> {
    check(change, role)
}

fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, _body: &Body) -> Result<(), Refusal> {
    if is_built_in(before) {
        return Err(Refusal::invalid("Built-in roles cannot be changed."));
    }
    check(change, after)
}

fn deleting(change: &mut Change<'_>, role: &Record) -> Result<(), Refusal> {
    if is_built_in(role) {
        return Err(Refusal::invalid("Built-in roles cannot be deleted."));
    }
    let used = change
        .whole()
        .all(Kind::Membership)
        .any(|membership| membership.is("is_active") && membership.id_of("role_id") == Some(role.id));
    if used { Err(Refusal::invalid("The role cannot be deleted while members have it.")) } else { Ok(()) }
}

fn is_built_in(role: &Record) -> bool {
    role.id.serial() <= 4
}

/// Removes a deleted lead field from the roles that name it, without events, like every change of a role.
pub fn forget_field(change: &mut Change<'_>, field: Id) {
    let roles: Vec<Id> = change.whole().all(Kind::Role).map(|role| role.id).collect();
    for role in roles {
        let Some(record) = change.get(role) else { continue };
        let fields = record.get("visibility_user_lcf_ids").map(Value::items).unwrap_or_default();
        if fields.iter().any(|id| id.as_id() == Some(field)) {
            let left = Value::list(fields.iter().filter(|id| id.as_id() != Some(field)).cloned());
            change.alter_silently(Record::clone(&record).with("visibility_user_lcf_ids", left));
        }
    }
}

/// The permissions of a role and of a membership together.
pub fn permissions(world: &World, role: Id, membership: &Record) -> Vec<String> {
    let of = |record: &Record, name| {
        record
            .get(name)
            .map(|list| list.items().iter().filter_map(Value::as_text).map(str::to_owned).collect::<Vec<_>>())
    };
    let mut all = world.store.get(role).and_then(|role| of(role, "permissions")).unwrap_or_default();
    all.extend(of(membership, "permissions_granted").unwrap_or_default());
    all
}

/// Returns true if a caller without `view_all_leads` sees a lead: a listed user field of the lead has its user, or is
/// unset and the role allows such leads.
pub fn sees_lead(view: &View<'_>, caller: &Caller, lead: &Record) -> bool {
    let Some(role) = view.get(caller.role) else { return false };
    let fields: Vec<Id> = role
        .get("visibility_user_lcf_ids")
        .map(|list| list.items().iter().filter_map(Value::as_id).collect())
        .unwrap_or_default();
    let holders = |field: Id| match lead.value(Key::Custom(field)) {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_id).collect(),
        Some(Value::Id(id)) => vec![*id],
        _ => Vec::new(),
    };
    let mut assigned = false;
    for field in fields {
        let holders = holders(field);
        if holders.contains(&caller.user) {
            return true;
        }
        assigned |= !holders.is_empty();
    }
    !assigned && role.text("visibility_user_lcf_behavior") == Some("allow_unassigned")
}
