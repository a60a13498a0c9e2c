//! Scenarios of a connected mailbox or calendar: mails of years ago, and future meetings (reference, section 8.1).

use serde_json::{Value as Json, json};

use super::{Scenario, Wish, texts};
use crate::{
    laboratory::{bodies, pick},
    model::{Id, Kind, Moment, Refusal},
    resources::activity::{
        email::{self, Mail},
        meeting,
    },
    seed::{draw::Draw, foundation::founder, words::SUBJECT},
    world::{
        World,
        change::{Actor, Change},
    },
};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "email_backfill",
        meaning: "A mailbox is connected: its mails appear with `date_created` years in the past, in whole seconds",
        parameters: &[("count", "2000", "mails"), ("years", "6", "maximum age")],
        run: email_backfill,
    },
    Scenario {
        name: "future_meetings",
        meaning: "Future meetings are added, whose `date_created` is their start",
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
        let outgoing = n % 3 == 0;
        let (ours, theirs) = ("mara@composed.example".to_owned(), format!("p{n}@old.example"));
        let mail = Mail {
            lead: Some(lead),
            contact: None,
            user: Some(founder()),
            sender: if outgoing { ours.clone() } else { theirs.clone() },
            to: vec![if outgoing { theirs } else { ours }],
            subject: format!("{} {n}", wish.draw.pick(SUBJECT)),
            body: bodies::prose(&mut wish.draw, 20),
            outgoing,
            date: Some(at),
        };
        ids.push(email::receive(&mut Change::begin(world, Actor::system()), &mail)?);
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

/// Adds a meeting from a calendar: `created` and `scheduled`; the clock starts and ends it.
pub fn meet(change: &mut Change<'_>, draw: &mut Draw, lead: Id, starts_at: Moment) -> Id {
    let contact = pick::of_lead(change.world, draw, lead, Kind::Contact);
    let name = contact.and_then(|id| change.get(id)).and_then(|contact| contact.text("name").map(str::to_owned));
    let plan = meeting::Plan {
        lead,
        contact,
        user: change.actor.user,
        title: format!("{} {}", draw.pick(SUBJECT), draw.below(100)),
        starts_at,
        duration: [900, 1_800, 3_600][draw.below(3)],
        attendees: vec![("guest@people.example".to_owned(), name.unwrap_or_default(), contact)],
    };
    meeting::schedule(change, &plan)
}
