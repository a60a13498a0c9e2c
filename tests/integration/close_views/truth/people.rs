//! Who may do what, from the truth.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::Truth;

struct Person<'t> {
    membership: Option<&'t Json>,
    groups: BTreeSet<&'t str>,
}

impl Person<'_> {
    fn part(&self) -> Option<&str> {
        self.membership.and_then(|membership| membership["part"].as_str())
    }

    fn is_active(&self) -> bool {
        self.membership.is_some_and(|membership| membership["is_active"] == true)
    }
}

pub(super) fn user_access(truth: &Truth) -> Vec<Json> {
    let mut people: BTreeMap<&str, Person<'_>> = BTreeMap::new();
    let nobody = || Person { membership: None, groups: BTreeSet::new() };
    for id in truth.of("user").keys() {
        people.entry(id).or_insert_with(nobody);
    }
    for membership in truth.all("membership") {
        let user = membership["user_id"].as_str().expect("a user");
        people.entry(user).or_insert_with(nobody).membership = Some(membership);
    }
    for group in truth.all("group") {
        for member in group["members"].as_array().expect("members") {
            if let Some(person) = member["user_id"].as_str().and_then(|user| people.get_mut(user)) {
                person.groups.insert(group["id"].as_str().expect("an id"));
            }
        }
    }
    let leads: BTreeSet<(&str, &str)> = leaders(&people);
    people.iter().map(|(id, person)| row(truth, id, person, &leads)).collect()
}

/// Pairs of a leader and a user.
fn leaders<'t>(people: &BTreeMap<&'t str, Person<'t>>) -> BTreeSet<(&'t str, &'t str)> {
    let groups: BTreeSet<&str> = people.values().flat_map(|person| person.groups.iter().copied()).collect();
    let mut leads = BTreeSet::new();
    for group in groups {
        let members: Vec<_> = people.iter().filter(|(_, person)| person.groups.contains(group)).collect();
        let active = |part: &'static str| {
            members
                .iter()
                .filter(move |(_, person)| person.is_active() && person.part() == Some(part))
                .map(|(id, _)| **id)
        };
        let (managers, admins): (Vec<&str>, Vec<&str>) = (active("manager").collect(), active("admin").collect());
        for (id, person) in &members {
            let above = match person.part() {
                Some("agent") if !managers.is_empty() => &managers,
                Some("agent" | "manager") => &admins,
                _ => continue,
            };
            leads.extend(above.iter().map(|leader| (*leader, **id)));
        }
    }
    leads
}

fn row(truth: &Truth, id: &str, person: &Person<'_>, leads: &BTreeSet<(&str, &str)>) -> Json {
    let membership = person.membership.unwrap_or(&Json::Null);
    let user = truth.get("user", id).unwrap_or(&Json::Null);
    let role = membership["role_id"].as_str().and_then(|role| truth.get("role", role));
    let rights = |of: &Json| -> Vec<String> {
        of.as_array().into_iter().flatten().filter_map(|right| right.as_str().map(ToOwned::to_owned)).collect()
    };
    let mut permissions: BTreeSet<String> = rights(&membership["permissions_granted"]).into_iter().collect();
    permissions.extend(role.map(|role| rights(&role["permissions"])).unwrap_or_default());
    let sees_all = role.map(|role| {
        let is_restricted = role["visibility_user_lcf_ids"].as_array().is_some_and(|fields| !fields.is_empty());
        permissions.contains("view_all_leads") && !is_restricted
    });
    let name = |table: &'static str, id: &str| truth.get(table, id).map_or(Json::Null, |object| object["name"].clone());
    let mut groups: Vec<(String, &str)> =
        person.groups.iter().map(|group| (name("group", group).as_str().unwrap_or("").to_owned(), *group)).collect();
    // The database of the tests compares bytes.
    groups.sort();
    let mut managers: Vec<(Json, &str)> =
        leads.iter().filter(|(_, led)| *led == id).map(|(leader, _)| (truth.name(leader), *leader)).collect();
    managers.sort_by_key(|(name, id)| (name.as_str().unwrap_or("").to_owned(), *id));
    let email = [&user["email"], &membership["user_email"]].into_iter().find(|email| !email.is_null());
    json!({
        "user_id": id,
        "name": truth.name(id),
        "email": email,
        "part": membership["part"],
        "is_active": person.is_active(),
        "role_id": membership["role_id"],
        "role": role.map(|role| role["name"].clone()),
        "permissions": permissions,
        "sees_all_leads": sees_all,
        "group_ids": groups.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        "groups": groups.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        "manager_ids": managers.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        "managers": managers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        "managed_user_ids": leads.iter().filter(|(leader, _)| *leader == id).map(|(_, led)| *led).collect::<Vec<_>>(),
    })
}
