//! The pairs of object type and action that a subscription may name: the catalogue of the reference, section 6.5.

const CHANGES: &[&str] = &["created", "updated", "deleted"];

const CATALOGUE: &[(&[&str], &[&str])] = &[
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
    // `note` is the older spelling of the first.
    (&["activity.note", "note"], CHANGES),
    (&["activity.call"], &["created", "updated", "deleted", "answered", "completed"]),
    (&["activity.email"], &["created", "updated", "deleted", "sent"]),
    (&["activity.email_thread"], CHANGES),
    (&["activity.sms"], &["created", "updated", "deleted", "sent"]),
    (&["activity.whatsapp_message"], CHANGES),
    (&["activity.meeting"], &["created", "updated", "deleted", "scheduled", "started", "completed", "canceled"]),
    (&["activity.form_submission"], CHANGES),
    (&["activity.lead_status_change", "activity.opportunity_status_change"], CHANGES),
    (&["activity.task_completed"], &["created", "deleted"]),
    (&["activity.custom_activity"], CHANGES),
    (&["activity.lead_merge", "lead_merge"], CHANGES),
    (&["unsubscribed_email"], &["created", "deleted"]),
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

/// Returns true if the catalogue has a pair.
pub fn knows(object_type: &str, action: &str) -> bool {
    CATALOGUE.iter().any(|(types, actions)| types.contains(&object_type) && actions.contains(&action))
}

pub fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    CATALOGUE
        .iter()
        .flat_map(|(types, actions)| types.iter().flat_map(|name| actions.iter().map(move |action| (*name, *action))))
}

/// The canonical spelling of a type that has two.
pub fn canonical(object_type: &str) -> &str {
    match object_type {
        "note" => "activity.note",
        "lead_merge" => "activity.lead_merge",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_as_long_as_the_reference_says_and_names_no_pair_twice() {
        let all: Vec<_> = pairs().collect();
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert!((140..200).contains(&all.len()), "{}", all.len());
        assert!(knows("lead", "merged") && !knows("contact", "merged") && !knows("pipeline", "updated"));
    }
}
