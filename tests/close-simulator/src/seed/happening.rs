//! Meetings, custom activities, sequence subscriptions, and the traces of other work on a lead.

use std::sync::Arc;

use serde_json::json;

use super::{
    case::Case,
    conversation::whose,
    sheet::{Sheet, add},
};
use crate::model::{Id, Kind, Value};

/// Meetings, past and future: `date_created` is `starts_at`, so future ones were created in the future (reference,
/// section 8.1).
pub fn meetings(case: &mut Case<'_>, sheet: &mut Sheet) {
    for n in 0..case.plan.count(Kind::Meeting) {
        let future = case.chance(0.15);
        let planned = case.moment();
        let starts = if future {
            case.ground.now.plus_secs(case.draw.between(1, 90 * 24) * 3_600).to_secs()
        } else {
            planned.plus_days(case.draw.between(0, 14)).min(case.ground.settled.plus_secs(-7_200)).to_secs()
        };
        let duration = [900, 1_800, 3_600, 5_400][case.draw.below(4)];
        let mut meeting = case.record(sheet, Kind::Meeting, starts);
        meeting.updated = if future { planned } else { starts.plus_secs(duration) };
        case.latest = case.latest.max(meeting.updated);
        whose(case, &mut meeting);
        let status = if future {
            "upcoming"
        } else {
            case.draw.weighted(&[(12, "completed"), (2, "canceled"), (1, "declined-by-lead"), (1, "declined-by-org")])
        };
        add(&mut meeting, "status", sheet.word(status));
        add(&mut meeting, "title", Arc::clone(case.draw.pick(&case.ground.library.subjects)));
        add(&mut meeting, "starts_at", starts);
        add(&mut meeting, "ends_at", starts.plus_secs(duration));
        add(&mut meeting, "source", sheet.word("calendar"));
        if case.chance(0.4) {
            add(&mut meeting, "location", sheet.word("https://video.example/room"));
        }
        let contact = case.contact();
        if let Some(at) = contact {
            add(&mut meeting, "contact_id", case.contacts[at].id);
        }
        let ours = case.owner;
        let mut attendees =
            vec![attendee(sheet, Arc::clone(&ours.email), Arc::clone(&ours.name), "yes", Some(ours.id), None)];
        if let Some(at) = contact {
            let answer = ["noreply", "yes", "maybe", "no"][case.draw.below(4)];
            let theirs = &case.contacts[at];
            let email = theirs.email.clone().unwrap_or_else(|| "guest@elsewhere.example".into());
            attendees.push(attendee(sheet, email, Arc::clone(&theirs.name), answer, None, Some(theirs.id)));
        }
        add(&mut meeting, "attendees", Value::list(attendees));
        if let Some((account, _)) = case.ground.accounts.first() {
            add(&mut meeting, "connected_account_id", *account);
        }
        let uid = format!("{}-{n}@calendar.example", case.lead.serial());
        add(&mut meeting, "provider_calendar_event_id", uid.as_str());
        add(&mut meeting, "calendar_event_uids", Value::list([uid.into()]));
        if status == "completed" && case.chance(0.5) {
            let note = case.ground.library.note(&mut case.draw);
            add(&mut meeting, "user_note", Arc::clone(&case.ground.library.notes[note]));
            add(&mut meeting, "user_note_html", Arc::clone(&case.ground.library.notes_html[note]));
        }
        sheet.put(meeting);
    }
}

fn attendee(
    sheet: &mut Sheet,
    email: Arc<str>,
    name: Arc<str>,
    status: &'static str,
    user: Option<Id>,
    contact: Option<Id>,
) -> Value {
    Value::object([
        ("email", email.into()),
        ("name", name.into()),
        ("status", sheet.word(status)),
        ("user_id", user.into()),
        ("contact_id", contact.into()),
        ("is_organizer", user.is_some().into()),
    ])
}

/// Custom activities: drafts, which may lack fields, and published ones.
pub fn custom_activities(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::CustomActivity) {
        let at = case.moment();
        let mut activity = case.record(sheet, Kind::CustomActivity, at);
        whose(case, &mut activity);
        let (ty, fields) = case.draw.pick_front(&case.ground.activity_types);
        let published = case.chance(0.8);
        add(&mut activity, "custom_activity_type_id", *ty);
        add(&mut activity, "status", sheet.word(if published { "published" } else { "draft" }));
        if published {
            let published = activity.updated;
            add(&mut activity, "last_published_at", published);
        }
        if case.chance(0.1) {
            // Users may edit `activity_at`.
            add(&mut activity, "activity_at", at.plus_days(-case.draw.between(1, 30)));
        }
        case.customize(&mut activity, fields);
        sheet.put(activity);
    }
}

