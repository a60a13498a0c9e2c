//! JSON bodies as callers send them, with random content.

use serde_json::{Map, Value as Json, json};

use super::pick;
use crate::{
    model::{Id, Kind, Moment, Record, Stamps, Value},
    seed::{
        draw::Draw,
        words::{CITY, COMPANY, FIRST, FORM, LAST, SENTENCE, STREET, SUBJECT, TITLE, TODO, TRADE},
    },
    world::World,
};

/// A body under construction; null members are left out at creation.
pub type Members = Map<String, Json>;

/// The text of an id; null for none.
pub fn id(world: &World, id: Option<Id>) -> Json {
    id.map_or(Json::Null, |id| id.text(world.seed).into())
}

/// A moment as callers write it.
pub fn moment(at: Moment) -> Json {
    at.text(Stamps::Offset).into()
}

pub fn company(draw: &mut Draw) -> String {
    format!("{} {} {}", draw.pick(COMPANY), draw.pick(TRADE), draw.pick(FORM)).trim_end().to_owned()
}

/// One to `most` sentences.
pub fn prose(draw: &mut Draw, most: usize) -> String {
    (0..draw.tail(1.1, most)).map(|_| *draw.pick(SENTENCE)).collect::<Vec<_>>().join(" ")
}

/// A lead with up to three contacts.
pub fn lead(world: &World, draw: &mut Draw) -> Json {
    let contacts: Vec<Json> = (0..draw.below(4)).map(|_| contact(draw)).collect();
    let (city, state, code, country, _) = *draw.pick(CITY);
    json!({
        "name": company(draw),
        "url": format!("https://new{}.example", draw.below(1 << 20)),
        "description": prose(draw, 12),
        "status_id": id(world, pick::any(world, draw, Kind::LeadStatus).map(|status| status.id)),
        "addresses": [{
            "label": "business", "address_1": format!("{} {}", draw.pick(STREET), draw.below(99)), "city": city,
                        "state": state, "zipcode": format!("{code}11"), "country": country }],
        "contacts": contacts,
    })
}

/// A contact without its lead.
pub fn contact(draw: &mut Draw) -> Json {
    json!({
        "name": format!("{} {}", draw.pick(FIRST), draw.pick(LAST)),
        "title": draw.pick(TITLE),
        "emails": [{ "email": format!("n{}@people.example", draw.below(1 << 24)), "type": "office" }],
        "phones": [{ "phone": format!("+4943{:08}", draw.below(100_000_000)), "type": "mobile" }],
    })
}

/// The body of an update of a contact.
pub fn contact_change(draw: &mut Draw) -> Json {
    match draw.below(4) {
        0 => json!({ "title": draw.pick(TITLE) }),
        1 => json!({ "emails": [{ "email": format!("c{}@people.example", draw.below(1 << 24)), "type": "direct" }] }),
        2 => json!({ "phones": [] }),
        _ => json!({ "name": format!("{} {}", draw.pick(FIRST), draw.pick(LAST)) }),
    }
}

pub fn opportunity(world: &World, draw: &mut Draw, lead: Id) -> Json {
    json!({
        "lead_id": id(world, Some(lead)),
        "status_id": id(world, pick::any(world, draw, Kind::OpportunityStatus).map(|status| status.id)),
        "value": draw.between(0, 9_000) * 100,
        "value_period": *draw.pick(&["one_time", "monthly", "annual"]),
        "confidence": draw.between(0, 20) * 5,
        "user_id": id(world, pick::member(world, draw)),
        "contact_id": id(world, pick::of_lead(world, draw, lead, Kind::Contact)),
        "note": prose(draw, 4),
    })
}

/// The body of an update of an opportunity.
pub fn opportunity_change(draw: &mut Draw, now: Moment) -> Json {
    match draw.below(4) {
        0 => json!({ "value": draw.between(0, 9_000) * 100 }),
        1 => json!({ "confidence": draw.between(0, 100) }),
        2 => {
            let mut day = Vec::new();
            draw.day(now, 0, 90).write(&mut day);
            json!({ "date_won": String::from_utf8(day).unwrap_or_default() })
        }
        _ => json!({ "note": prose(draw, 6) }),
    }
}

pub fn task(world: &World, draw: &mut Draw, lead: Id, now: Moment) -> Json {
    let at = now.plus_secs(draw.between(0, 30 * 86_400)).to_secs();
    let mut day = Vec::new();
    at.day(0).write(&mut day);
    json!({
        "_type": "lead",
        "lead_id": id(world, Some(lead)),
        "assigned_to": id(world, pick::member(world, draw)),
        "text": draw.pick(TODO),
        "date": if draw.chance(0.3) { moment(at) } else { String::from_utf8(day).unwrap_or_default().into() },
        "is_complete": false,
    })
}

pub fn note(world: &World, draw: &mut Draw, lead: Id) -> Json {
    json!({ "lead_id": id(world, Some(lead)), "note": prose(draw, 40) })
}

