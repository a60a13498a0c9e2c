//! What each user did on each day.

use towpath_api::{StandardView, ViewHome};

use super::{USER, optional, required};

pub(super) const PRODUCTIVITY_DAILY: StandardView = StandardView {
    name: "productivity_daily",
    home: ViewHome::Tables,
    about: "One row per user and day (UTC) on which the user did something: calls, emails, messages, meetings, tasks \
            and notes. Activities of deleted leads do not count. A count is null while its table does not exist: no \
            such activity has arrived yet, or the object is excluded.",
    tables: &[
        // No other organization than one of Close has it, so the view appears nowhere else.
        required(
            "membership",
            &[("id", "text"), ("user_id", "text"), ("role_id", "text"), ("part", "text"), ("user_full_name", "text")],
        ),
        USER,
        optional(
            "call",
            &[
                ("id", "text"),
                ("user_id", "text"),
                ("direction", "text"),
                ("disposition", "text"),
                ("duration", "bigint"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional(
            "email",
            &[
                ("id", "text"),
                ("user_id", "text"),
                ("direction", "text"),
                ("status", "text"),
                ("date_sent", "timestamptz"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional(
            "sms",
            &[
                ("id", "text"),
                ("user_id", "text"),
                ("direction", "text"),
                ("status", "text"),
                ("date_sent", "timestamptz"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional(
            "whatsapp_message",
            &[
                ("id", "text"),
                ("user_id", "text"),
                ("direction", "text"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional(
            "meeting",
            &[
                ("id", "text"),
                ("user_id", "text"),
                ("status", "text"),
                ("duration", "bigint"),
                ("starts_at", "timestamptz"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional(
            "task_completed",
            &[("id", "text"), ("user_id", "text"), ("activity_at", "timestamptz"), ("date_created", "timestamptz")],
        ),
        optional(
            "note",
            &[("id", "text"), ("user_id", "text"), ("activity_at", "timestamptz"), ("date_created", "timestamptz")],
        ),
    ],
    columns: &[
        ("user_id", "The user whose activity it is. Activities without a user do not count."),
        ("user_name", "First and last name."),
        ("day", "The day in UTC, by the time of the activity: when sent, when a meeting starts."),
        ("calls_made", "Outbound calls, whatever came of them."),
        ("calls_made_answered", "Those that were answered."),
        ("call_minutes_made", "Minutes of outbound calls, to the hundredth."),
        ("calls_received", "Inbound calls, whatever came of them."),
        ("calls_received_answered", "Those that were answered."),
        ("call_minutes_received", "Minutes of inbound calls, to the hundredth."),
        ("emails_sent", "Emails sent; drafts, scheduled and failed ones do not count."),
        ("emails_received", "Emails received."),
        ("sms_sent", "SMS sent; drafts, scheduled and failed ones do not count."),
        ("sms_received", "SMS received."),
        ("whatsapp_sent", "WhatsApp messages sent."),
        ("whatsapp_received", "WhatsApp messages received."),
        ("meetings_held", "Meetings that took place (status completed), on the day of their start."),
        ("meeting_minutes", "Their minutes, to the hundredth."),
        ("tasks_done", "Tasks completed, by the user who completed them."),
        ("notes", "Notes written."),
    ],
    sql: include_str!("../../views/productivity_daily.sql"),
};
