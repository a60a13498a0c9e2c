//! Roles: sets of permissions, four of them built in (reference, section 9.2), and which leads a role lets a user see (9.3).

use crate::http::collection::Paging;
use crate::http::{Collection, Source};
use crate::model::resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset};
use crate::model::{Id, Key, Kind, Record, Stamps, Value};
use crate::world::World;
use crate::world::people::Caller;
use crate::world::view::View;

/// A role.
pub static ROLE: Resource = Resource {
    name: "role",
    event: None,
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::computed("editable", |s| (s.record.id.serial() > 4).into()),
            Field::stored("permissions", Type::List(&Type::Text(64))).writable().unset(Unset::EmptyList),
            Field::stored("visibility_user_lcf_ids", Type::List(&Type::Ref(&[Kind::CustomField]))).writable(),
            Field::stored("visibility_user_lcf_behavior", Type::Choice(&["require_assignment", "allow_unassigned"])).writable(),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection {
        paging: Paging::Bare,
        total: false,
        created_status: 201,
        section: "9.2",
        ..Collection::new("role", &[Kind::Role])
    }],
    endpoints: &[],
};

/// The permissions of a role and of a membership together.
pub fn permissions(world: &World, role: Id, membership: &Record) -> Vec<String> {
    let of = |record: &Record, name| {
        record.get(name).map(|list| list.items().iter().filter_map(Value::as_text).map(str::to_owned).collect::<Vec<_>>())
    };
    let mut all = world.store.get(role).and_then(|role| of(role, "permissions")).unwrap_or_default();
    all.extend(of(membership, "permissions_granted").unwrap_or_default());
    all
}

/// Whether a caller without `view_all_leads` sees a lead: a listed user field of the lead holds its user, or holds nobody and the role
/// lets such leads through.
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
