//! The event types of Close with their actions (`close-api.md`, section 6.5). A subscription names each pair.

/// Types with the same actions.
type Row = (&'static [&'static str], &'static [&'static str]);

const CHANGES: &[&str] = &["created", "updated", "deleted"];

const ROWS: &[Row] = &[
    (&["lead"], &["created", "updated", "deleted", "merged"]),
    (&["contact", "opportunity"], CHANGES),
    (
        &[
            "task.lead",
            "task.incoming_email",
            "task.email_followup",
            "task.missed_call",
            "task.answered_detached_call",
            "task.voicemail",
            "task.opportunity_due",
            "task.incoming_sms",
            "task.outgoing_call",
        ],
        &["created", "updated", "deleted", "completed"],
    ),
    (&["activity.note", "activity.email_thread", "activity.whatsapp_message"], CHANGES),
    (&["activity.call"], &["created", "updated", "deleted", "answered", "completed"]),
    (&["activity.email", "activity.sms"], &["created", "updated", "deleted", "sent"]),
    (&["activity.meeting"], &["created", "updated", "deleted", "scheduled", "started", "completed", "canceled"]),
    (&["activity.form_submission", "activity.custom_activity", "activity.lead_merge"], CHANGES),
    (&["activity.lead_status_change", "activity.opportunity_status_change"], CHANGES),
    (&["activity.task_completed", "unsubscribed_email"], &["created", "deleted"]),
    (&["activity.created"], &["created"]),
    // The older spellings.
    (&["note", "lead_merge"], CHANGES),
    (&["import"], &["created", "updated", "completed", "reverting", "reverted"]),
    (&["export.lead", "export.opportunity"], &["created", "updated", "completed"]),
    (
        &["bulk_action.delete", "bulk_action.edit", "bulk_action.email", "bulk_action.sequence_subscription"],
        &["created", "updated", "completed", "paused"],
    ),
    (
        &[
            "custom_fields.lead",
            "custom_fields.contact",
            "custom_fields.opportunity",
            "custom_fields.activity",
            "custom_fields.custom_object",
            "custom_fields.shared",
        ],
        CHANGES,
    ),
    (&["custom_activity_type", "custom_object_type", "custom_object"], CHANGES),
    (&["status.lead", "status.opportunity"], CHANGES),
    (&["membership"], &["activated", "deactivated"]),
    (&["group", "saved_search", "phone_number", "email_template", "sms_template"], CHANGES),
    (&["sequence", "sequence_subscription", "comment", "comment_thread"], CHANGES),
];

/// Returns true if the catalogue has events of this type.
pub(crate) fn knows_type(object_type: &str) -> bool {
    ROWS.iter().any(|(types, _)| types.contains(&object_type))
}

/// The pairs of type and action of these types, in the order of the catalogue.
pub(crate) fn pairs(types: &[&str]) -> Vec<(&'static str, &'static str)> {
    let wanted = |name: &&'static str| types.contains(name);
    ROWS.iter()
        .flat_map(|(names, actions)| names.iter().copied().filter(wanted).map(move |name| (name, *actions)))
        .flat_map(|(name, actions)| actions.iter().map(move |action| (name, *action)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_catalogue_names_every_pair_once() {
        let types: Vec<&str> = ROWS.iter().flat_map(|(types, _)| types.iter().copied()).collect();
        let pairs = pairs(&types);
        assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), pairs.len());
        assert!((140..220).contains(&pairs.len()), "{}", pairs.len());
        assert!(pairs.contains(&("lead", "merged")) && !pairs.contains(&("contact", "merged")));
        assert!(knows_type("activity.call") && !knows_type("pipeline"));
    }
}
