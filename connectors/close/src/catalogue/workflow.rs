//! What people work with: views, templates, sequences, bulk actions, exports.

use super::{Kind, Listing, object};

/// Without `type__in` the list has views of leads only.
pub(super) const SMART_VIEW: Kind =
    object!("smart_view", "saved_search/").events(&["saved_search"]).listing(Listing::Full(&[(
        "type__in",
        "lead,contact,opportunity,call,email,sms,meeting,note,whatsapp_message,custom_activity,form_submission",
    )]));

/// Without `is_archived` the lists of templates have the archived ones too.
pub(super) const EMAIL_TEMPLATE: Kind = object!("email_template", "email_template/").events(&["email_template"]);

pub(super) const SMS_TEMPLATE: Kind = object!("sms_template", "sms_template/").events(&["sms_template"]);

/// The numbers of subscriptions are counted at the time of the request.
pub(super) const SEQUENCE: Kind =
    object!("sequence", "sequence/").events(&["sequence"]).ignoring(&["subscription_counts_by_status"]);

/// Without the sequence, the contact or the lead, the list answers 400.
pub(super) const SEQUENCE_SUBSCRIPTION: Kind = object!("sequence_subscription", "sequence_subscription/")
    .listing(Listing::PerParent { parent: "sequence", parameter: "sequence_id" })
    .events(&["sequence_subscription"]);

pub(super) const PLAYBOOK: Kind = object!("playbook", "playbook/").updated(Some("updated_at"));

pub(super) const DIALER: Kind = object!("dialer", "dialer/");

pub(super) const BULK_ACTION_EMAIL: Kind =
    object!("bulk_action_email", "bulk_action/email/").events(&["bulk_action.email"]);

pub(super) const BULK_ACTION_EDIT: Kind =
    object!("bulk_action_edit", "bulk_action/edit/").events(&["bulk_action.edit"]);

pub(super) const BULK_ACTION_DELETE: Kind =
    object!("bulk_action_delete", "bulk_action/delete/").events(&["bulk_action.delete"]);

pub(super) const BULK_ACTION_SEQUENCE_SUBSCRIPTION: Kind =
    object!("bulk_action_sequence_subscription", "bulk_action/sequence_subscription/")
        .events(&["bulk_action.sequence_subscription"]);

/// The link to the file is made at the time of the request, and gives the file without a key.
pub(super) const EXPORT: Kind = object!("export", "export/")
    .events(&["export.lead", "export.opportunity"])
    .ignoring(&["download_url"])
    .right("export");

pub(super) const UNSUBSCRIBED_EMAIL: Kind = object!("unsubscribed_email", "unsubscribe/email/")
    .events(&["unsubscribed_email"])
    .without_single()
    .key(&["email"]);
