//! Objects without a lead: templates, sequences, mailboxes, numbers, smart views, links, playbooks, and finished jobs.

use std::sync::Arc;

use serde_json::json;

use super::{draw::Draw, foundation::put, ground::Ground};
use crate::{
    model::{Id, Kind, Record, Value},
    world::World,
};

pub fn plant(world: &mut World, ground: &mut Ground, leads: usize) {
    let mut draw = Draw::new(ground.seed, u64::MAX - 2);
    templates(world, ground, &mut draw);
    sequences(world, ground, &mut draw);
    accounts(world, ground, &mut draw);
    telephony(world, ground, &mut draw);
    views(world, ground);
    links(world, ground);
    jobs(world, ground, &mut draw, leads);
}

/// A record by a random user at a random moment of the past.
fn fresh(world: &mut World, ground: &Ground, draw: &mut Draw, kind: Kind) -> Record {
    let id = world.next_id(kind);
    let author = Some(draw.pick_front(&ground.people).id);
    let at = draw.moment(ground.born.plus_days(30), ground.settled.plus_days(-30));
    Record { author, editor: author, updated: draw.moment(at, ground.settled), ..Record::new(id, at) }
}

fn templates(world: &mut World, ground: &mut Ground, draw: &mut Draw) {
    for n in 0..16 {
        let (_, body, _) = &ground.library.mails[n % ground.library.mails.len()];
        let (subject, body) = (Arc::clone(&ground.library.subjects[n]), Arc::clone(body));
        let record = fresh(world, ground, draw, Kind::EmailTemplate)
            .with("name", format!("Template {}", n + 1))
            .with("subject", subject)
            .with("body", body)
            .with("is_shared", n % 3 != 0)
            .with("is_archived", n % 7 == 6);
        ground.templates.push(record.id);
        put(world, record);
    }
    for n in 0..4 {
        let record = fresh(world, ground, draw, Kind::SmsTemplate)
            .with("name", format!("Short {}", n + 1))
            .with("text", "Hi {{ contact.first_name }}, are you free today? 📞")
            .with("is_shared", n % 2 == 0)
            .with("is_archived", false);
        put(world, record);
    }
}

fn sequences(world: &mut World, ground: &mut Ground, draw: &mut Draw) {
    for (n, (name, status)) in
        [("Inbound", "active"), ("Outbound EU", "active"), ("Win back", "paused"), ("Spring campaign", "draft")]
            .into_iter()
            .enumerate()
    {
        let mut record = fresh(world, ground, draw, Kind::Sequence)
            .with("name", name)
            .with("status", status)
            .with("timezone", "Europe/Berlin")
            .with("allow_manual_enrollment", true)
            .with("schedule", Value::json(&json!({ "ranges": [{ "weekday": 1, "start": "09:00", "end": "17:00" }] })));
        let steps: Vec<Value> = (0..=n)
            .map(|at| {
                let step = world.next_id(Kind::SequenceStep);
                Value::object([
                    ("id", step.text(ground.seed).into()),
                    ("step_type", if at % 3 == 2 { "call" } else { "email" }.into()),
                    ("delay", (at as i64 * 86_400).into()),
                    ("required", false.into()),
                    ("email_template_id", ground.templates[at % ground.templates.len()].into()),
                ])
            })
            .collect();
        record.set("steps", Value::list(steps));
        ground.sequences.push(record.id);
        put(world, record);
    }
}

fn accounts(world: &mut World, ground: &mut Ground, draw: &mut Draw) {
    for (n, person) in ground.people.clone().into_iter().enumerate().filter(|(n, _)| n % 3 != 2) {
        let (ty, host) =
            [("google", "gmail.example"), ("custom_email", "mail.composed.example"), ("microsoft", "office.example")]
                [n % 3];
        let record = fresh(world, ground, draw, Kind::ConnectedAccount)
            .with("_type", ty)
            .with("user_id", person.id)
            .with("email", Arc::clone(&person.email))
            .with("identities", Value::list([identity(&person.name, &person.email)]))
            .with("smtp", (ty == "custom_email").then(|| server(host, 587)))
            .with("imap", (ty == "custom_email").then(|| server(host, 993)))
            .with("receive_status", if n % 8 == 7 { "error" } else { "ok" })
            .with("send_status", "ok")
            .with("enabled_features", Value::list(["email_sending", "email_syncing"].map(Value::from)));
        ground.accounts.push((record.id, person));
        put(world, record);
    }
    let pairs: Vec<(Id, Id)> = ground.people.windows(2).take(3).map(|pair| (pair[0].id, pair[1].id)).collect();
    for (allowing, allowed) in pairs {
        let record = fresh(world, ground, draw, Kind::SendAs)
            .with("allowing_user_id", allowing)
            .with("allowed_user_id", allowed);
        put(world, record);
    }
}

fn identity(name: &Arc<str>, email: &Arc<str>) -> Value {
    Value::object([("name", Arc::clone(name).into()), ("email", Arc::clone(email).into())])
}

fn server(host: &str, port: i64) -> Value {
    Value::json(&json!({ "host": host, "port": port, "use_ssl": true, "username": "mail@composed.example" }))
}

