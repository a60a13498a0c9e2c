//! Common parts of all activities: base fields, filters, rights and laws (reference, section 4.5).
//!
//! Stored beside the fields of each type: `contact_id`, `user_id` (the owner), `users` (if there are several) and
//! `activity_at` (if it differs from `date_created`).

use crate::{
    http::{
        Collection, Request,
        collection::{Condition, Deed, Filter, OrderBy, SortKey, Test},
    },
    model::{
        Id, Kind, Moment, Record, Refusal,
        record::Value,
        resource::{
            self, DATE_CREATED, DATE_CREATED_SETTABLE, DATE_UPDATED, Field, ID, LEAD_ID, Laws, ORGANIZATION, Type,
            Unset, Write,
        },
    },
    resources::{comment, lead},
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// Filters of every activity list. Dates compare to the second (reference, section 2.4).
pub const FILTERS: &[Filter] = &[
    Filter { param: "_type", test: Test::Field("_type") },
    Filter { param: "id", test: Test::Field("id") },
    Filter { param: "lead_id", test: Test::Lead },
    Filter { param: "contact_id", test: Test::Field("contact_id") },
    Filter { param: "user_id", test: Test::Field("user_id") },
    Filter { param: "organization_id", test: Test::Field("organization_id") },
    Filter { param: "date_created", test: Test::Created(1_000_000) },
    Filter { param: "activity_at", test: Test::Moment(activity_at, 1_000_000) },
];

/// The filters of every activity list and one more.
pub const fn filters_and(one: Filter) -> [Filter; FILTERS.len() + 1] {
    let mut filters = [one; FILTERS.len() + 1];
    let mut at = 0;
    while at < FILTERS.len() {
        filters[at] = FILTERS[at];
        at += 1;
    }
    filters
}

/// Orders of every activity list; none is ascending.
pub const ORDERS: &[OrderBy] = &[OrderBy {
    name: "-activity_at",
    key: |_, record| activity_at(record).map_or(SortKey::None, |at| SortKey::Number(at.0)),
}];

/// When the activity happened: its own field, or else its creation.
pub fn activity_at(record: &Record) -> Option<Moment> {
    Some(record.moment("activity_at").unwrap_or(record.created))
}

pub const ACTIVITY_AT: Field =
    Field { ty: Type::Moment, ..Field::computed("activity_at", |s| activity_at(s.record).into()) };
pub const ACTIVITY_DATES: &[Field] = &[ACTIVITY_AT, DATE_CREATED, DATE_UPDATED];
/// The dates of an activity that may be backdated at creation (reference, section 8.1).
pub const SETTABLE_DATES: &[Field] = &[ACTIVITY_AT.writable(), DATE_CREATED_SETTABLE, DATE_UPDATED];

/// `_type`, computed by `literal`.
pub const fn type_field(literal: resource::Compute) -> Field {
    Field::computed("_type", literal)
}

/// `user_id`: the owner; the caller if a creation has none.
pub const USER_ID: Field = Field::stored("user_id", Type::Ref(&[Kind::User])).write(Write::Once);
/// `contact_id`: a contact of the lead.
pub const CONTACT_ID: Field = Field::stored("contact_id", Type::Ref(&[Kind::Contact])).writable();
/// `users`: all participants.
pub const USERS: Field = Field::computed("users", |s| match s.record.get("users") {
    Some(users) => users.clone(),
    None => Value::list(s.record.id_of("user_id").map(Value::Id)),
});

/// Common fields beside `_type`, dates and authors, for activities that callers create.
pub const BASE: &[Field] = &[
    ID,
    ORGANIZATION,
    Field { nullable: false, ..LEAD_ID.write(Write::RequiredOnce) },
    CONTACT_ID,
    USER_ID,
    Field::computed("user_name", |s| s.view.user_name(s.record.id_of("user_id"))),
    USERS,
];

/// The same, read-only, for activities that callers cannot create.
pub const BASE_READ_ONLY: &[Field] = &[
    ID,
    ORGANIZATION,
    LEAD_ID.write(Write::No),
    CONTACT_ID.write(Write::No),
    USER_ID.write(Write::No),
    Field::computed("user_name", |s| s.view.user_name(s.record.id_of("user_id"))),
    USERS,
];

/// A file of a note, a mail or a message.
const FILE: &[Field] = &[
    Field::text("url").required(),
    Field::text("filename").writable(),
    Field::text("content_type").writable(),
    Field::stored("size", Type::Int(0, i64::MAX)).writable(),
    Field::text("thumbnail_url").writable(),
    Field::text("media_id").writable(),
];
pub const ATTACHMENTS: Field =
    Field::stored("attachments", Type::List(&Type::Object(FILE))).writable().unset(Unset::EmptyList);

/// The laws of an activity without its own laws.
pub const LAWS: Laws = Laws { prepare, created, revise, updated, deleted, ..Laws::PLAIN };

/// Before an activity is stored: sets its owner and checks that it has a lead and that its contact belongs to that
/// lead.
pub fn prepare(change: &mut Change<'_>, record: &mut Record, _body: &Body) -> Result<(), Refusal> {
    check_contact(change, record)?;
    complete(record, "attachments", FILE);
    if record.id_of("user_id").is_none() {
        record.set("user_id", change.actor.user);
    }
    Ok(())
}

pub fn created(change: &mut Change<'_>, id: Id, _body: &Body) -> Result<(), Refusal> {
    touch_lead(change, id);
    Ok(())
}

pub fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, _body: &Body) -> Result<(), Refusal> {
    if before.get("contact_id") != after.get("contact_id") {
        check_contact(change, after)?;
    }
    complete(after, "attachments", FILE);
    Ok(())
}

