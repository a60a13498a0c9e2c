//! Leads and what belongs to them, but for activities.

use super::{Kind, Listing, object};

/// Fields that are objects of their own, depend on the time of the request, or are computed from other objects and
/// therefore change without an event. `custom` has the custom fields by name, which the fields by id repeat.
pub(super) const LEAD: Kind =
    object!("lead", "lead/").listing(Listing::Searched).events(&["lead"]).custom("lead").ignoring(&[
        "__object_type",
        "contacts",
        "opportunities",
        "tasks",
        "integration_links",
        "primary_email",
        "primary_phone",
        "contacts_summary",
        "localtime",
        "recent_calls",
        "summaries",
        "custom",
    ]);

pub(super) const CONTACT: Kind = object!("contact", "contact/")
    .listing(Listing::Searched)
    .events(&["contact"])
    .custom("contact")
    .ignoring(&["__object_type", "integration_links", "subscriptions", "recent_calls", "custom"]);

pub(super) const OPPORTUNITY: Kind = object!("opportunity", "opportunity/")
    .listing(Listing::Dated(&[("_order_by", "-date_created")]))
    .events(&["opportunity"])
    .custom("opportunity")
    .ignoring(&[
        "integration_links",
        "comment_summary",
        "is_stalled",
        "stall_status",
        "suggested_action",
        "lead_primary_email",
        "lead_primary_phone",
        "custom",
    ]);

/// Without `_type=all` the list has tasks of type `lead` only. `view` depends on the time of the request.
pub(super) const TASK: Kind = object!("task", "task/")
    .listing(Listing::Dated(&[("_type", "all"), ("_order_by", "-date_created")]))
    .events(&[
        "task.lead",
        "task.incoming_email",
        "task.email_followup",
        "task.missed_call",
        "task.answered_detached_call",
        "task.voicemail",
        "task.opportunity_due",
        "task.incoming_sms",
        "task.outgoing_call",
    ])
    .ignoring(&["view"]);

/// Without `lead_id` the list answers 400.
pub(super) const CUSTOM_OBJECT: Kind = object!("custom_object", "custom_object/")
    .listing(Listing::PerParent { parent: "lead", parameter: "lead_id" })
    .events(&["custom_object"])
    .custom("custom_object")
    .ignoring(&["custom"]);

pub(super) const COMMENT_THREAD: Kind = object!("comment_thread", "comment_thread/")
    .events(&["comment_thread"])
    .updated(Some("updated_at"))
    .ignoring(&["comments"]);

/// Without `object_id` or `thread_id` the list answers 400.
pub(super) const COMMENT: Kind = object!("comment", "comment/")
    .listing(Listing::PerParent { parent: "comment_thread", parameter: "thread_id" })
    .events(&["comment"])
    .updated(Some("updated_at"));
