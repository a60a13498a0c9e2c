//! Things that happen at Close without a caller of the API: phone calls, synced calendars and mailboxes, filled-in
//! forms.
//!
//! `POST /_control/perform/` with `{"action": "…", …}` performs one and answers `{"id": …}`. Ids are given as the API
//! shows them, moments as ISO text.

use serde_json::{Value as Json, json};

use crate::{
    Simulator,
    http::{Answer, Request},
    model::{Id, Kind, Moment, Refusal},
    resources::{
        activity::{call, delivery, email, form_submission, import_update, meeting, sms},
        task::{self, system},
    },
    seed::foundation,
    world::{
        World,
        change::{Actor, Body, Change},
    },
};

type Action = fn(&mut Change<'_>, &Wish<'_>) -> Result<Id, Refusal>;

/// Every action by name, with its members beside `action`. `lead_id` and `contact_id` are accepted by all.
const ACTIONS: &[(&str, &str, Action)] = &[
    (
        "run_call",
        "lead_id contact_id user_id direction phone local_phone ring_secs duration disposition \
         voicemail_duration recorded",
        run_call,
    ),
    ("schedule_meeting", "lead_id contact_id user_id email title starts_at duration", schedule_meeting),
    ("reschedule_meeting", "id starts_at", reschedule_meeting),
    ("cancel_meeting", "id", cancel_meeting),
    ("decline_meeting", "id by_lead", decline_meeting),
    ("receive_email", "lead_id contact_id user_id sender to subject body_text outgoing date", receive_email),
    ("open_email", "id opened_by", open_email),
    ("fail_send", "id reason", fail_send),
    ("receive_sms", "lead_id contact_id user_id remote_phone local_phone text date", receive_sms),
    ("receive_form", "lead_id contact_id form form_name values source_url", receive_form),
    ("attribute_form", "id contact_id", attribute_form),
    ("mark_import", "lead_id import_id", mark_import),
    ("raise_task", "type lead_id contact_id user_id object_id", raise_task),
];

/// Every action with its members.
pub(super) fn get() -> Answer {
    let takes = |members: &str| members.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let actions: Vec<Json> =
        ACTIONS.iter().map(|(name, members, _)| json!({ "action": name, "takes": takes(members) })).collect();
    Answer::json(200, &json!({ "data": actions }))
}

/// Performs the action in the body.
pub(super) fn set(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let name = body.text("action").unwrap_or("");
    let Some((_, members, action)) = ACTIONS.iter().find(|(known, ..)| *known == name) else {
        let known: Vec<&str> = ACTIONS.iter().map(|(known, ..)| *known).collect();
        return Err(Refusal::field("action", format!("must be one of {}", known.join(", "))));
    };
    if let Some(unknown) = body.map.keys().find(|key| {
        !matches!(key.as_str(), "action" | "lead_id" | "contact_id") && members.split(' ').all(|member| member != *key)
    }) {
        return Err(Refusal::field(unknown, format!("unknown; {name} takes {}", members.replace(' ', ", "))));
    }
    let mut world = simulator.world.write();
    world.catch_up();
    let id = perform(&mut world, &body, *action)?;
    let text = id.text(world.seed);
    drop(world);
    simulator.wake.notify_waiters();
    Ok(Answer::json(200, &json!({ "id": text })))
}

fn perform(world: &mut World, body: &Body, action: Action) -> Result<Id, Refusal> {
    let wish = Wish { body };
    action(&mut Change::begin(world, Actor::system()), &wish)
}

struct Wish<'b> {
    body: &'b Body,
}

