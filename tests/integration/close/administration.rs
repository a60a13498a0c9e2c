//! What an organization's administrators do: people come, go and get other roles, pipelines and statuses get other
//! names, many leads are imported, edited and deleted at once. Tables and standard views equal the truth after it.

use serde_json::{Value, json};

use super::{
    laboratory::{Organization, reader, snapshot_ends},
    truth::{self, EVERYTHING},
};
use crate::{
    close_views::truth::{Truth, compare, part},
    stack::{database, rows_become, shared},
};

/// The role that this configuration maps, by its name.
const MAPPED: &str = "Team leads";

/// The part of a membership, as the configuration has it.
fn mapped_part(membership: &Value, role: &Value) -> &'static str {
    if role["name"] == MAPPED { "manager" } else { part(membership, role) }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_views_follow_what_administrators_change() {
    let _stack = shared().await;
    let organization = Organization::with_leads(60, 21).await;
    organization.set("switches/", json!({"membership_create_by_key": true})).await;
    // An import before the connection has neither `created` activities nor events that a snapshot could need.
    organization.control("scenarios/bulk_import/", json!({"leads": 30})).await;
    organization.control("clock/", json!({"advance_secs": 60})).await;
    let keys = format!("\"compare.deletes.max.share\" = \"100%\"\n\"role.map.{MAPPED}.part\" = \"manager\"\n");
    let worker = reader("admins", &organization, &keys).start().await;
    let client = database().await;
    truth::equal(&organization, &client, &worker.name, EVERYTHING).await;
    // What vanishes without an event while it is checked is a difference.
    snapshot_ends(&organization, &worker, 1).await;
    compare(&client, &worker.name, &Truth::read(&organization.close, mapped_part).await).await;

    people_change(&organization).await;
    settings_change(&organization).await;
    many_leads_change(&organization).await;
    organization.changes(300, 23).await;
    organization.control("scenarios/merge_storm/", json!({"count": 3})).await;
    organization.control("clock/", json!({"advance_secs": 60})).await;
    truth::arrives(&organization, &client, &worker, EVERYTHING).await;
    let now = Truth::read(&organization.close, mapped_part).await;
    compare(&client, &worker.name, &now).await;
    let of_role = format!(
        "SELECT count(*) > 0, bool_and(part = 'manager') FROM {}.user_access WHERE role = '{MAPPED}'",
        worker.name
    );
    rows_become(&client, &of_role, &["t|t"]).await;
    let runs =
        format!("SELECT count(*) > 1, bool_and(is_complete) FROM towpath.sync_runs WHERE schema = '{}'", worker.name);
    rows_become(&client, &runs, &["t|t"]).await;
}

/// One user leaves, one leaves and returns, one is new, two have another role; a group loses and gets members.
async fn people_change(organization: &Organization) {
    let me = organization.api("GET", "me/?_fields=organizations", None).await;
    let id = me["organizations"][0]["id"].as_str().expect("an organization").to_owned();
    let people = organization.api("GET", &format!("organization/{id}/"), None).await;
    let memberships = people["memberships"].as_array().expect("memberships");
    let others: Vec<&Value> = memberships.iter().filter(|membership| membership["role_id"] != "admin").collect();
    let path = |membership: &Value| format!("membership/{}/", membership["id"].as_str().expect("an id"));

    let role = json!({"name": MAPPED, "permissions": ["calling"]});
    let role = organization.api("POST", "role/", Some(role)).await;
    organization.api("PUT", &path(others[0]), Some(json!({"role_id": role["id"]}))).await;
    organization.api("DELETE", &path(others[1]), None).await;
    let back = json!({"email": others[1]["user_email"], "role_id": "superuser"});
    organization.api("POST", "membership/", Some(back)).await;
    organization.api("DELETE", &path(others[2]), None).await;
    let new = json!({"email": "new@elsewhere.example", "role_id": "user"});
    let new = organization.api("POST", "membership/", Some(new)).await;
    let group = organization.api("POST", "group/", Some(json!({"name": "North"}))).await;
    let members = format!("group/{}/member/", group["id"].as_str().expect("an id"));
    for user in [&new["user_id"], &others[0]["user_id"]] {
        organization.api("POST", &members, Some(json!({"user_id": user}))).await;
    }
    organization.api("DELETE", &format!("{members}{}/", new["user_id"].as_str().expect("an id")), None).await;
    organization.control("scenarios/user_rename/", json!({"first_name": "Noor", "last_name": "Haddad"})).await;
}

/// A pipeline and its statuses get other names; so does a status of leads.
async fn settings_change(organization: &Organization) {
    let pipelines = organization.api("GET", "pipeline/", None).await;
    let pipeline = &pipelines["data"][0];
    let path = format!("pipeline/{}/", pipeline["id"].as_str().expect("an id"));
    organization.api("PUT", &path, Some(json!({"name": "Renewals"}))).await;
    let status = pipeline["statuses"][0]["id"].as_str().expect("a status");
    let path = format!("status/opportunity/{status}/");
    organization.api("PUT", &path, Some(json!({"label": "Nearly there"}))).await;
    organization.control("scenarios/status_rename/", json!({})).await;
}

/// Leads are imported, edited and deleted by the dozen, and the one with the most children is deleted with them.
async fn many_leads_change(organization: &Organization) {
    organization.control("scenarios/bulk_import/", json!({"leads": 40})).await;
    for n in 0..30 {
        organization.api("POST", "lead/", Some(json!({"name": format!("Bulk {n}")}))).await;
    }
    let field = organization.api("POST", "custom_field/lead/", Some(json!({"name": "Wave", "type": "text"}))).await;
    let edit = json!({"query": "name:Bulk", "type": "set_custom_field", "custom_field_id": field["id"],
        "custom_field_value": "7"});
    organization.api("POST", "bulk_action/edit/", Some(edit)).await;
    organization.control("clock/", json!({"advance_secs": 20})).await;
    let delete = json!({"query": "name:\"Bulk 1\"", "send_done_email": false});
    organization.api("POST", "bulk_action/delete/", Some(delete)).await;
    organization.control("clock/", json!({"advance_secs": 20})).await;
    organization.control("scenarios/cascade/", json!({})).await;
}
