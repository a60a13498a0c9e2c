//! Email threads with their mails: sent from Close, or synced from a mailbox, some of them years older than the
//! organization.

use std::sync::Arc;

use super::{
    case::Case,
    ground::Person,
    sheet::{Sheet, add},
    words::AGENTS,
};
use crate::model::{Id, Kind, Moment, Value};

/// The threads. Every thread has a mail; the rest are spread over them.
pub fn threads(case: &mut Case<'_>, sheet: &mut Sheet) {
    let threads = case.plan.count(Kind::EmailThread);
    let mut left = case.plan.count(Kind::Email);
    for n in 0..threads {
        let others = threads - n - 1;
        let mails = if others == 0 { left } else { 1 + case.draw.below(left - others) };
        left -= mails;
        thread(case, sheet, mails);
    }
}

/// Common values of all mails of a thread.
struct Talk {
    thread: Id,
    contact: Option<Id>,
    theirs: Arc<str>,
    account: Option<Id>,
    ours: Person,
    subject: Arc<str>,
    synced: bool,
}

fn thread(case: &mut Case<'_>, sheet: &mut Sheet, mails: usize) {
    let synced = case.chance(0.35);
    let mut at = if synced && case.chance(0.3) {
        let first = case.ground.born.plus_days(-6 * 365);
        case.draw.moment(first, case.born)
    } else {
        case.moment()
    };
    if synced {
        at = at.to_secs();
    }
    let mut record = case.record(sheet, Kind::EmailThread, at);
    let contact = case.contact();
    let theirs = contact
        .and_then(|at| case.contacts[at].email.clone())
        .unwrap_or_else(|| format!("info@lead{}.example", case.lead.serial()).into());
    let (account, ours) = if case.ground.accounts.is_empty() {
        (None, case.owner.clone())
    } else {
        let (account, person) = case.draw.pick_front(&case.ground.accounts);
        (Some(*account), person.clone())
    };
    let subject = Arc::clone(case.draw.pick(&case.ground.library.subjects));
    let contact = contact.map(|at| case.contacts[at].id);
    let talk = Talk { thread: record.id, contact, theirs, account, ours, subject, synced };
    let (mut ids, mut last) = (Vec::with_capacity(mails), at);
    for n in 0..mails {
        let id = mail(case, sheet, &talk, at, n, mails);
        ids.push(Value::Id(id));
        last = at;
        let step = case.draw.between(60, 4 * 86_400);
        at = at.plus_secs(step).min(case.ground.settled);
        if synced {
            at = at.to_secs().max(last);
        }
    }
    record.updated = last.max(record.updated);
    add(&mut record, "latest_normalized_subject", Arc::clone(&talk.subject));
    let participant = |email: &Arc<str>, name: Option<&Arc<str>>| {
        Value::object([
            ("email", Arc::clone(email).into()),
            ("name", name.map_or_else(|| "".into(), |name| Arc::clone(name).into())),
        ])
    };
    let participants = [participant(&talk.theirs, None), participant(&talk.ours.email, Some(&talk.ours.name))];
    add(&mut record, "participants", Value::list(participants));
    add(&mut record, "email_ids", Value::list(ids));
    add(&mut record, "contact_id", talk.contact);
    add(&mut record, "user_id", talk.ours.id);
    add(&mut record, "activity_at", last);
    sheet.put(record);
}

fn mail(case: &mut Case<'_>, sheet: &mut Sheet, talk: &Talk, at: Moment, n: usize, mails: usize) -> Id {
    let mut mail = case.record(sheet, Kind::Email, at);
    if talk.synced {
        mail.author = None;
        mail.editor = None;
    }
    let incoming = if talk.synced { case.chance(0.6) } else { n % 2 == 1 };
    let last = n + 1 == mails;
    let status = match (incoming, last && !talk.synced) {
        (true, _) => "inbox",
        (false, true) => case.draw.weighted(&[(16, "sent"), (2, "draft"), (1, "error")]),
        (false, false) => "sent",
    };
    let (from, to) = if incoming { (&talk.theirs, &talk.ours.email) } else { (&talk.ours.email, &talk.theirs) };
    add(&mut mail, "status", sheet.word(status));
    if n == 0 {
        add(&mut mail, "subject", Arc::clone(&talk.subject));
    } else {
        add(&mut mail, "subject", format!("Re: {}", talk.subject));
    }
    let body = case.ground.library.mail(&mut case.draw);
    let (plain, html, _) = &case.ground.library.mails[body];
    add(&mut mail, "body_text", Arc::clone(plain));
    add(&mut mail, "body_html", Arc::clone(html));
    let sender: Value = if incoming { Arc::clone(from).into() } else { format!("{} <{from}>", talk.ours.name).into() };
    add(&mut mail, "sender", sender);
    add(&mut mail, "to", Value::list([Arc::clone(to).into()]));
    if case.chance(0.1) {
        let other = case.draw.pick_front(&case.ground.people);
        add(&mut mail, "cc", Value::list([Arc::clone(&other.email).into()]));
    }
    add(&mut mail, "thread_id", talk.thread);
    add(&mut mail, "contact_id", talk.contact);
    add(&mut mail, "user_id", talk.ours.id);
    add(&mut mail, "email_account_id", talk.account);
    if talk.synced {
        let message = format!("<{}.{n}@lead.example>", mail.id.serial());
        add(&mut mail, "message_ids", Value::list([message.into()]));
    }
    if status == "sent" {
        add(&mut mail, "date_sent", at);
        if !talk.synced && case.chance(0.4) {
            let opens = (0..case.draw.tail(1.4, 12)).map(|_| open(case, sheet, at, &talk.theirs)).collect::<Vec<_>>();
            add(&mut mail, "opens", Value::list(opens));
        }
        if !talk.synced && n == 0 && case.chance(0.3) {
            add(&mut mail, "template_id", *case.draw.pick(&case.ground.templates));
        }
        if n + 1 < mails {
            add(&mut mail, "has_reply", true);
        }
    }
    let id = mail.id;
    sheet.put(mail);
    id
}

fn open(case: &mut Case<'_>, sheet: &mut Sheet, at: Moment, by: &Arc<str>) -> Value {
    Value::object([
        ("opened_at", case.after(at).into()),
        ("opened_by", Arc::clone(by).into()),
        ("ip_address", sheet.word("203.0.113.7")),
        ("user_agent", sheet.word(case.draw.word(AGENTS))),
    ])
}