/// A logged call.
pub fn call(world: &World, draw: &mut Draw, lead: Id) -> Json {
    json!({
        "lead_id": id(world, Some(lead)),
        "contact_id": id(world, pick::of_lead(world, draw, lead, Kind::Contact)),
        "direction": *draw.pick(&["outbound", "outbound", "inbound"]),
        "status": "completed",
        "disposition": *draw.pick(&["answered", "no-answer", "vm-left", "busy"]),
        "duration": draw.between(0, 2_000),
        "phone": format!("+4943{:08}", draw.below(100_000_000)),
        "note": prose(draw, 3),
    })
}

/// A mail: a draft, an outgoing or an incoming one.
pub fn email(world: &World, draw: &mut Draw, lead: Id) -> Json {
    let status = draw.weighted(&[(2, "draft"), (5, "outbox"), (4, "inbox"), (1, "sent")]);
    let (ours, theirs) =
        (format!("member{}@composed.example", draw.below(9)), format!("n{}@people.example", draw.below(1 << 24)));
    let (from, to) = if status == "inbox" { (theirs, ours) } else { (ours, theirs) };
    json!({
        "lead_id": id(world, Some(lead)),
        "contact_id": id(world, pick::of_lead(world, draw, lead, Kind::Contact)),
        "status": status,
        "sender": from,
        "to": [to],
        "subject": format!("{} {}", draw.pick(SUBJECT), draw.below(20)),
        "body_text": prose(draw, 60),
    })
}

pub fn sms(world: &World, draw: &mut Draw, lead: Id) -> Json {
    let status = draw.weighted(&[(2, "draft"), (5, "outbox"), (4, "inbox")]);
    json!({
        "lead_id": id(world, Some(lead)),
        "contact_id": id(world, pick::of_lead(world, draw, lead, Kind::Contact)),
        "status": status,
        "direction": if status == "inbox" { "inbound" } else { "outbound" },
        "text": draw.pick(SENTENCE),
        "local_phone": "+494000000009",
        "remote_phone": format!("+4943{:08}", draw.below(100_000_000)),
    })
}

pub fn whatsapp(world: &World, draw: &mut Draw, lead: Id) -> Json {
    json!({
        "lead_id": id(world, Some(lead)),
        "direction": *draw.pick(&["incoming", "outgoing"]),
        "external_whatsapp_message_id": format!("wamid.{}", draw.below(1 << 40)),
        "message_markdown": draw.pick(SENTENCE),
        "remote_phone": format!("+4943{:08}", draw.below(100_000_000)),
        "local_phone": "+494000000009",
    })
}

/// Values for some of the custom fields for which `holds` is true, for an object of a lead; every third is cleared
/// instead if `clear`.
pub fn custom(world: &World, draw: &mut Draw, lead: Id, clear: bool, holds: impl Fn(&Record) -> bool) -> Members {
    let mut members = Members::new();
    let fields: Vec<&Record> = world
        .store
        .of_kind(Kind::CustomField, Moment::FIRST, Moment::LAST)
        .filter_map(|id| world.store.get(id))
        .map(AsRef::as_ref)
        .filter(|field| holds(field))
        .collect();
    if fields.is_empty() {
        return members;
    }
    for _ in 0..draw.tail(1.5, 4) {
        let field = *draw.pick(&fields);
        let json = if clear && draw.chance(0.3) { Json::Null } else { value(world, draw, lead, field) };
        if clear || !json.is_null() {
            members.insert(format!("custom.{}", field.id.text(world.seed)), json);
        }
    }
    members
}

/// A value for a field of an object of a lead; null if none is possible.
fn value(world: &World, draw: &mut Draw, lead: Id, field: &Record) -> Json {
    let single = match field.text("type").unwrap_or("text") {
        "number" => draw.between(0, 100_000).into(),
        "date" => format!("20{}-{:02}-{:02}", draw.between(24, 29), draw.between(1, 12), draw.between(1, 28)).into(),
        "datetime" => moment(world.clock.now().plus_secs(draw.between(-90, 90) * 3_601)),
        "choices" => match field.get("choices").map(Value::items) {
            Some(choices) if !choices.is_empty() => draw.pick(choices).as_text().unwrap_or_default().into(),
            _ => Json::Null,
        },
        "user" => id(world, pick::member(world, draw)),
        "contact" => id(world, pick::of_lead(world, draw, lead, Kind::Contact)),
        "custom_object" => {
            let wanted = field.id_of("referenced_custom_type_id");
            let object = pick::of_lead(world, draw, lead, Kind::CustomObject).and_then(|id| world.store.get(id));
            id(world, object.filter(|object| object.id_of("custom_object_type_id") == wanted).map(|object| object.id))
        }
        "hidden" => json!(format!("ext-{}", draw.below(1 << 30))),
        _ => prose(draw, 2).into(),
    };
    if field.is("accepts_multiple_values") && !single.is_null() { json!([single]) } else { single }
}
