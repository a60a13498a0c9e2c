//! Statuses of leads and of opportunities (reference, section 4.8). Records store only the id: a new label shows on
//! them immediately, with neither an event nor a new `date_updated` (section 12, item 20).

use super::nested;
use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Deed, Order, OrderBy, Paging, SortKey},
        list,
    },
    model::{
        Id, Kind, Record, Refusal, Stamps,
        resource::{Field, ID, Laws, ORGANIZATION, Resource, Type, Write},
    },
    world::{
        change::{Body, Change},
        people::Caller,
        switches::UsedStatus,
        view::View,
    },
};

/// The organization's field that stores the order of lead statuses.
pub const LEAD_ORDER: &str = "lead_status_order";
/// The field of the organization, and of each pipeline, that stores the order of opportunity statuses.
pub const OPPORTUNITY_ORDER: &str = "opportunity_status_order";

pub static LEAD_STATUS: Resource = Resource {
    name: "lead_status",
    event: Some(|_| "status.lead"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION, LABEL]],
    custom_fields: false,
    laws: Laws { prepare, revise, deleting, ..Laws::PLAIN },
};

pub static OPPORTUNITY_STATUS: Resource = Resource {
    name: "opportunity_status",
    event: Some(|_| "status.opportunity"),
    stamps: Stamps::Offset,
    fields: &[&[
        ID,
        ORGANIZATION,
        LABEL,
        Field::stored("type", Type::Choice(&["active", "won", "lost"])).writable().not_null(),
        Field::stored("pipeline_id", Type::Ref(&[Kind::Pipeline])).write(Write::Once),
    ]],
    custom_fields: false,
    laws: Laws { prepare, revise, deleting, ..Laws::PLAIN },
};

const LABEL: Field = Field::stored("label", Type::Text(255)).required();

const LEAD: Collection = Collection { orders: SHOWN, ..collection("status/lead", &[Kind::LeadStatus]) };
const OPPORTUNITY: Collection =
    Collection { orders: SHOWN, ..collection("status/opportunity", &[Kind::OpportunityStatus]) };

/// The display order, which lists use.
const SHOWN: &[OrderBy] = &[OrderBy {
    name: "_shown",
    key: |view, record| {
        let shown = if record.kind() == Kind::LeadStatus { of_leads(view) } else { of_opportunities(view) };
        SortKey::Number(shown.iter().position(|status| status.id == record.id).map_or(i64::MAX, |at| at as i64))
    },
}];

const fn collection(path: &'static str, kinds: &'static [Kind]) -> Collection {
    Collection {
        paging: Paging::Bare,
        total: false,
        order: Order::OldestFirst,
        permit: |_, caller, deed, _| deed == Deed::Read || may_customize(caller),
        section: "4.8",
        ..Collection::new(path, kinds)
    }
}

pub static SOURCE: Source = Source {
    collections: &[LEAD, OPPORTUNITY],
    endpoints: &[
        endpoint("status/lead", Handler::Read(|view, _, request| in_order(view, &LEAD, request))),
        endpoint("status/opportunity", Handler::Read(|view, _, request| in_order(view, &OPPORTUNITY, request))),
    ],
};

const fn endpoint(path: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method: "GET", path, handler, section: "4.8", exactness: Exactness::Documented }
}

/// A collection of definitions: listed all at once in the order of their creation, readable by all, written by users
/// who may customize, answered with 201 and 204.
pub const fn definitions(path: &'static str, kinds: &'static [Kind], section: &'static str) -> Collection {
    Collection {
        paging: Paging::Bare,
        total: false,
        order: Order::OldestFirst,
        permit: |_, caller, deed, _| deed == Deed::Read || may_customize(caller),
        created_status: 201,
        deleted_status: 204,
        section,
        ..Collection::new(path, kinds)
    }
}

/// Returns true if a caller may change the settings of the organization (reference, section 5.3).
pub fn may_customize(caller: &Caller) -> bool {
    caller.may("manage_customizations") || caller.is_admin()
}

/// The statuses of leads in display order.
pub fn of_leads<'v>(view: &'v View<'_>) -> Vec<&'v Record> {
    let mut statuses: Vec<&Record> = view.all(Kind::LeadStatus).collect();
    nested::sort(view.get(view.organization()), LEAD_ORDER, &mut statuses);
    statuses
}

