//! The organization: its users, their rights, accounts and numbers.

use super::{Kind, Listing, object};

/// Its members, statuses, pipelines and fields are objects of their own.
pub(super) const ORGANIZATION: Kind =
    object!("organization", "organization/").listing(Listing::Organization).ignoring(&[
        "memberships",
        "inactive_memberships",
        "lead_statuses",
        "opportunity_statuses",
        "pipelines",
        "lead_custom_fields",
    ]);

pub(super) const USER: Kind = object!("user", "user/");

pub(super) const ROLE: Kind = object!("role", "role/");

/// Only the organization lists memberships, those of former users included. Events lack the user's name, and there is
/// none when a role changes.
pub(super) const MEMBERSHIP: Kind = Kind {
    whole_events: false,
    ..object!("membership", "organization/")
        .listing(Listing::Organization)
        .events(&["membership"])
        .without_single()
        .updated(None)
};

/// The list leaves `members` out.
pub(super) const GROUP: Kind =
    object!("group", "group/").listing(Listing::FullThenSingle(&[])).events(&["group"]).updated(None);

pub(super) const CONNECTED_ACCOUNT: Kind = object!("connected_account", "connected_account/");

/// Those of the key's own user.
pub(super) const SEND_AS: Kind = object!("send_as", "send_as/").key(&["allowing_user_id", "allowed_user_id"]);

pub(super) const PHONE_NUMBER: Kind = object!("phone_number", "phone_number/").events(&["phone_number"]);

pub(super) const BLOCKED_PHONE_NUMBER: Kind = object!("blocked_phone_number", "blocked_phone_number/");

pub(super) const SCHEDULING_LINK: Kind = object!("scheduling_link", "scheduling_link/");

pub(super) const SHARED_SCHEDULING_LINK: Kind = object!("shared_scheduling_link", "shared_scheduling_link/");