fn telephony(world: &mut World, ground: &mut Ground, draw: &mut Draw) {
    for n in 0..ground.people.len().min(40) {
        let number: Arc<str> = format!("+49400000{:04}", n + 9).into();
        let person = ground.people[n].id;
        let group = n % 10 == 9;
        let mut record = fresh(world, ground, draw, Kind::PhoneNumber)
            .with("number", Arc::clone(&number))
            .with("country", "DE")
            .with("type", if n % 12 == 11 { "external" } else { "internal" })
            .with("is_group_number", group)
            .with("label", if n % 4 == 0 { "Hamburg office" } else { "" })
            .with("sms_enabled", n % 2 == 0)
            .with("mms_enabled", false)
            .with("last_billed_price", 115);
        if group {
            record.set("participants", Value::list(ground.people.iter().take(3).map(|person| person.id.into())));
        } else {
            record.set("user_id", person);
        }
        ground.numbers.push(number);
        put(world, record);
    }
    for n in 0..2 {
        let record = fresh(world, ground, draw, Kind::BlockedNumber)
            .with("phone", format!("+4930111000{n}"))
            .with("label", "spam");
        put(world, record);
    }
    for (name, to) in [("Interested", "calls"), ("Not reached", "calls"), ("No show", "meetings")] {
        let record = fresh(world, ground, draw, Kind::Outcome)
            .with("name", name)
            .with("type", "custom")
            .with("applies_to", Value::list([to.into()]));
        ground.outcomes.push(record.id);
        put(world, record);
    }
    for n in 0..5 {
        let record = fresh(world, ground, draw, Kind::DialerSession)
            .with("user_id", ground.people[n % ground.people.len()].id)
            .with("type", if n % 2 == 0 { "power" } else { "predictive" })
            .with("status", "ended")
            .with("source_type", "saved-search");
        put(world, record);
    }
}

fn views(world: &mut World, ground: &Ground) {
    let mut draw = Draw::new(ground.seed, u64::MAX - 3);
    for (n, (ty, name, query)) in [
        ("lead", "Untouched", "calls:0"),
        ("lead", "Won this year", "opportunity_status:won"),
        ("contact", "With phone", "has:phone"),
    ]
    .into_iter()
    .enumerate()
    {
        let author = ground.people[n % ground.people.len()].id;
        let record = fresh(world, ground, &mut draw, Kind::SmartView)
            .with("type", ty)
            .with("name", name)
            .with("query", query)
            .with("s_query", Value::json(&json!({ "query": { "type": "and", "queries": [] } })))
            .with("is_shared", n != 1)
            .with("user_id", author);
        put(world, record);
    }
    for n in 0..2 {
        let record = fresh(world, ground, &mut draw, Kind::Playbook)
            .with("name", ["Discovery", "Closing"][n])
            .with("position", n as i64)
            .with("archived_at", (n == 1).then_some(ground.settled));
        put(world, record);
    }
}

fn links(world: &mut World, ground: &Ground) {
    let mut draw = Draw::new(ground.seed, u64::MAX - 4);
    for (ty, name) in [("lead", "Shop"), ("contact", "Profile"), ("opportunity", "Billing")] {
        let record = fresh(world, ground, &mut draw, Kind::IntegrationLink)
            .with("name", name)
            .with("type", ty)
            .with("url", format!("https://{}.example/?id={{{{ {ty}.id }}}}", name.to_lowercase()));
        put(world, record);
    }
    for n in 0..3 {
        let person = &ground.people[n % ground.people.len()];
        let record = fresh(world, ground, &mut draw, Kind::SchedulingLink)
            .with("name", format!("{} minutes", (n + 1) * 15))
            .with("url", format!("https://meet.example/{n}"))
            .with("user_id", person.id)
            .with("duration_in_minutes", (n as i64 + 1) * 15);
        put(world, record);
    }
    let record = fresh(world, ground, &mut draw, Kind::SharedSchedulingLink)
        .with("name", "Any of the team")
        .with("url", "https://meet.example/team");
    put(world, record);
}

fn jobs(world: &mut World, ground: &mut Ground, draw: &mut Draw, leads: usize) {
    for n in 0..(leads / 500).clamp(2, 40) {
        let at = draw.moment(ground.born.plus_days(30), ground.settled.plus_days(-1)).to_secs();
        let id = world.next_id(Kind::Import);
        let author = Some(draw.pick_front(&ground.people).id);
        put(
            world,
            Record { author, editor: author, ..Record::new(id, at) }
                .with("status", "done")
                .with("n_leads", n as i64 + 20),
        );
        ground.imports.push((id, at));
    }
    for (n, ty) in ["email", "edit", "delete", "sequence_subscription"].into_iter().enumerate() {
        let record = fresh(world, ground, draw, Kind::BulkAction)
            .with("kind", ty)
            .with("status", "done")
            .with("query", "status:\"Potential\"")
            .with("n_leads", n as i64 * 7)
            .with("n_leads_processed", n as i64 * 7)
            .with("n_objects", n as i64 * 7)
            .with("n_objects_processed", n as i64 * 7)
            .with("send_done_email", false);
        put(world, record);
    }
    for n in 0..2i64 {
        let record = fresh(world, ground, draw, Kind::Export)
            .with("status", "done")
            .with("format", if n == 0 { "json" } else { "csv" })
            .with("type", if n == 0 { "leads" } else { "contacts" })
            .with("n_docs", n * 100)
            .with("n_docs_processed", n * 100);
        put(world, record);
    }
    for n in 0..(leads / 300).clamp(3, 60) {
        let record =
            fresh(world, ground, draw, Kind::UnsubscribedEmail).with("email", format!("gone{n}@elsewhere.example"));
        put(world, record);
    }
}