/// The statuses of opportunities, pipeline by pipeline, unless the organization stores another order.
pub fn of_opportunities<'v>(view: &'v View<'_>) -> Vec<&'v Record> {
    let mut statuses: Vec<&Record> =
        view.all(Kind::Pipeline).flat_map(|pipeline| of_pipeline(view, pipeline)).collect();
    if let Some(order) = view.get(view.organization()).and_then(|organization| organization.get(OPPORTUNITY_ORDER)) {
        let place =
            |status: &Record| order.items().iter().position(|id| id.as_id() == Some(status.id)).unwrap_or(usize::MAX);
        statuses.sort_by_key(|status| place(status));
    }
    statuses
}

pub fn of_pipeline<'v>(view: &'v View<'_>, pipeline: &Record) -> Vec<&'v Record> {
    let mut statuses: Vec<&Record> =
        view.all(Kind::OpportunityStatus).filter(|status| status.id_of("pipeline_id") == Some(pipeline.id)).collect();
    nested::sort(Some(pipeline), OPPORTUNITY_ORDER, &mut statuses);
    statuses
}

fn in_order(view: &View<'_>, collection: &Collection, request: &Request) -> Result<Answer, Refusal> {
    let mut request = request.clone();
    request.params.push(("_order_by".to_owned(), "_shown".to_owned()));
    list::list(view, collection, &request)
}

fn prepare(change: &mut Change<'_>, status: &mut Record, _body: &Body) -> Result<(), Refusal> {
    labelled(status)?;
    if status.kind() == Kind::OpportunityStatus {
        if status.get("type").is_none() {
            status.set("type", "active");
        }
        if status.get("pipeline_id").is_none() {
            let first = change.whole().all(Kind::Pipeline).next().map(|pipeline| pipeline.id);
            status.set("pipeline_id", first);
        }
    }
    Ok(())
}

fn revise(_change: &mut Change<'_>, _before: &Record, after: &mut Record, _body: &Body) -> Result<(), Refusal> {
    labelled(after)
}

fn labelled(status: &Record) -> Result<(), Refusal> {
    match status.text("label") {
        Some(label) if !label.trim().is_empty() => Ok(()),
        _ => Err(Refusal::field("label", "This field may not be blank.")),
    }
}

/// The last status cannot be deleted. Records with a deleted status get the first remaining one, opportunities one of
/// their pipeline if possible: removing a status changes many records silently (reference, section 8.4). The
/// replacement is chosen.
fn deleting(change: &mut Change<'_>, status: &Record) -> Result<(), Refusal> {
    let view = change.whole();
    if view.world.store.count(status.kind()) == 1 {
        return Err(Refusal::invalid("The last status cannot be deleted."));
    }
    let pipeline = status.id_of("pipeline_id");
    let mut left = if status.kind() == Kind::LeadStatus { of_leads(&view) } else { of_opportunities(&view) };
    left.retain(|other| other.id != status.id);
    let heir = left.iter().find(|other| other.id_of("pipeline_id") == pipeline).or(left.first()).map(|other| other.id);
    hand_over(change, &[status.id], heir, "The status cannot be deleted while records have it.")
}

/// Moves records with one of these statuses to another, without events.
///
/// # Errors
/// 400 with this text if the switch `used_status` says so.
pub fn hand_over(change: &mut Change<'_>, from: &[Id], to: Option<Id>, refusal: &str) -> Result<(), Refusal> {
    let has = |record: &Record| record.id_of("status_id").is_some_and(|id| from.contains(&id));
    let view = change.whole();
    let holders: Vec<Record> = [Kind::Lead, Kind::Opportunity]
        .into_iter()
        .flat_map(|kind| view.all(kind))
        .filter(|record| has(record))
        .cloned()
        .collect();
    let moves = change.world.switches.used_status == UsedStatus::Move;
    if !holders.is_empty() && (!moves || to.is_none()) {
        return Err(Refusal::invalid(refusal));
    }
    for mut holder in holders {
        holder.set("status_id", to);
        change.alter_silently(holder);
    }
    Ok(())
}
