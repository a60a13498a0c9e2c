//! The foundation of every organization before its first lead: itself, roles, people with keys, statuses, a pipeline.
//!
//! The keys by name: `admin`, `superuser`, `agent` (role `user`), `restricted` (role `restricteduser`: sees only the
//! leads that name its user), `former` (its user was removed: 401). One OAuth application, with id and secret from the
//! seed.

use std::sync::Arc;

use crate::{
    model::{Id, Key, Kind, Moment, Record, Value},
    world::World,
};

/// Permissions of the built-in roles, each a subset of the previous one (reference, section 9.2).
const PERMISSIONS: [&[&str]; 4] = [
    &[
        "manage_organization",
        "manage_customizations",
        "manage_group_numbers",
        "manage_team_smart_views",
        "manage_team_email_templates",
        "manage_email_sequences",
        "bulk_edit",
        "bulk_delete",
        "bulk_email",
        "bulk_import",
        "bulk_sequence_subscriptions",
        "export",
        "delete_leads",
        "merge_leads",
        "view_all_leads",
        "manage_others_activities",
        "manage_others_tasks",
        "manage_others_opportunities",
        "delete_own_activities",
        "delete_own_tasks",
        "delete_own_opportunities",
        "calling",
        "call_coach_listen",
        "call_coach_barge",
    ],
    &[
        "manage_customizations",
        "manage_group_numbers",
        "manage_team_smart_views",
        "manage_team_email_templates",
        "manage_email_sequences",
        "bulk_edit",
        "bulk_delete",
        "bulk_email",
        "bulk_import",
        "bulk_sequence_subscriptions",
        "export",
        "delete_leads",
        "merge_leads",
        "view_all_leads",
        "manage_others_activities",
        "manage_others_tasks",
        "manage_others_opportunities",
        "delete_own_activities",
        "delete_own_tasks",
        "delete_own_opportunities",
        "calling",
        "call_coach_listen",
        "call_coach_barge",
    ],
    &[
        "bulk_email",
        "bulk_sequence_subscriptions",
        "view_all_leads",
        "manage_others_tasks",
        "delete_own_activities",
        "delete_own_tasks",
        "delete_own_opportunities",
        "calling",
    ],
    &["delete_own_activities", "delete_own_tasks", "calling"],
];

/// A user of the foundation: key name, first and last name, role (index from 0), whether still a member.
const PEOPLE: [(&str, &str, &str, u64, bool); 6] = [
    ("admin", "Mara", "Voss", 0, true),
    ("superuser", "Ellis", "Okafor", 1, true),
    ("agent", "Tomasz", "Zieliński", 2, true),
    ("restricted", "Ana", "Núñez", 3, true),
    ("second", "Bo", "Lindqvist", 2, true),
    ("former", "Chidi", "Grant", 2, false),
];

/// The first user, who founded the organization.
pub fn founder() -> Id {
    Id::new(Kind::User, 1)
}

/// The `n`th user of the foundation, from 0: admin, superuser, agent, restricted, second, former.
pub fn user(n: u64) -> Id {
    Id::new(Kind::User, n + 1)
}

/// Makes an empty organization usable. It is two years old.
pub fn lay(world: &mut World) {
    let born = world.clock.now().plus_days(-730).to_secs();
    let organization = world.next_id(Kind::Organization);
    put(
        world,
        Record::new(organization, born)
            .with("name", "Composed Inc")
            .with("currency", "EUR")
            .with("plan_type", "business"),
    );

    for (n, (name, permissions)) in
        ["Admin", "Super User", "User", "Restricted User"].into_iter().zip(PERMISSIONS).enumerate()
    {
        let role = Record::new(Id::new(Kind::Role, n as u64 + 1), Moment::SENTINEL)
            .with("name", name)
            .with("permissions", Value::list(permissions.iter().map(|p| Value::from(*p))));
        put(world, role);
    }
    for (n, (key, first, last, role, active)) in PEOPLE.into_iter().enumerate() {
        let user = world.next_id(Kind::User);
        let at = born.plus_days(n as i64 * 3);
        let record = Record::new(user, at)
            .with("email", format!("{}@composed.example", first.to_lowercase()))
            .with("first_name", first)
            .with("last_name", last)
            .with("full_name", format!("{first} {last}"))
            .with("last_used_timezone", "Europe/Berlin");
        put(world, record);
        let membership = world.next_id(Kind::Membership);
        let record = Record::new(membership, at)
            .with("user_id", user)
            .with("role_id", Id::new(Kind::Role, role + 1))
            .with("is_active", active)
            .with("track_email_opens", true);
        put(world, record);
        world.add_key(key, user);
    }

    for (n, label) in ["Potential", "Bad Fit", "Qualified", "Customer", "Interested", "Canceled", "Not Interested"]
        .into_iter()
        .enumerate()
    {
        let id = world.next_id(Kind::LeadStatus);
        put(world, Record::new(id, born.plus_secs(n as i64)).with("label", label));
    }
    for (n, pipeline) in ["Sales", "Renewals"].into_iter().enumerate() {
        let id = world.next_id(Kind::Pipeline);
        put(
            world,
            Record { author: Some(founder()), ..Record::new(id, born.plus_secs(n as i64)) }.with("name", pipeline),
        );
        let statuses = [
            ("Demo Scheduled", "active"),
            ("Proposal", "active"),
            ("Contract Sent", "active"),
            ("Won", "won"),
            ("Lost", "lost"),
        ];
        for (at, (label, kind)) in statuses.into_iter().enumerate() {
            let status = world.next_id(Kind::OpportunityStatus);
            let record = Record::new(status, born.plus_secs((n * 10 + at) as i64))
                .with("label", label)
                .with("type", kind)
                .with("pipeline_id", id);
            put(world, record);
        }
    }

    world.add_client();

    // The restricted role sees the leads whose owner field names its user.
    let owner = world.next_id(Kind::CustomField);
    let record =
        Record { author: Some(founder()), editor: Some(founder()), ..Record::new(owner, born.plus_millis(250)) };
    put(world, record.with("object", "lead").with("name", "Owner").with("type", "user"));
    let role = world.store.get(Id::new(Kind::Role, 4)).map(|role| Record::clone(role)).expect("it was put above");
    put(
        world,
        role.with("visibility_user_lcf_ids", Value::list([owner.into()]))
            .with("visibility_user_lcf_behavior", "require_assignment"),
    );
}

/// The key of the custom field by which the restricted role sees leads.
pub fn owner_field() -> Key {
    Key::Custom(Id::new(Kind::CustomField, 1))
}

/// Stores an object without history or events: it existed before the history begins.
pub fn put(world: &mut World, record: Record) {
    world.store.put(Arc::new(record));
}