/// After an update, even if it changed nothing.
pub fn updated(change: &mut Change<'_>, before: &Record, id: Id, _body: &Body) -> Result<(), Refusal> {
    if change.get(id).is_some_and(|after| *after != *before) {
        touch_lead(change, id);
    }
    Ok(())
}

pub fn deleted(change: &mut Change<'_>, record: &Record) -> Result<(), Refusal> {
    comment::forget(change, record);
    lead::touched_by_child(change, record.lead);
    Ok(())
}

/// Gives every object in a list all members, null if the caller left them out.
pub fn complete(record: &mut Record, name: &'static str, members: &'static [Field]) {
    let Some(Value::List(items)) = record.get(name) else { return };
    let items: Vec<Value> = items
        .iter()
        .map(|item| {
            Value::object(
                members.iter().map(|field| (field.name, item.member(field.name).cloned().unwrap_or(Value::Null))),
            )
        })
        .collect();
    record.set(name, Value::list(items));
}

pub fn touch_lead(change: &mut Change<'_>, id: Id) {
    let lead = change.get(id).and_then(|record| record.lead);
    lead::touched_by_child(change, lead);
}

/// Refuses a contact of another lead.
pub fn check_contact(change: &Change<'_>, record: &Record) -> Result<(), Refusal> {
    match record.id_of("contact_id").and_then(|contact| change.get(contact)) {
        Some(contact) if contact.lead != record.lead => {
            Err(Refusal::field("contact_id", "The contact does not belong to the lead."))
        }
        _ => Ok(()),
    }
}

/// Permissions: users change their own activities, and those of others with `manage_others_activities`; deleting their
/// own needs a permission as well (reference, section 9.2).
pub fn permit(_view: &View<'_>, caller: &Caller, deed: Deed, record: Option<&Record>) -> bool {
    let own =
        record.is_none_or(|record| record.id_of("user_id").or(record.author).is_none_or(|user| user == caller.user));
    match deed {
        Deed::Read | Deed::Create => true,
        Deed::Update => own || caller.may("manage_others_activities"),
        Deed::Delete => caller.may(if own { "delete_own_activities" } else { "manage_others_activities" }),
    }
}

/// Checks the parameters of a list of one type against each other.
pub fn check(_view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    if request.param("_order_by") == Some("-activity_at") && !one_lead(request) {
        return Err(Refusal::bad("_order_by=-activity_at can only be used together with a single lead_id."));
    }
    Ok(Vec::new())
}

pub const fn collection(path: &'static str, kinds: &'static [Kind], methods: u8) -> Collection {
    Collection {
        methods,
        filters: FILTERS,
        orders: ORDERS,
        check,
        total: false,
        permit,
        section: "4.6",
        ..Collection::new(path, kinds)
    }
}

/// Returns true if the request names one lead.
pub fn one_lead(request: &Request) -> bool {
    request.param("lead_id").is_some_and(|lead| !lead.is_empty() && !lead.contains(','))
}
