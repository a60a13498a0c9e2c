//! The metrics of activity reports, and their list.

use serde_json::{Value as Json, json};

use super::{range::Range, text};
use crate::{
    http::{Answer, Request},
    model::{Kind, Moment, Record, Refusal, Value},
    world::{people::Caller, view::View},
};

/// How records become one number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Number of records.
    Count,
    /// The sum of an integer field.
    Sum(&'static str),
    /// The mean of an integer field.
    Average(&'static str),
}

pub(super) struct Metric {
    /// As `calls.outbound.all.count`.
    pub key: &'static str,
    /// For people.
    pub name: &'static str,
    /// The kind that it reads.
    pub kind: Kind,
    /// Returns true for records that count.
    pub counts: fn(&View<'_>, &Record) -> bool,
    /// The moment at which a record counts, if not its `date_created`.
    pub at: fn(&Record) -> Option<Moment>,
    pub measure: Measure,
}

const fn metric(key: &'static str, name: &'static str, kind: Kind, counts: fn(&View<'_>, &Record) -> bool) -> Metric {
    Metric { key, name, kind, counts, at: |record| Some(record.created), measure: Measure::Count }
}

fn outbound(view: &View<'_>, record: &Record) -> bool {
    matches!(text(view, record, "direction").as_deref(), Some("outbound" | "outgoing"))
}

fn inbound(view: &View<'_>, record: &Record) -> bool {
    matches!(text(view, record, "direction").as_deref(), Some("inbound" | "incoming"))
}

fn has_status(view: &View<'_>, record: &Record, status: &str) -> bool {
    text(view, record, "status").as_deref() == Some(status)
}

/// Returns true if a user sent the mail or message.
pub(super) fn sent(view: &View<'_>, message: &Record) -> bool {
    outbound(view, message) && has_status(view, message, "sent")
}

fn answered(call: &Record) -> bool {
    call.text("disposition") == Some("answered")
        || call.int("duration").unwrap_or(0) > 0 && call.get("disposition").is_none()
}

/// The type of an opportunity's status: active, won or lost.
pub(super) fn status_type(view: &View<'_>, opportunity: &Record) -> Option<String> {
    view.field_of(opportunity.id_of("status_id"), "type").as_text().map(str::to_owned)
}

/// The day on which it was won or lost.
pub(super) fn closed(opportunity: &Record) -> Option<Moment> {
    match opportunity.get("date_won") {
        Some(Value::Day(day)) => Some(day.start(0)),
        _ => opportunity.moment("date_lost").or(Some(opportunity.updated)),
    }
}

fn won(view: &View<'_>, opportunity: &Record) -> bool {
    status_type(view, opportunity).as_deref() == Some("won")
}

fn lost(view: &View<'_>, opportunity: &Record) -> bool {
    status_type(view, opportunity).as_deref() == Some("lost")
}

pub(super) static METRICS: &[Metric] = &[
    metric("calls.all.all.count", "All Calls - All Types", Kind::Call, |_, _| true),
    metric("calls.outbound.all.count", "Outbound Calls - All Types", Kind::Call, outbound),
    metric("calls.outbound.answered.count", "Outbound Calls - Answered", Kind::Call, |view, call| {
        outbound(view, call) && answered(call)
    }),
    metric("calls.outbound.unanswered.count", "Outbound Calls - Unanswered", Kind::Call, |view, call| {
        outbound(view, call) && !answered(call)
    }),
    metric("calls.inbound.all.count", "Inbound Calls - All Types", Kind::Call, inbound),
    metric("calls.inbound.answered.count", "Inbound Calls - Answered", Kind::Call, |view, call| {
        inbound(view, call) && answered(call)
    }),
    metric("calls.inbound.unanswered.count", "Inbound Calls - Missed", Kind::Call, |view, call| {
        inbound(view, call) && !answered(call)
    }),
    Metric {
        measure: Measure::Sum("duration"),
        ..metric("calls.all.all.sum_duration", "All Calls - Total Duration", Kind::Call, |_, _| true)
    },
    Metric {
        measure: Measure::Sum("duration"),
        ..metric("calls.outbound.all.sum_duration", "Outbound Calls - Total Duration", Kind::Call, outbound)
    },
    Metric {
        measure: Measure::Sum("duration"),
        ..metric("calls.inbound.all.sum_duration", "Inbound Calls - Total Duration", Kind::Call, inbound)
    },
    Metric {
        measure: Measure::Average("duration"),
        ..metric("calls.all.all.average_duration", "All Calls - Average Duration", Kind::Call, |_, _| true)
    },
    metric("emails.sent.all.count", "Sent Emails", Kind::Email, sent),
    metric("emails.received.all.count", "Received Emails", Kind::Email, inbound),
    metric("emails.opened.all.count", "Opened Emails", Kind::Email, |view, mail| outbound(view, mail) && opened(mail)),
    metric("sms.sent.all.count", "Sent SMS", Kind::Sms, sent),
    metric("sms.received.all.count", "Received SMS", Kind::Sms, inbound),
    metric("whatsapp_messages.sent.all.count", "Sent WhatsApp Messages", Kind::WhatsAppMessage, outbound),
    metric("whatsapp_messages.received.all.count", "Received WhatsApp Messages", Kind::WhatsAppMessage, inbound),
    metric("meetings.all.all.count", "Meetings", Kind::Meeting, |_, _| true),
    metric("meetings.completed.all.count", "Completed Meetings", Kind::Meeting, |view, meeting| {
        has_status(view, meeting, "completed")
    }),
    metric("meetings.canceled.all.count", "Canceled Meetings", Kind::Meeting, |view, meeting| {
        has_status(view, meeting, "canceled")
    }),
    metric("notes.all.all.count", "Notes", Kind::Note, |_, _| true),
    metric("custom_activities.all.all.count", "Custom Activities", Kind::CustomActivity, |_, _| true),
    metric("tasks.completed.all.count", "Completed Tasks", Kind::TaskCompleted, |_, _| true),
    metric("leads.created.all.count", "Created Leads", Kind::Lead, |_, _| true),
    metric("contacts.created.all.count", "Created Contacts", Kind::Contact, |_, _| true),
    metric("opportunities.created.all.count", "Created Opportunities", Kind::Opportunity, |_, _| true),
    Metric {
        measure: Measure::Sum("value"),
        ..metric("opportunities.created.all.sum_value", "Created Opportunities - Value", Kind::Opportunity, |_, _| true)
    },
    Metric { at: closed, ..metric("opportunities.won.all.count", "Won Opportunities", Kind::Opportunity, won) },
    Metric {
        at: closed,
        measure: Measure::Sum("value"),
        ..metric("opportunities.won.all.sum_value", "Won Opportunities - Value", Kind::Opportunity, won)
    },
    Metric { at: closed, ..metric("opportunities.lost.all.count", "Lost Opportunities", Kind::Opportunity, lost) },
];

/// Returns true if a mail was opened.
pub(super) fn opened(mail: &Record) -> bool {
    match mail.get("opens") {
        Some(Value::List(opens)) => !opens.is_empty(),
        Some(Value::Json(opens)) => &**opens != "[]",
        _ => false,
    }
}

impl Metric {
    /// The records that count in a time, each with its moment.
    pub(super) fn records<'v>(&self, view: &'v View<'_>, range: Range) -> Vec<(Moment, &'v Record)> {
        let found = view.all(self.kind).filter_map(|record| Some(((self.at)(record)?, record)));
        found.filter(|(at, record)| range.holds(*at) && (self.counts)(view, record)).collect()
    }

    /// The metric over some of its records.
    pub(super) fn number<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Json {
        let (mut count, mut sum) = (0i64, 0i64);
        for record in records {
            count += 1;
            if let Measure::Sum(field) | Measure::Average(field) = self.measure {
                sum += record.int(field).unwrap_or(0);
            }
        }
        match self.measure {
            Measure::Count => count.into(),
            Measure::Sum(_) => sum.into(),
            Measure::Average(_) if count == 0 => 0.into(),
            Measure::Average(_) => (sum as f64 / count as f64).into(),
        }
    }
}

/// `GET /report/activity/metrics/`
#[allow(clippy::unnecessary_wraps)]
pub(super) fn list(_: &View<'_>, _: &Caller, _: &Request) -> Result<Answer, Refusal> {
    let metrics: Vec<Json> = METRICS
        .iter()
        .map(|metric| {
            json!({
                "key": metric.key, "name": metric.name, "description": format!("{} in the period.", metric.name)
            })
        })
        .collect();
    Ok(Answer::json(200, &json!({ "metrics": metrics })))
}
