//! Leads, with what is known about each at a glance.

use towpath_api::{StandardView, ViewHome, ViewTable};

use super::{Columns, optional, required};

/// Columns of an activity that happens when it is entered.
const ACTIVITY: Columns =
    &[("id", "text"), ("lead_id", "text"), ("activity_at", "timestamptz"), ("date_created", "timestamptz")];
/// Columns of a message, which may not be sent yet.
const MESSAGE: Columns = &[
    ("id", "text"),
    ("lead_id", "text"),
    ("direction", "text"),
    ("status", "text"),
    ("date_sent", "timestamptz"),
    ("activity_at", "timestamptz"),
    ("date_created", "timestamptz"),
];
const FIELD: Columns = &[("id", "text"), ("name", "text"), ("type", "text")];

const OPPORTUNITY: ViewTable = optional(
    "opportunity",
    &[
        ("id", "text"),
        ("lead_id", "text"),
        ("status_type", "text"),
        ("value", "bigint"),
        ("value_currency", "text"),
        ("value_period", "text"),
    ],
);

pub(super) const LEAD_OVERVIEW: StandardView = StandardView {
    name: "lead_overview",
    home: ViewHome::Tables,
    about: "One row per lead: its status, contacts, open opportunities, last activity and next task. A number is null \
            while the table that it comes from does not exist. Values are in units of the currency, not in cents.",
    tables: &[
        required(
            "lead",
            &[
                ("id", "text"),
                ("name", "text"),
                ("display_name", "text"),
                ("status_id", "text"),
                ("status_label", "text"),
                ("html_url", "text"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional("lead_status", &[("id", "text"), ("label", "text")]),
        optional("contact", &[("id", "text"), ("lead_id", "text")]),
        OPPORTUNITY,
        optional(
            "task",
            &[
                ("id", "text"),
                ("lead_id", "text"),
                ("is_complete", "boolean"),
                ("date", "text"),
                ("text", "text"),
                ("assigned_to", "text"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional("custom_field_lead", FIELD),
        optional("custom_field_shared", FIELD),
        optional("call", ACTIVITY),
        optional("email", MESSAGE),
        optional("sms", MESSAGE),
        optional("whatsapp_message", ACTIVITY),
        optional(
            "meeting",
            &[
                ("id", "text"),
                ("lead_id", "text"),
                ("status", "text"),
                ("starts_at", "timestamptz"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional("note", ACTIVITY),
        optional(
            "custom_activity",
            &[
                ("id", "text"),
                ("lead_id", "text"),
                ("status", "text"),
                ("activity_at", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        optional("form_submission", ACTIVITY),
        optional("task_completed", ACTIVITY),
        optional("lead_status_change", ACTIVITY),
        optional("opportunity_status_change", ACTIVITY),
    ],
    columns: &[
        ("lead_id", "The lead."),
        ("name", "Its name, or that of its contact."),
        ("status_id", "Its status."),
        ("status", "The label of the status."),
        ("html_url", "The lead in Close."),
        ("created_at", "When the lead was created."),
        (
            "owners",
            "An object with the user ids in the custom fields of type user, by the name of the field: Close has no \
             owner of a lead. Null if none is set.",
        ),
        ("contacts", "The number of contacts."),
        ("open_opportunities", "The number of opportunities whose status is active."),
        ("open_value", "The sum of their values as entered, whatever their period."),
        ("open_annualized_value", "The sum of their values of one year: monthly values count twelve times."),
        ("won_opportunities", "The number of opportunities won."),
        ("won_value", "The sum of their values as entered, whatever their period."),
        ("currency", "The currency of the values; null if the lead has no opportunity."),
        (
            "last_activity_at",
            "The time of the last activity up to now: communication, note, custom activity, form, completed task or \
             change of status. Drafts and meetings that did not take place do not count.",
        ),
        ("last_activity_kind", "The object of that activity, as its table is called."),
        ("last_communication_at", "The time of the last call, email, SMS, WhatsApp message or meeting."),
        ("open_tasks", "The number of tasks that are not completed."),
        ("next_task_id", "Of these, the one due first."),
        ("next_task_on", "The day on which it is due; null if it has none."),
        ("next_task", "Its text."),
        ("next_task_user_id", "The user to whom it is assigned."),
    ],
    sql: include_str!("../../views/lead_overview.sql"),
};
