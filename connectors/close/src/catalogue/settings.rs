//! Statuses, pipelines, and the definitions of fields and types.

use super::{Kind, object};

pub(super) const LEAD_STATUS: Kind =
    object!("lead_status", "status/lead/").events(&["status.lead"]).without_single().updated(None);

pub(super) const OPPORTUNITY_STATUS: Kind =
    object!("opportunity_status", "status/opportunity/").events(&["status.opportunity"]).without_single().updated(None);

pub(super) const PIPELINE: Kind = object!("pipeline", "pipeline/").without_single();

pub(super) const CUSTOM_FIELD_LEAD: Kind =
    object!("custom_field_lead", "custom_field/lead/").events(&["custom_fields.lead"]);

pub(super) const CUSTOM_FIELD_CONTACT: Kind =
    object!("custom_field_contact", "custom_field/contact/").events(&["custom_fields.contact"]);

pub(super) const CUSTOM_FIELD_OPPORTUNITY: Kind =
    object!("custom_field_opportunity", "custom_field/opportunity/").events(&["custom_fields.opportunity"]);

pub(super) const CUSTOM_FIELD_ACTIVITY: Kind =
    object!("custom_field_activity", "custom_field/activity/").events(&["custom_fields.activity"]);

pub(super) const CUSTOM_FIELD_CUSTOM_OBJECT: Kind =
    object!("custom_field_custom_object", "custom_field/custom_object_type/").events(&["custom_fields.custom_object"]);

/// Fields of several objects, which the lists of the other kinds leave out.
pub(super) const CUSTOM_FIELD_SHARED: Kind =
    object!("custom_field_shared", "custom_field/shared/").events(&["custom_fields.shared"]);

/// Its fields are objects of their own.
pub(super) const CUSTOM_ACTIVITY_TYPE: Kind =
    object!("custom_activity_type", "custom_activity/").events(&["custom_activity_type"]).ignoring(&["fields"]);

/// Its fields are objects of their own.
pub(super) const CUSTOM_OBJECT_TYPE: Kind = object!("custom_object_type", "custom_object_type/")
    .events(&["custom_object_type"])
    .ignoring(&["fields", "back_reference_fields"]);

pub(super) const OUTCOME: Kind = object!("outcome", "outcome/");

pub(super) const INTEGRATION_LINK: Kind = object!("integration_link", "integration_link/");
