//! Notes, calls, SMS and `WhatsApp` messages.

use std::sync::Arc;

use super::{
    case::Case,
    library,
    sheet::{Sheet, add},
    words::SENTENCE,
};
use crate::model::{Kind, Record, Value};

/// Notes: most are shared texts of every length, a third are short unique texts.
pub fn notes(case: &mut Case<'_>, sheet: &mut Sheet) {
    let count = case.plan.count(Kind::Note);
    for n in 0..count {
        let at = case.moment();
        let mut note = case.record(sheet, Kind::Note, at);
        whose(case, &mut note);
        if case.chance(0.33) {
            let text = format!("{} ({})", case.draw.pick(SENTENCE), case.draw.between(1, 1 << 30));
            add(&mut note, "note_html", library::html(&text));
            add(&mut note, "note", text);
        } else {
            let text = case.ground.library.note(&mut case.draw);
            add(&mut note, "note_html", Arc::clone(&case.ground.library.notes_html[text]));
            add(&mut note, "note", Arc::clone(&case.ground.library.notes[text]));
        }
        if case.chance(0.1) {
            add(&mut note, "title", Arc::clone(case.draw.pick(&case.ground.library.subjects)));
        }
        if case.chance(0.05) {
            add(&mut note, "pinned", true);
            let at = note.updated;
            add(&mut note, "pinned_at", at);
        }
        if n == 0 && case.plan.count(Kind::CommentThread) > 0 {
            comments(case, sheet, &note);
        }
        sheet.put(note);
    }
}

/// The comments on a note.
fn comments(case: &mut Case<'_>, sheet: &mut Sheet, note: &Record) {
    let mut thread = case.record(sheet, Kind::CommentThread, note.created);
    add(&mut thread, "object_id", note.id);
    let mut at = note.created;
    let mut participants: Vec<Value> = Vec::new();
    let count = case.plan.count(Kind::Comment);
    for _ in 0..count {
        at = case.after(at);
        let mut comment = case.record(sheet, Kind::Comment, at);
        if let Some(author) = comment.author.map(Value::Id).filter(|author| !participants.contains(author)) {
            participants.push(author);
        }
        add(&mut comment, "object_id", note.id);
        add(&mut comment, "thread_id", thread.id);
        add(&mut comment, "body", format!("<p>{}</p>", case.draw.pick(SENTENCE).replace('<', "&lt;")));
        sheet.put(comment);
    }
    thread.updated = at.max(thread.updated);
    add(&mut thread, "comment_count", count as i64);
    add(&mut thread, "participants", Value::list(participants));
    sheet.put(thread);
}

/// Status and disposition of calls, by weight; the disposition may be missing.
const CALLS: &[(u32, (&str, Option<&str>))] = &[
    (40, ("completed", Some("answered"))),
    (12, ("no-answer", Some("no-answer"))),
    (8, ("completed", Some("vm-left"))),
    (5, ("completed", Some("vm-answer"))),
    (4, ("busy", Some("busy"))),
    (2, ("failed", Some("blocked"))),
    (2, ("failed", Some("error"))),
    (2, ("cancel", Some("abandoned"))),
    (2, ("timeout", Some("no-answer"))),
    (6, ("completed", None)),
];

