//! Who may do what.

use towpath_api::{StandardView, ViewHome};

use super::{USER, optional, required};

pub(super) const USER_ACCESS: StandardView = StandardView {
    name: "user_access",
    home: ViewHome::Tables,
    about: "One row per user, former ones included: whether an admin, manager or agent, by which role and rights, in \
            which groups, led by whom, active or not.",
    tables: &[
        required(
            "membership",
            &[
                ("id", "text"),
                ("user_id", "text"),
                ("role_id", "text"),
                ("part", "text"),
                ("is_active", "boolean"),
                ("permissions_granted", "jsonb"),
                ("user_email", "text"),
                ("user_full_name", "text"),
            ],
        ),
        USER,
        optional(
            "role",
            &[("id", "text"), ("name", "text"), ("permissions", "jsonb"), ("visibility_user_lcf_ids", "jsonb")],
        ),
        optional("group", &[("id", "text"), ("name", "text"), ("members", "jsonb")]),
    ],
    columns: &[
        ("user_id", "The user."),
        ("name", "First and last name."),
        ("email", "The address that the user logs in with."),
        (
            "part",
            "admin, manager or agent: by role.map of the connector, otherwise by the rights of the role. Null if the \
             user has no membership.",
        ),
        ("is_active", "False if the user was removed from the organization, or has no membership."),
        ("role_id", "The role."),
        ("role", "The name of the role; null if the role does not exist any more."),
        ("permissions", "The rights of the role and those granted to the user alone, in order."),
        (
            "sees_all_leads",
            "True if the user sees every lead; false if only those that a custom field assigns. Null if the role is \
             unknown.",
        ),
        ("group_ids", "The groups of the user, in the order of their names. Null while there is no table of groups."),
        ("groups", "Their names."),
        (
            "manager_ids",
            "The active users who lead this one. Close has no hierarchy, so it comes from the groups: managers lead \
             the agents of their groups; admins lead the managers of their groups, and the agents of those without an \
             active manager.",
        ),
        ("managers", "Their names."),
        ("managed_user_ids", "The users, active or not, whom this one leads by the same rule."),
    ],
    sql: include_str!("../../views/user_access.sql"),
};
