//! Side effects of a change of an opportunity: the dates of winning and losing, a status change activity, the lead's
//! `date_updated`.

use crate::{
    model::{Id, Kind, Record, Refusal, Value},
    resources::{activity::status_change, lead, spelling, status},
    world::{
        change::{Body, Change},
        view::View,
    },
};

/// Accepts `status` with the label of a status or with a type, which means its first status. A `status_id` takes
/// precedence.
pub(super) fn reword(view: &View<'_>, body: &Body) -> Result<Option<Body>, Refusal> {
    let Some(label) = body.text("status") else { return Ok(None) };
    if body.get("status_id").is_some() {
        let mut body = body.clone();
        body.map.shift_remove("status");
        return Ok(Some(body));
    }
    let pipeline = body.text("pipeline_id").and_then(|text| view.parse_id(text));
    let fits = |status: &Record| pipeline.is_none() || status.id_of("pipeline_id") == pipeline;
    let status = spelling::status(view, Kind::OpportunityStatus, label, fits)
        .ok_or_else(|| Refusal::field("status", format!("Opportunity status '{label}' does not exist.")))?;
    let mut body = body.clone();
    body.map.insert("status_id".to_owned(), view.id_text(status).into());
    Ok(Some(body))
}

/// The first active status of a pipeline, or of the first pipeline.
fn first_status(view: &View<'_>, pipeline: Option<Id>) -> Option<Id> {
    let statuses = match pipeline.and_then(|pipeline| view.get(pipeline)).or_else(|| view.all(Kind::Pipeline).next()) {
        Some(pipeline) => status::of_pipeline(view, pipeline),
        None => status::of_opportunities(view),
    };
    statuses.into_iter().find(|status| status.text("type") == Some("active")).map(|status| status.id)
}

fn kind(view: &View<'_>, opportunity: &Record) -> String {
    view.field_of(opportunity.id_of("status_id"), "type").as_text().unwrap_or("active").to_owned()
}

/// Refuses a contact of another lead.
fn check_contact(change: &Change<'_>, opportunity: &Record) -> Result<(), Refusal> {
    let contact = opportunity.id_of("contact_id").and_then(|id| change.get(id));
    match (contact, opportunity.lead) {
        (Some(contact), Some(lead)) if contact.lead != Some(lead) => {
            Err(Refusal::field("contact_id", "The contact does not belong to the lead of the opportunity."))
        }
        _ => Ok(()),
    }
}

/// Fills in the fields of a newly entered status type; the body takes precedence.
fn enter(change: &Change<'_>, opportunity: &mut Record, body: &Body) {
    match kind(&change.whole(), opportunity).as_str() {
        "won" => {
            if body.get("date_won").is_none() {
                opportunity.set("date_won", change.now().day(body.offset_minutes));
            }
            if body.get("confidence").is_none() {
                opportunity.set("confidence", 100_i64);
            }
            opportunity.set("date_lost", Value::Null);
        }
        "lost" => opportunity.set("date_lost", change.now()),
        _ => opportunity.set("date_lost", Value::Null),
    }
}

pub(super) fn prepare(change: &mut Change<'_>, opportunity: &mut Record, body: &Body) -> Result<(), Refusal> {
    check_contact(change, opportunity)?;
    if opportunity.get("status_id").is_none() {
        let pipeline = body.text("pipeline_id").and_then(|text| change.world.parse_id(text));
        opportunity.set("status_id", first_status(&change.whole(), pipeline));
    }
    if opportunity.get("user_id").is_none() && !body.map.contains_key("user_id") {
        opportunity.set("user_id", change.actor.user);
    }
    for (name, value) in [("value_period", Value::from("one_time")), ("confidence", Value::from(50_i64))] {
        if opportunity.get(name).is_none() {
            opportunity.set(name, value);
        }
    }
    enter(change, opportunity, body);
    if opportunity.lead.is_none() {
        let of_contact = opportunity.id_of("contact_id").and_then(|id| change.get(id)).and_then(|contact| contact.lead);
        opportunity.lead = Some(match of_contact {
            Some(lead) => lead,
            None => change.create(Kind::Lead, &Body::default())?,
        });
    }
    Ok(())
}

pub(super) fn created(change: &mut Change<'_>, id: Id) {
    let lead = change.get(id).and_then(|opportunity| opportunity.lead);
    lead::touched_by_child(change, lead);
}

pub(super) fn revise(change: &mut Change<'_>, before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    if after.id_of("contact_id") != before.id_of("contact_id") {
        check_contact(change, after)?;
    }
    let view = change.whole();
    if let Some(label) = body.text("status") {
        // A label in the opportunity's own pipeline takes precedence over the same label in the first one.
        let pipeline = view.field_of(before.id_of("status_id"), "pipeline_id").as_id();
        let own =
            spelling::status(&view, Kind::OpportunityStatus, label, |status| status.id_of("pipeline_id") == pipeline);
        after.set("status_id", own.or_else(|| after.id_of("status_id")));
    }
    if kind(&view, before) != kind(&view, after) {
        enter(change, after, body);
    }
    Ok(())
}

pub(super) fn updated(change: &mut Change<'_>, before: &Record, id: Id) {
    let Some(after) = change.get(id) else { return };
    if *after == *before {
        return;
    }
    if let (old, Some(new)) = (before.id_of("status_id"), after.id_of("status_id"))
        && old != Some(new)
    {
        status_change::opportunity_moved(change, &after, old, new);
    }
    lead::touched_by_child(change, after.lead);
}

/// Deletes the comments of an opportunity.
pub(super) fn deleted(change: &mut Change<'_>, opportunity: &Record) {
    let Some(lead) = opportunity.lead else { return };
    let on_it = |record: &&Record| record.id_of("object_id") == Some(opportunity.id);
    let view = change.whole();
    let comments = view.of_lead(lead, Kind::Comment).chain(view.of_lead(lead, Kind::CommentThread)).filter(on_it);
    let comments: Vec<Id> = comments.map(|record| record.id).collect();
    change.remove_together(&comments);
    lead::touched_by_child(change, Some(lead));
}