impl Wish<'_> {
    fn text<'a>(&'a self, name: &str, default: &'a str) -> String {
        self.body.text(name).unwrap_or(default).to_owned()
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        self.body.get(name).and_then(serde_json::Value::as_i64).unwrap_or(default)
    }

    fn is(&self, name: &str, default: bool) -> bool {
        self.body.get(name).and_then(serde_json::Value::as_bool).unwrap_or(default)
    }

    fn moment(&self, name: &str) -> Result<Option<Moment>, Refusal> {
        match self.body.text(name) {
            None => Ok(None),
            Some(text) => Moment::parse(text, 0)
                .map(Some)
                .ok_or_else(|| Refusal::field(name, "must be a date with time, such as 2026-09-02T10:00:00Z")),
        }
    }

    fn maybe(&self, change: &Change<'_>, name: &str, kinds: &[Kind]) -> Result<Option<Id>, Refusal> {
        let Some(text) = self.body.text(name) else { return Ok(None) };
        let id = change.world.parse_id(text).filter(|id| kinds.contains(&id.kind()) && change.get(*id).is_some());
        id.map(Some).ok_or_else(|| Refusal::field(name, "the object does not exist"))
    }

    fn id(&self, change: &Change<'_>, name: &str, kinds: &[Kind]) -> Result<Id, Refusal> {
        self.maybe(change, name, kinds)?.ok_or_else(|| Refusal::field(name, "needed"))
    }

    fn lead(&self, change: &Change<'_>) -> Result<Id, Refusal> {
        self.id(change, "lead_id", &[Kind::Lead])
    }

    fn contact(&self, change: &Change<'_>) -> Result<Option<Id>, Refusal> {
        self.maybe(change, "contact_id", &[Kind::Contact])
    }

    /// The user; the founder if the body names none.
    fn user(&self, change: &Change<'_>) -> Result<Id, Refusal> {
        Ok(self.maybe(change, "user_id", &[Kind::User])?.unwrap_or_else(foundation::founder))
    }
}

/// `lead_id`, `contact_id?`, `user_id?`, `direction?`, `phone?`, `local_phone?`, `ring_secs?`, `duration?`,
/// `disposition?`, `voicemail_duration?`, `recorded?`: the call starts now and ends by the clock.
fn run_call(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let dialled = call::Dialled {
        lead: wish.lead(change)?,
        contact: wish.contact(change)?,
        user: wish.user(change)?,
        inbound: wish.text("direction", "outbound") == "inbound",
        phone: wish.text("phone", "+4943100001"),
        local_phone: wish.text("local_phone", "+4940000009"),
    };
    let end = call::Progress::Ended {
        disposition: wish.text("disposition", "answered"),
        duration: wish.number("duration", 60),
        voicemail: wish.number("voicemail_duration", 0),
        recorded: wish.is("recorded", false),
    };
    change.actor.user = Some(dialled.user);
    Ok(call::run(change, &dialled, wish.number("ring_secs", 5), end))
}

/// `lead_id`, `contact_id?`, `user_id?`, `title?`, `starts_at`, `duration?`.
fn schedule_meeting(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let contact = wish.contact(change)?;
    let invited = contact.map(|contact| {
        let name = change.whole().field_of(Some(contact), "name");
        (wish.text("email", "guest@example.com"), name.as_text().unwrap_or("Guest").to_owned(), Some(contact))
    });
    let plan = meeting::Plan {
        lead: wish.lead(change)?,
        contact,
        user: Some(wish.user(change)?),
        title: wish.text("title", "Demo"),
        starts_at: wish.moment("starts_at")?.ok_or_else(|| Refusal::field("starts_at", "needed"))?,
        duration: wish.number("duration", 1800),
        attendees: invited.into_iter().collect(),
    };
    change.actor.user = plan.user;
    Ok(meeting::schedule(change, &plan))
}

/// `id`, `starts_at`.
fn reschedule_meeting(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let id = wish.id(change, "id", &[Kind::Meeting])?;
    let to = wish.moment("starts_at")?.ok_or_else(|| Refusal::field("starts_at", "needed"))?;
    meeting::reschedule(change, id, to);
    Ok(id)
}

/// `id`.
fn cancel_meeting(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let id = wish.id(change, "id", &[Kind::Meeting])?;
    meeting::cancel(change, id);
    Ok(id)
}

