//! Delivery of mails and messages: `draft` to `outbox` or `scheduled`, from there to `sent` (reference, sections 4.6
//! and 6.5).
//!
//! Shared by emails and SMS, which have the same values of `status`.

use super::{email_thread, shared};
use crate::{
    model::{Id, Kind, Record, Refusal, Value},
    world::{change::Change, jobs::Job},
};

/// Values of `status`.
pub const STATUSES: &[&str] = &["inbox", "draft", "scheduled", "outbox", "sent", "error"];
/// Milliseconds that a mail waits in the outbox.
const OUTBOX_MILLIS: i64 = 1_000;

/// The status; `draft` if unset.
pub fn status(record: &Record) -> &str {
    record.text("status").unwrap_or("draft")
}

/// Refuses messages that cannot be sent, and dates sent ones.
pub fn check(change: &Change<'_>, before: Option<&Record>, after: &mut Record) -> Result<(), Refusal> {
    let now = status(after).to_owned();
    if let Some(before) = before
        && matches!(status(before), "sent" | "inbox")
        && status(before) != now
    {
        return Err(Refusal::field(
            "status",
            format!("The status cannot be changed from {} to {now}.", status(before)),
        ));
    }
    if matches!(now.as_str(), "outbox" | "scheduled") {
        let nobody = match after.kind() {
            Kind::Email => after.get("to").is_none_or(|to| to.items().is_empty()).then_some("to"),
            _ => after.text("remote_phone").is_none().then_some("remote_phone"),
        };
        if let Some(name) = nobody {
            return Err(Refusal::field(name, "This field is required."));
        }
    }
    if now == "scheduled" && after.moment("date_scheduled").is_none() {
        return Err(Refusal::field("date_scheduled", "This field is required."));
    }
    if now == "sent" && after.moment("date_sent").is_none() {
        let at = if before.is_some() { change.now() } else { after.created };
        after.set("date_sent", at);
    }
    Ok(())
}

/// After a message is stored: schedules its sending, or emits `sent`.
pub fn follow(change: &mut Change<'_>, before: Option<&Record>, id: Id) {
    let Some(after) = change.get(id) else { return };
    let was = before.map(status);
    match status(&after) {
        "outbox" if was != Some("outbox") => {
            let at = change.now().plus_millis(OUTBOX_MILLIS);
            change.schedule(at, Job::Send(id));
        }
        "scheduled"
            if was != Some("scheduled")
                || before.and_then(|before| before.moment("date_scheduled")) != after.moment("date_scheduled") =>
        {
            let at = after.moment("date_scheduled").unwrap_or(change.now()).max(change.now());
            change.schedule(at, Job::Send(id));
        }
        // A message created as sent was only logged.
        "sent" if was.is_some_and(|was| was != "sent") => change.emit(id, "sent"),
        _ => {}
    }
}

/// Sends a due message: `updated` and `sent`. Does nothing if it is gone, was withdrawn or is scheduled for later.
pub fn send(change: &mut Change<'_>, id: Id) {
    let Some(record) = change.get(id) else { return };
    let now = change.now();
    let due = match status(&record) {
        "outbox" => true,
        "scheduled" => record.moment("date_scheduled").is_none_or(|at| at <= now),
        _ => false,
    };
    if !due {
        return;
    }
    let cost = segments(record.text("text").unwrap_or("")).to_string();
    change.edit(id, |record| {
        record.set("status", "sent");
        record.set("date_sent", now);
        record.set("activity_at", now);
        if record.kind() == Kind::Email {
            attempt(
                record,
                Value::object([("date", now.into()), ("error_class", Value::Null), ("error_message", Value::Null)]),
            );
        } else {
            record.set("cost", cost);
        }
    });
    change.emit(id, "sent");
    email_thread::refresh_of(change, id);
    shared::touch_lead(change, id);
}

/// Fails a delivery: status `error`, with a reason.
pub fn fail(change: &mut Change<'_>, id: Id, reason: &str) {
    let now = change.now();
    change.edit(id, |record| {
        record.set("status", "error");
        if record.kind() == Kind::Email {
            attempt(
                record,
                Value::object([
                    ("date", now.into()),
                    ("error_class", "SMTPError".into()),
                    ("error_message", reason.into()),
                ]),
            );
        } else {
            record.set("error_message", reason);
        }
    });
    shared::touch_lead(change, id);
}

/// Adds an anonymous entry to the `opens` of a sent mail.
pub fn open(change: &mut Change<'_>, id: Id, opened_by: Option<&str>) {
    let now = change.now();
    change.edit(id, |record| {
        let mut opens = record.get("opens").map(|opens| opens.items().to_vec()).unwrap_or_default();
        opens.push(Value::object([
            ("opened_at", now.into()),
            ("opened_by", opened_by.into()),
            ("ip_address", "203.0.113.7".into()),
            ("user_agent", "Mozilla/5.0".into()),
        ]));
        record.set("opens", Value::list(opens));
    });
    shared::touch_lead(change, id);
}

/// `opens_summary` of a mail.
pub fn opens_summary(record: &Record) -> Value {
    match record.get("opens").map_or(0, |opens| opens.items().len()) {
        0 => Value::Null,
        1 => "Opened 1 time".into(),
        n => format!("Opened {n} times").into(),
    }
}

/// Parts of 160 characters in which a message is sent, one cent each.
fn segments(text: &str) -> usize {
    text.chars().count().div_ceil(160).max(1)
}

fn attempt(record: &mut Record, attempt: Value) {
    let mut attempts = record.get("send_attempts").map(|attempts| attempts.items().to_vec()).unwrap_or_default();
    attempts.push(attempt);
    record.set("send_attempts", Value::list(attempts));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_costs_a_cent_for_every_part() {
        assert_eq!((segments(""), segments(&"x".repeat(160)), segments(&"x".repeat(161))), (1, 1, 2));
    }
}
