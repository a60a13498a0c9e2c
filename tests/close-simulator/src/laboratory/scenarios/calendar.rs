//! What a connected mailbox or calendar brings: mails of years ago, and meetings that are yet to come (reference, section 8.1).

use serde_json::{Value as Json, json};

use super::{Scenario, Wish, texts};
use crate::laboratory::api::body;
use crate::laboratory::{bodies, pick};
use crate::model::{Id, Kind, Moment, Refusal, Value};
use crate::seed::draw::Draw;
use crate::seed::words::SUBJECT;
use crate::world::World;
use crate::world::change::{Actor, Change};
use crate::world::jobs::Job;

/// What is here.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "email_backfill",
        meaning: "A mailbox is connected: its mails appear with `date_created` years back, in whole seconds",
        parameters: &[("count", "2000", "mails"), ("years", "6", "how far they reach back")],
        run: email_backfill,
    },
    Scenario {
        name: "future_meetings",
        meaning: "Meetings are put in whose `date_created` is their beginning, which is yet to come",
        parameters: &[("count", "50", "meetings"), ("days", "60", "how far ahead")],
        run: future_meetings,
    },
];

fn email_backfill(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let (count, years) = (wish.number("count", 2_000)?, wish.number("years", 6)? as i64);
    let mut ids = Vec::new();
    for n in 0..count {
        let lead = wish.object(world, "lead", Kind::Lead, |_| true)?.id;
        let now = world.clock.now();
        let at = wish.draw.moment(now.plus_days(-365 * years.max(1)), now.plus_days(-31)).to_secs();
        let mail = json!({
            "lead_id": bodies::id(world, Some(lead)),
            "status": if n % 3 == 0 { "sent" } else { "inbox" },
            "sender": format!("p{n}@old.example"),
            "to": ["mara@composed.example"],
            "subject": format!("{} {}", wish.draw.pick(SUBJECT), n),
            "body_text": bodies::prose(&mut wish.draw, 20),
            "date_created": bodies::moment(at),
        });
        ids.push(Change::begin(world, Actor::system()).create_with(Kind::Email, &body(mail), |mail| mail.created = at)?);
    }
    Ok(json!({ "emails": ids.len(), "ids": texts(world, &ids) }))
}

fn future_meetings(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let (count, days) = (wish.number("count", 50)?, wish.number("days", 60)? as i64);
    let mut ids = Vec::new();
    for _ in 0..count {
        let lead = wish.object(world, "lead", Kind::Lead, |_| true)?.id;
        let starts = world.clock.now().plus_secs(wish.draw.between(1, days.max(1) * 24) * 3_600).to_secs();
        ids.push(meet(&mut Change::begin(world, Actor::system()), &mut wish.draw, lead, starts));
    }
    Ok(json!({ "meetings": ids.len(), "ids": texts(world, &ids) }))
}

/// Puts a meeting into a calendar: `created` and `scheduled`; the clock begins and ends it.
pub fn meet(change: &mut Change<'_>, draw: &mut Draw, lead: Id, starts: Moment) -> Id {
    let contact = pick::of_lead(change.world, draw, lead, Kind::Contact);
    let name = contact.and_then(|id| change.get(id)).and_then(|contact| contact.get("name").cloned()).unwrap_or(Value::Null);
    let mut record = change.record(Kind::Meeting);
    record.lead = Some(lead);
    record.created = starts;
    let ends = starts.plus_secs([900, 1_800, 3_600][draw.below(3)]);
    let attendee = Value::object([
        ("email", "guest@people.example".into()),
        ("name", name),
        ("status", "noreply".into()),
        ("user_id", Value::Null),
        ("contact_id", contact.into()),
        ("is_organizer", false.into()),
    ]);
    let event = format!("{}@calendar.example", record.id.serial());
    let record = record
        .with("title", format!("{} {}", draw.pick(SUBJECT), draw.below(100)))
        .with("status", "upcoming")
        .with("contact_id", contact)
        .with("user_id", change.actor.user)
        .with("starts_at", starts)
        .with("ends_at", ends)
        .with("attendees", Value::list([attendee]))
        .with("provider_calendar_type", "google")
        .with("calendar_event_uids", Value::list([event.as_str().into()]))
        .with("provider_calendar_event_id", event);
    let id = change.insert(record);
    change.emit(id, "scheduled");
    change.touch(lead);
    for at in [starts, ends] {
        change.schedule(at, Job::Meeting(id));
    }
    id
}