/// Activities that Close writes by itself: creation, changes of status, merges, completed tasks, forms, imports.
pub fn traces(case: &mut Case<'_>, sheet: &mut Sheet) {
    let mut created = sheet.record(Kind::Created, case.born, Some(case.lead), Some(case.owner.id));
    add(&mut created, "user_id", case.owner.id);
    add(&mut created, "source", sheet.word(if case.import.is_some() { "import" } else { "ui" }));
    add(&mut created, "import_id", case.import);
    sheet.put(created);

    for _ in 0..case.plan.count(Kind::LeadStatusChange) {
        let at = case.moment();
        let mut change = case.record(sheet, Kind::LeadStatusChange, at);
        whose(case, &mut change);
        let old = *case.draw.pick(&case.ground.statuses);
        add(&mut change, "old_status_id", old);
        add(&mut change, "new_status_id", *case.draw.pick_front(&case.ground.statuses));
        sheet.put(change);
    }
    for _ in 0..case.plan.count(Kind::OpportunityStatusChange) {
        let at = case.moment();
        let mut change = case.record(sheet, Kind::OpportunityStatusChange, at);
        whose(case, &mut change);
        let (deal, status) = *case.draw.pick(&case.deals);
        let old = *case.draw.pick(&case.ground.deal_statuses);
        add(&mut change, "opportunity_id", deal);
        add(&mut change, "old_status_id", old.id);
        add(&mut change, "new_status_id", status.id);
        add(&mut change, "old_status_type", sheet.word(old.ty));
        add(&mut change, "new_status_type", sheet.word(status.ty));
        add(&mut change, "old_pipeline_id", old.pipeline);
        add(&mut change, "new_pipeline_id", status.pipeline);
        add(&mut change, "opportunity_value", case.draw.between(0, 9_000) * 100);
        add(&mut change, "opportunity_value_currency", sheet.word("EUR"));
        add(&mut change, "opportunity_value_period", sheet.word("one_time"));
        add(&mut change, "opportunity_confidence", case.draw.between(0, 20) * 5);
        if status.ty == "won" {
            add(&mut change, "opportunity_date_won", at.to_secs());
        }
        sheet.put(change);
    }
    for (task, text, assigned) in std::mem::take(&mut case.done) {
        let at = case.moment();
        let mut done = case.record(sheet, Kind::TaskCompleted, at);
        whose(case, &mut done);
        add(&mut done, "task_id", task);
        add(&mut done, "task_text", text);
        add(&mut done, "task_assigned_to", assigned);
        sheet.put(done);
    }
    merges(case, sheet);
    forms(case, sheet);
    for _ in 0..case.plan.count(Kind::ImportUpdate) {
        let (import, at) = *case.draw.pick(&case.ground.imports);
        let at = at.max(case.born);
        let mut update = case.record(sheet, Kind::ImportUpdate, at);
        whose(case, &mut update);
        add(&mut update, "import_id", import);
        add(&mut update, "reverted", case.draw.chance(0.05));
        sheet.put(update);
    }
}

fn merges(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::LeadMerge) {
        let at = case.moment();
        let gone = sheet.id(Kind::Lead);
        let mut merge = case.record(sheet, Kind::LeadMerge, at);
        whose(case, &mut merge);
        add(&mut merge, "source_lead_id", gone);
        add(&mut merge, "destination_lead_id", case.lead);
        add(&mut merge, "source_display_name", sheet.word("Acme Inc (old)"));
        add(&mut merge, "destination_display_name", sheet.word("Acme Inc"));
        add(&mut merge, "merge_status", sheet.word("completed"));
        sheet.put(merge);
    }
}

fn forms(case: &mut Case<'_>, sheet: &mut Sheet) {
    for _ in 0..case.plan.count(Kind::FormSubmission) {
        let at = case.moment();
        let mut form = case.record(sheet, Kind::FormSubmission, at);
        form.author = None;
        form.editor = None;
        let seed = case.ground.seed;
        let field = |n: u64| Id::new(Kind::FormField, n).text(seed);
        add(&mut form, "form_id", Id::new(Kind::Form, 1));
        add(&mut form, "form_configuration_id", sheet.word("formcfg_1"));
        add(&mut form, "form_name", sheet.word("Contact us"));
        let values = json!({
            field(1): format!("guest{}@elsewhere.example", case.lead.serial()), field(2): case.draw.chance(0.5),
            field(3): null
        });
        add(&mut form, "values", Value::json(&values));
        add(
            &mut form,
            "values_by_name",
            Value::json(&json!({ "Email": format!("guest{}@elsewhere.example", case.lead.serial()) })),
        );
        add(&mut form, "ip_address", sheet.word("198.51.100.4"));
        add(&mut form, "source_url", sheet.word("https://www.composed.example/contact?utm=1"));
        if let Some(contact) = case.contact() {
            add(&mut form, "contact_id", case.contacts[contact].id);
        }
        sheet.put(form);
    }
}

pub fn subscriptions(case: &mut Case<'_>, sheet: &mut Sheet) {
    for n in 0..case.plan.count(Kind::SequenceSubscription) {
        let at = case.moment();
        let mut subscription = case.record(sheet, Kind::SequenceSubscription, at);
        let contact = &case.contacts[n % case.contacts.len()];
        let (id, email) = (contact.id, contact.email.clone());
        let status = case.draw.weighted(&[(4, "active"), (2, "paused"), (6, "finished"), (2, "goal"), (1, "error")]);
        add(&mut subscription, "sequence_id", *case.draw.pick_front(&case.ground.sequences));
        add(&mut subscription, "contact_id", id);
        add(&mut subscription, "contact_email", email);
        add(&mut subscription, "status", sheet.word(status));
        if status == "paused" {
            add(&mut subscription, "pause_reason", sheet.word("manual"));
        }
        if let Some((account, person)) = case.ground.accounts.first() {
            add(&mut subscription, "sender_account_id", account.text(case.ground.seed));
            add(&mut subscription, "sender_name", Arc::clone(&person.name));
            add(&mut subscription, "sender_email", Arc::clone(&person.email));
        }
        add(&mut subscription, "start_date", at);
        sheet.put(subscription);
    }
}