/// Calls with every disposition: over the organization's numbers, or logged by hand.
pub fn calls(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::Call) {
        let at = case.moment();
        let mut call = case.record(sheet, Kind::Call, at);
        whose(case, &mut call);
        let phone = with(case, &mut call).unwrap_or_else(|| format!("+4930{:07}", case.draw.below(10_000_000)).into());
        let (status, disposition) = case.draw.weighted(CALLS);
        let external = disposition.is_none();
        let direction = case.draw.weighted(&[(7, "outbound"), (3, "inbound")]);
        let talked = if matches!(disposition, Some("answered") | None) { case.draw.between(3, 3_000) } else { 0 };
        add(&mut call, "direction", sheet.word(direction));
        add(&mut call, "status", sheet.word(status));
        add(&mut call, "disposition", disposition.map_or(Value::Null, |word| sheet.word(word)));
        add(&mut call, "duration", talked);
        add(&mut call, "source", sheet.word(if external { "External" } else { "Close.io" }));
        let method =
            if external { "external" } else { case.draw.weighted(&[(8, "regular"), (2, "power"), (1, "predictive")]) };
        add(&mut call, "call_method", sheet.word(method));
        add(&mut call, "phone", phone);
        if !external {
            add(&mut call, "local_phone", Arc::clone(case.draw.pick(&case.ground.numbers)));
            add(&mut call, "cost", (talked / 60 + 1).to_string());
        }
        if talked > 30 && !external && case.chance(0.6) {
            add(&mut call, "recording_duration", talked);
            add(&mut call, "date_answered", at);
        }
        if disposition == Some("vm-answer") {
            add(&mut call, "voicemail_duration", case.draw.between(2, 60));
        }
        if case.chance(0.35) {
            let text = case.ground.library.note(&mut case.draw);
            add(&mut call, "note", Arc::clone(&case.ground.library.notes[text]));
            add(&mut call, "note_html", Arc::clone(&case.ground.library.notes_html[text]));
        } else {
            add(&mut call, "note", sheet.word(""));
        }
        if talked > 0 && case.chance(0.15) {
            add(&mut call, "outcome_id", case.ground.outcomes[0]);
        }
        sheet.put(call);
    }
}

pub fn messages(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::Sms) {
        let at = case.moment();
        let mut sms = case.record(sheet, Kind::Sms, at);
        whose(case, &mut sms);
        let phone = with(case, &mut sms).unwrap_or_else(|| "+4943100002".into());
        let inbound = case.chance(0.4);
        let status = if inbound { "inbox" } else { case.draw.weighted(&[(20, "sent"), (1, "error"), (1, "draft")]) };
        add(&mut sms, "direction", sheet.word(if inbound { "inbound" } else { "outbound" }));
        add(&mut sms, "status", sheet.word(status));
        add(&mut sms, "text", sheet.word(case.draw.word(SENTENCE)));
        add(&mut sms, "remote_phone", phone);
        add(&mut sms, "local_phone", Arc::clone(case.draw.pick(&case.ground.numbers)));
        add(&mut sms, "source", sheet.word("Close.io"));
        if status == "sent" {
            add(&mut sms, "date_sent", at);
            add(&mut sms, "cost", sheet.word("1"));
        }
        if status == "error" {
            add(&mut sms, "error_message", sheet.word("The number cannot receive messages."));
        }
        sheet.put(sms);
    }
    for n in 0..case.plan.count(Kind::WhatsAppMessage) {
        let at = case.moment();
        let mut message = case.record(sheet, Kind::WhatsAppMessage, at);
        whose(case, &mut message);
        let phone = with(case, &mut message).unwrap_or_else(|| "+4943100003".into());
        let text = *case.draw.pick(SENTENCE);
        add(&mut message, "direction", sheet.word(if case.chance(0.5) { "incoming" } else { "outgoing" }));
        add(&mut message, "external_whatsapp_message_id", format!("wamid.{}.{n}", case.lead.serial()));
        add(&mut message, "message_markdown", sheet.word(text));
        add(&mut message, "remote_phone", phone);
        add(&mut message, "local_phone", Arc::clone(case.draw.pick(&case.ground.numbers)));
        add(&mut message, "integration_name", sheet.word("Messenger"));
        add(&mut message, "source", sheet.word("External"));
        sheet.put(message);
    }
}

/// Makes the author the owner of an activity.
pub fn whose(case: &Case<'_>, activity: &mut Record) {
    add(activity, "user_id", activity.author.unwrap_or(case.owner.id));
}

/// Gives an activity a contact and returns its number.
fn with(case: &mut Case<'_>, activity: &mut Record) -> Option<Arc<str>> {
    let at = case.contact()?;
    let contact = &case.contacts[at];
    add(activity, "contact_id", contact.id);
    contact.phone.clone()
}
