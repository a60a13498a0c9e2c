//! The kinds of random changes with their weights, and how each is done.

use serde_json::{Value as Json, json};

use super::{
    api::{ask, body},
    bodies, pick,
};
use crate::{
    model::{Id, Kind, Record, Refusal},
    seed::draw::Draw,
    world::{World, change::Change},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Create(Kind),
    Update(Kind),
    /// Deletes an object with its dependents.
    Delete(Kind),
    /// Changes the status of a lead or an opportunity.
    Status(Kind),
    /// Completes a task.
    Complete,
    /// Sets or clears custom fields of an object.
    Customize(Kind),
    /// Merges one lead into another.
    Merge,
}

/// All deeds with their names and default weights.
pub const DEEDS: &[(&str, u32, Deed)] = &[
    ("create_lead", 20, Deed::Create(Kind::Lead)),
    ("update_lead", 60, Deed::Update(Kind::Lead)),
    ("delete_lead", 16, Deed::Delete(Kind::Lead)),
    ("lead_status", 50, Deed::Status(Kind::Lead)),
    ("lead_custom", 60, Deed::Customize(Kind::Lead)),
    ("merge_leads", 3, Deed::Merge),
    ("create_contact", 35, Deed::Create(Kind::Contact)),
    ("update_contact", 50, Deed::Update(Kind::Contact)),
    ("contact_custom", 20, Deed::Customize(Kind::Contact)),
    ("delete_contact", 10, Deed::Delete(Kind::Contact)),
    ("create_opportunity", 25, Deed::Create(Kind::Opportunity)),
    ("update_opportunity", 40, Deed::Update(Kind::Opportunity)),
    ("opportunity_status", 30, Deed::Status(Kind::Opportunity)),
    ("opportunity_custom", 20, Deed::Customize(Kind::Opportunity)),
    ("delete_opportunity", 5, Deed::Delete(Kind::Opportunity)),
    ("create_task", 45, Deed::Create(Kind::Task)),
    ("update_task", 25, Deed::Update(Kind::Task)),
    ("complete_task", 35, Deed::Complete),
    ("delete_task", 8, Deed::Delete(Kind::Task)),
    ("create_note", 60, Deed::Create(Kind::Note)),
    ("update_note", 40, Deed::Update(Kind::Note)),
    ("delete_note", 6, Deed::Delete(Kind::Note)),
    ("create_call", 60, Deed::Create(Kind::Call)),
    ("update_call", 20, Deed::Update(Kind::Call)),
    ("delete_call", 4, Deed::Delete(Kind::Call)),
    ("create_email", 70, Deed::Create(Kind::Email)),
    ("update_email", 10, Deed::Update(Kind::Email)),
    ("delete_email", 5, Deed::Delete(Kind::Email)),
    ("create_sms", 15, Deed::Create(Kind::Sms)),
    ("delete_sms", 2, Deed::Delete(Kind::Sms)),
    ("create_whatsapp", 6, Deed::Create(Kind::WhatsAppMessage)),
    ("delete_whatsapp", 1, Deed::Delete(Kind::WhatsAppMessage)),
    ("create_meeting", 12, Deed::Create(Kind::Meeting)),
    ("update_meeting", 10, Deed::Update(Kind::Meeting)),
    ("delete_meeting", 3, Deed::Delete(Kind::Meeting)),
    ("create_custom_activity", 15, Deed::Create(Kind::CustomActivity)),
    ("update_custom_activity", 15, Deed::Update(Kind::CustomActivity)),
    ("delete_custom_activity", 3, Deed::Delete(Kind::CustomActivity)),
    ("create_custom_object", 10, Deed::Create(Kind::CustomObject)),
    ("update_custom_object", 10, Deed::Update(Kind::CustomObject)),
    ("delete_custom_object", 3, Deed::Delete(Kind::CustomObject)),
    ("subscribe", 8, Deed::Create(Kind::SequenceSubscription)),
    ("update_subscription", 8, Deed::Update(Kind::SequenceSubscription)),
    ("create_comment", 8, Deed::Create(Kind::Comment)),
    ("delete_comment", 2, Deed::Delete(Kind::Comment)),
];

