//! Opportunities, tasks and the notifications of the system.

use std::sync::Arc;

use super::{
    case::Case,
    sheet::{Sheet, add},
    words::TODO,
};
use crate::model::{Kind, Value};

/// The opportunities, in every status: won with a date, lost with a moment, active with or without an expected date.
pub fn opportunities(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::Opportunity) {
        let at = case.moment();
        let mut deal = case.record(sheet, Kind::Opportunity, at);
        let status = *case.draw.pick_front(&case.ground.deal_statuses);
        add(&mut deal, "status_id", status.id);
        if !case.chance(0.05) {
            let value = case.draw.between(0, 4_000) * [25, 100, 100, 1_000][case.draw.below(4)];
            add(&mut deal, "value", value);
        }
        let period = case.draw.weighted(&[(5, "one_time"), (4, "monthly"), (3, "annual")]);
        add(&mut deal, "value_period", sheet.word(period));
        let confidence = match status.ty {
            "won" => 100,
            "lost" => 0,
            _ => case.draw.between(0, 20) * 5,
        };
        add(&mut deal, "confidence", confidence);
        add(&mut deal, "user_id", case.somebody().unwrap_or(case.owner.id));
        if let Some(contact) = case.contact() {
            add(&mut deal, "contact_id", case.contacts[contact].id);
        }
        let decided = deal.updated;
        match status.ty {
            "won" => add(&mut deal, "date_won", decided.day(0)),
            "lost" => add(&mut deal, "date_lost", decided),
            _ if case.chance(0.6) => add(&mut deal, "date_won", case.draw.day(at, 0, 200)),
            _ => {}
        }
        if case.chance(0.4) {
            let note = case.ground.library.note(&mut case.draw);
            add(&mut deal, "note", Arc::clone(&case.ground.library.notes[note]));
        }
        let fields = &case.ground.opportunity_fields;
        case.customize(&mut deal, fields);
        case.deals.push((deal.id, status));
        sheet.put(deal);
    }
}

/// The tasks that users assigned to themselves and each other; the first ones are done.
pub fn tasks(case: &mut Case<'_>, sheet: &mut Sheet) {
    let done = case.plan.count(Kind::TaskCompleted);
    for n in 0..case.plan.count(Kind::Task) {
        let at = case.moment();
        let mut task = case.record(sheet, Kind::Task, at);
        let text = sheet.word(case.draw.word(TODO));
        let assigned = case.somebody();
        add(&mut task, "_type", sheet.word("lead"));
        add(&mut task, "text", text.clone());
        add(&mut task, "is_complete", n < done);
        if let Some(user) = assigned {
            add(&mut task, "assigned_to", user);
        }
        // A date alone, a moment, or none at all.
        match case.draw.below(5) {
            0 => {}
            1 => add(&mut task, "date", at.plus_days(case.draw.between(0, 60)).to_secs()),
            _ => add(&mut task, "date", case.draw.day(at, 0, 60)),
        }
        if case.chance(0.2)
            && let Some(contact) = case.contact()
        {
            add(&mut task, "contact_id", case.contacts[contact].id);
        }
        if n < done {
            case.done.push((task.id, text, assigned));
        }
        sheet.put(task);
    }
}

const NOTIFICATIONS: &[(u32, &str)] = &[
    (6, "incoming_email"),
    (3, "email_followup"),
    (3, "missed_call"),
    (1, "answered_detached_call"),
    (2, "voicemail"),
    (2, "opportunity_due"),
    (2, "incoming_sms"),
    (1, "outgoing_call"),
];

/// The notifications of the system, each type with its fields.
pub fn notifications(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::Notification) {
        let ty = case.draw.weighted(NOTIFICATIONS);
        let at = case.moment();
        let mut task = case.record(sheet, Kind::Notification, at);
        task.author = None;
        add(&mut task, "_type", sheet.word(ty));
        add(&mut task, "is_complete", false);
        add(&mut task, "assigned_to", case.owner.id);
        add(&mut task, "date", at.day(0));
        let contact = case.contact();
        if let Some(contact) = contact {
            add(&mut task, "contact_id", case.contacts[contact].id);
        }
        let phone = contact.and_then(|at| case.contacts[at].phone.clone()).unwrap_or_else(|| "+4943100001".into());
        let own = Arc::clone(case.draw.pick(&case.ground.numbers));
        let subject = Arc::clone(case.draw.pick(&case.ground.library.subjects));
        match ty {
            "incoming_email" | "email_followup" => {
                let mail = case.ground.library.mail(&mut case.draw);
                add(&mut task, "subject", subject);
                add(&mut task, "body_preview", Arc::clone(&case.ground.library.mails[mail].2));
                if ty == "email_followup" {
                    add(&mut task, "total_emails_count_in_thread", 2);
                }
            }
            "opportunity_due" => {
                if let Some((deal, _)) = case.deals.first() {
                    add(&mut task, "object_type", sheet.word("opportunity"));
                    add(&mut task, "object_id", *deal);
                }
            }
            "incoming_sms" => {
                add(&mut task, "remote_phone", phone);
                add(&mut task, "local_phone", own);
                add(&mut task, "text", subject);
            }
            "outgoing_call" => {
                add(&mut task, "sequence_id", *case.draw.pick(&case.ground.sequences));
            }
            _ => {
                add(&mut task, "phone", phone);
                add(&mut task, "local_phone", own);
                if ty == "voicemail" {
                    add(&mut task, "voicemail_duration", case.draw.between(2, 120));
                    add(&mut task, "voicemail_url", Value::from("https://app.close.com/go/voicemail/"));
                }
            }
        }
        sheet.put(task);
    }
}