/// `id`, `by_lead?`.
fn decline_meeting(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let id = wish.id(change, "id", &[Kind::Meeting])?;
    meeting::decline(change, id, wish.is("by_lead", true));
    Ok(id)
}

/// `lead_id`, `contact_id?`, `user_id?`, `sender?`, `to?`, `subject?`, `body_text?`, `outgoing?`, `date?`: from a
/// synced mailbox.
fn receive_email(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let mail = email::Mail {
        lead: Some(wish.lead(change)?),
        contact: wish.contact(change)?,
        user: Some(wish.user(change)?),
        sender: wish.text("sender", "guest@example.com"),
        to: vec![wish.text("to", "mara@composed.example")],
        subject: wish.text("subject", ""),
        body: wish.text("body_text", ""),
        outgoing: wish.is("outgoing", false),
        date: wish.moment("date")?,
    };
    email::receive(change, &mail)
}

/// `id`, `opened_by?`.
fn open_email(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let id = wish.id(change, "id", &[Kind::Email])?;
    delivery::open(change, id, wish.body.text("opened_by"));
    Ok(id)
}

/// `id`, `reason?`: of a mail or an SMS.
fn fail_send(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let id = wish.id(change, "id", &[Kind::Email, Kind::Sms])?;
    delivery::fail(change, id, &wish.text("reason", "mailbox unavailable"));
    Ok(id)
}

/// `lead_id`, `contact_id?`, `user_id?`, `remote_phone?`, `local_phone?`, `text?`, `date?`.
fn receive_sms(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let arrival = sms::Arrival {
        lead: wish.lead(change)?,
        contact: wish.contact(change)?,
        user: Some(wish.user(change)?),
        remote_phone: wish.text("remote_phone", "+4943100001"),
        local_phone: wish.text("local_phone", "+4940000009"),
        text: wish.text("text", ""),
        date: wish.moment("date")?,
    };
    Ok(sms::receive(change, &arrival))
}

/// `lead_id`, `contact_id?`, `form?` (its number), `form_name?`, `values?` (an object by name), `source_url?`.
fn receive_form(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let values = wish.body.get("values").and_then(serde_json::Value::as_object).cloned().unwrap_or_default();
    let submission = form_submission::Submission {
        lead: wish.lead(change)?,
        contact: wish.contact(change)?,
        form: wish.number("form", 1).unsigned_abs(),
        form_name: wish.text("form_name", "Contact us"),
        values: values.into_iter().collect(),
        source_url: wish.text("source_url", "https://composed.example/contact?utm_source=mail"),
    };
    Ok(form_submission::receive(change, &submission))
}

/// `id`, `contact_id`: sets the contact of a submission whose contact was unknown.
fn attribute_form(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let id = wish.id(change, "id", &[Kind::FormSubmission])?;
    let contact = wish.id(change, "contact_id", &[Kind::Contact])?;
    form_submission::attribute(change, id, contact);
    Ok(id)
}

/// `lead_id`, `import_id?`.
fn mark_import(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let lead = wish.lead(change)?;
    let import = match wish.maybe(change, "import_id", &[Kind::Import])? {
        Some(import) => import,
        None => change.world.next_id(Kind::Import),
    };
    Ok(import_update::mark(change, lead, import))
}

/// `type` (any but `lead`), `lead_id`, `contact_id?`, `user_id?`, `object_id?` (a mail, call, message or opportunity).
fn raise_task(change: &mut Change<'_>, wish: &Wish<'_>) -> Result<Id, Refusal> {
    let wanted = wish.text("type", "");
    let Some(ty) = task::TYPES[1..].iter().find(|ty| **ty == wanted) else {
        return Err(Refusal::field("type", format!("must be one of {}", task::TYPES[1..].join(", "))));
    };
    let notice = system::Notice {
        ty,
        lead: wish.lead(change)?,
        contact: wish.contact(change)?,
        assigned_to: wish.user(change)?,
        object: wish.maybe(change, "object_id", &[Kind::Email, Kind::Call, Kind::Sms, Kind::Opportunity])?,
    };
    Ok(system::raise(change, &notice))
}