/// # Errors
/// The API's refusal, or the lack of a suitable object.
pub fn perform(change: &mut Change<'_>, draw: &mut Draw, deed: Deed) -> Result<(), Refusal> {
    match deed {
        Deed::Create(kind) => create(change, draw, kind),
        Deed::Update(kind) => {
            let object = some(change.world, draw, kind)?;
            let changes = changes(change, draw, &object);
            change.revise(object.id, &body(changes))
        }
        Deed::Delete(kind) => {
            let object = some(change.world, draw, kind)?;
            change.delete(object.id)
        }
        Deed::Status(kind) => {
            let of = if kind == Kind::Lead { Kind::LeadStatus } else { Kind::OpportunityStatus };
            let (object, status) = (some(change.world, draw, kind)?, some(change.world, draw, of)?);
            let status = bodies::id(change.world, Some(status.id));
            change.revise(object.id, &body(json!({ "status_id": status })))
        }
        Deed::Complete => {
            for _ in 0..4 {
                let task = some(change.world, draw, Kind::Task)?;
                if !task.is("is_complete") {
                    return change.revise(task.id, &body(json!({ "is_complete": true })));
                }
            }
            Err(nothing())
        }
        Deed::Customize(kind) => {
            let object = some(change.world, draw, kind)?;
            let lead = object.lead.unwrap_or(object.id);
            let members = bodies::custom(change.world, draw, lead, true, |field| on(field, kind));
            change.revise(object.id, &body(Json::Object(members)))
        }
        Deed::Merge => {
            let (source, destination) = (some(change.world, draw, Kind::Lead)?, some(change.world, draw, Kind::Lead)?);
            if source.id == destination.id {
                return Err(nothing());
            }
            merge(change, source.id, destination.id)
        }
    }
}

/// Merges leads as `POST /lead/merge/` does.
///
/// # Errors
/// As the endpoint.
pub fn merge(change: &mut Change<'_>, source: Id, destination: Id) -> Result<(), Refusal> {
    let (source, destination) = (bodies::id(change.world, Some(source)), bodies::id(change.world, Some(destination)));
    ask(change, "POST", "lead/merge", &json!({ "source": source, "destination": destination })).map(|_| ())
}

fn create(change: &mut Change<'_>, draw: &mut Draw, kind: Kind) -> Result<(), Refusal> {
    let now = change.now();
    let world = &*change.world;
    let lead = if kind == Kind::Lead { None } else { Some(some(world, draw, Kind::Lead)?.id) };
    let made = match (kind, lead) {
        (_, None) => bodies::lead(world, draw),
        (Kind::Contact, Some(lead)) => {
            let mut contact = bodies::contact(draw);
            contact["lead_id"] = bodies::id(world, Some(lead));
            contact
        }
        (Kind::Opportunity, Some(lead)) => bodies::opportunity(world, draw, lead),
        (Kind::Task, Some(lead)) => bodies::task(world, draw, lead, now),
        (Kind::Note, Some(lead)) => bodies::note(world, draw, lead),
        (Kind::Call, Some(lead)) => bodies::call(world, draw, lead),
        (Kind::Email, Some(lead)) => bodies::email(world, draw, lead),
        (Kind::Sms, Some(lead)) => bodies::sms(world, draw, lead),
        (Kind::WhatsAppMessage, Some(lead)) => bodies::whatsapp(world, draw, lead),
        (Kind::Meeting, Some(lead)) => {
            let starts = now.plus_secs(draw.between(1, 14 * 24) * 3_600).to_secs();
            super::scenarios::calendar::meet(change, draw, lead, starts);
            return Ok(());
        }
        (Kind::CustomActivity | Kind::CustomObject, Some(lead)) => typed(world, draw, kind, lead)?,
        (Kind::SequenceSubscription, Some(_)) => subscription(world, draw)?,
        (Kind::Comment, Some(_)) => {
            let note = some(world, draw, Kind::Note)?;
            json!({
                "object_id": bodies::id(world, Some(note.id)), "body": format!("<p>{}</p>", bodies::prose(draw, 3))
            })
        }
        _ => return Err(nothing()),
    };
    change.create(kind, &body(made)).map(|_| ())
}

