//! Activities. Their lists are filtered by `date_created`, and sorted by it, newest first, whatever is asked.

use super::{Kind, Listing, object};

/// An activity.
const fn activity(kind: Kind, events: &'static [&'static str]) -> Kind {
    kind.listing(Listing::Dated(&[])).events(events)
}

/// `note` is an older name of the events.
pub(super) const NOTE: Kind = activity(object!("note", "activity/note/"), &["activity.note", "note"]);

/// Only events have `quality_info`.
pub(super) const CALL: Kind =
    activity(object!("call", "activity/call/"), &["activity.call"]).ignoring(&["quality_info"]);

pub(super) const EMAIL: Kind = activity(object!("email", "activity/email/"), &["activity.email"]);

/// The mails of a thread are objects of their own.
pub(super) const EMAIL_THREAD: Kind =
    activity(object!("email_thread", "activity/emailthread/"), &["activity.email_thread"])
        .ignoring(&["emails", "latest_emails"]);

pub(super) const SMS: Kind = activity(object!("sms", "activity/sms/"), &["activity.sms"]);

pub(super) const WHATSAPP_MESSAGE: Kind =
    activity(object!("whatsapp_message", "activity/whatsapp_message/"), &["activity.whatsapp_message"]);

pub(super) const MEETING: Kind = activity(object!("meeting", "activity/meeting/"), &["activity.meeting"]);

pub(super) const CUSTOM_ACTIVITY: Kind =
    activity(object!("custom_activity", "activity/custom/"), &["activity.custom_activity"])
        .custom("activity")
        .ignoring(&["custom"]);

/// Close documents no events; some were seen.
pub(super) const CREATED: Kind = activity(object!("created", "activity/created/"), &["activity.created"]);

pub(super) const FORM_SUBMISSION: Kind =
    activity(object!("form_submission", "activity/form_submission/"), &["activity.form_submission"]);

pub(super) const LEAD_STATUS_CHANGE: Kind =
    activity(object!("lead_status_change", "activity/status_change/lead/"), &["activity.lead_status_change"]);

pub(super) const OPPORTUNITY_STATUS_CHANGE: Kind = activity(
    object!("opportunity_status_change", "activity/status_change/opportunity/"),
    &["activity.opportunity_status_change"],
);

/// Close documents both names of the events.
pub(super) const LEAD_MERGE: Kind =
    activity(object!("lead_merge", "activity/lead_merge/"), &["activity.lead_merge", "lead_merge"]);

pub(super) const TASK_COMPLETED: Kind =
    activity(object!("task_completed", "activity/task_completed/"), &["activity.task_completed"]);

pub(super) const IMPORT_UPDATE: Kind = activity(object!("import_update", "activity/import_update/"), &[]);
