//! The part of a user: admin, manager or agent. Close has no such field; it has roles and permissions.

use towpath_keys::Named;

use crate::config::{Part, RoleConfig};

/// Who has one of these leads others: changes their opportunities or activities, or listens to their calls.
/// `manage_others_tasks` is not among them, since assigning tasks is common.
const OF_MANAGERS: [&str; 4] =
    ["manage_others_opportunities", "manage_others_activities", "call_coach_listen", "call_coach_barge"];

/// The part of the users of a role: what `role.map` says of its id or its name; otherwise admin for the role `admin` or
/// the permission `manage_organization`, manager for the role `superuser` or a permission over the work of others, and
/// agent for all else. `permissions` are those of the role, and those that the membership has beside.
pub(crate) fn part<'a>(
    role_id: &str,
    role_name: Option<&str>,
    permissions: impl IntoIterator<Item = &'a str>,
    role_map: &Named<RoleConfig>,
) -> Part {
    let mapped = role_map.get(role_id).or_else(|| role_map.get(role_name?));
    if let Some(role) = mapped {
        return role.part;
    }
    let mut part = match role_id {
        "admin" => return Part::Admin,
        "superuser" => Part::Manager,
        _ => Part::Agent,
    };
    for permission in permissions {
        if permission == "manage_organization" {
            return Part::Admin;
        }
        if OF_MANAGERS.contains(&permission) {
            part = Part::Manager;
        }
    }
    part
}