fn typed(world: &World, draw: &mut Draw, kind: Kind, lead: Id) -> Result<Json, Refusal> {
    let (of, key) = match kind {
        Kind::CustomActivity => (Kind::CustomActivityType, "custom_activity_type_id"),
        _ => (Kind::CustomObjectType, "custom_object_type_id"),
    };
    let ty = some(world, draw, of)?.id;
    let mut members = bodies::custom(world, draw, lead, false, |field| {
        field.id_of(if kind == Kind::CustomActivity { "custom_activity_type_id" } else { "custom_object_type_id" })
            == Some(ty)
    });
    members.insert("lead_id".to_owned(), bodies::id(world, Some(lead)));
    members.insert(key.to_owned(), bodies::id(world, Some(ty)));
    if kind == Kind::CustomActivity {
        members.insert("status".to_owned(), if draw.chance(0.8) { "published" } else { "draft" }.into());
    } else {
        members.insert("name".to_owned(), bodies::company(draw).into());
    }
    Ok(Json::Object(members))
}

fn subscription(world: &World, draw: &mut Draw) -> Result<Json, Refusal> {
    let (contact, sequence) = (some(world, draw, Kind::Contact)?, some(world, draw, Kind::Sequence)?);
    let account = some(world, draw, Kind::ConnectedAccount)?;
    Ok(json!({
        "contact_id": bodies::id(world, Some(contact.id)),
        "sequence_id": bodies::id(world, Some(sequence.id)),
        "contact_email": contact
            .get("emails")
            .and_then(|emails| emails.items().first()?.member("email")?.as_text().map(str::to_owned)),
        "sender_account_id": bodies::id(world, Some(account.id)),
        "sender_name": "Mara Voss",
        "sender_email": account.text("email"),
    }))
}

/// The body of an update.
fn changes(change: &Change<'_>, draw: &mut Draw, object: &Record) -> Json {
    let world = &*change.world;
    match object.kind() {
        Kind::Lead => match draw.below(3) {
            0 => json!({ "name": bodies::company(draw) }),
            1 => json!({ "description": bodies::prose(draw, 20) }),
            _ => json!({ "url": format!("https://moved{}.example", draw.below(1 << 20)) }),
        },
        Kind::Contact => bodies::contact_change(draw),
        Kind::Opportunity => bodies::opportunity_change(draw, change.now()),
        Kind::Task => match draw.below(3) {
            0 => json!({ "text": bodies::prose(draw, 2) }),
            1 => json!({ "assigned_to": bodies::id(world, pick::member(world, draw)) }),
            _ => json!({ "date": bodies::moment(change.now().plus_secs(draw.between(1, 900) * 3_600)) }),
        },
        Kind::Note | Kind::Call => json!({ "note": bodies::prose(draw, 40) }),
        Kind::Email if object.text("status") == Some("draft") => json!({ "body_text": bodies::prose(draw, 60) }),
        Kind::Email => {
            let contact = object.lead.and_then(|lead| pick::of_lead(world, draw, lead, Kind::Contact));
            json!({ "contact_id": bodies::id(world, contact) })
        }
        Kind::Meeting => {
            json!({ "user_note_html": format!("<p>{}</p>", bodies::prose(draw, 10).replace('<', "&lt;")) })
        }
        Kind::CustomActivity | Kind::CustomObject => {
            let ty = ["custom_activity_type_id", "custom_object_type_id"].map(|name| object.id_of(name));
            let lead = object.lead.unwrap_or(object.id);
            Json::Object(bodies::custom(world, draw, lead, false, |field| {
                ["custom_activity_type_id", "custom_object_type_id"].map(|name| field.id_of(name)) == ty
            }))
        }
        Kind::SequenceSubscription => json!({ "status": *draw.pick(&["active", "paused"]) }),
        _ => json!({}),
    }
}

/// Returns true if a custom field belongs to a kind or is shared with it.
pub fn on(field: &Record, kind: Kind) -> bool {
    let name = match kind {
        Kind::Lead => "lead",
        Kind::Contact => "contact",
        _ => "opportunity",
    };
    field.text("object") == Some(name)
}

fn some(world: &World, draw: &mut Draw, kind: Kind) -> Result<std::sync::Arc<Record>, Refusal> {
    pick::any(world, draw, kind).ok_or_else(nothing)
}

fn nothing() -> Refusal {
    Refusal::bad("there is no object to change")
}
