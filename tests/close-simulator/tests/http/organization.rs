//! The organization, its memberships and groups (sections 4.7 and 9.1, catalogue rows `membership` and `group`).

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

async fn organization(close: &Close) -> Value {
    let id = close.get("me/").await.body["organizations"][0]["id"].as_str().unwrap().to_owned();
    close.get(&format!("organization/{id}/")).await.body
}

fn path(organization: &Value) -> String {
    format!("organization/{}/", organization["id"].as_str().unwrap())
}

#[tokio::test]
async fn the_organization_lists_all_memberships_with_their_users_and_its_settings() {
    let close = Close::bare().await;
    let all = organization(&close).await;
    assert_eq!((&all["currency"], all["memberships"].as_array().unwrap().len()), (&json!("EUR"), 5));
    let former = &all["inactive_memberships"][0];
    assert_eq!(
        (&former["user_full_name"], &former["user_email"]),
        (&json!("Chidi Grant"), &json!("chidi@composed.example"))
    );
    assert_eq!((&former["user_phone"], former.get("user")), (&Value::Null, None));
    assert_eq!(all["lead_statuses"].as_array().unwrap().len(), 7);
    assert_eq!(all["opportunity_statuses"].as_array().unwrap().len(), 10);
    assert_eq!(all["pipelines"][1]["name"], "Renewals");
    assert_eq!(all["lead_custom_fields"][0]["name"], "Owner");
    assert_eq!(all["lead_custom_fields"][0]["accepts_multiple_values"], false);

    let expanded =
        close.get(&format!("{}?_expand=memberships__user,inactive_memberships__user", path(&all))).await.body;
    assert_eq!(expanded["memberships"][0]["user"]["first_name"], "Mara");
    assert_eq!(expanded["inactive_memberships"][0]["user"]["first_name"], "Chidi");
    let some = close.get(&format!("{}?_fields=name,memberships", path(&all))).await.body;
    assert_eq!(some.as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "memberships"]);
}

#[tokio::test]
async fn another_organization_is_404_there_is_no_list_and_agents_cannot_change_it() {
    let close = Close::bare().await;
    let other = "organization/orga_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/";
    assert_eq!(close.get(other).await.status, 404);
    assert_eq!(close.put(other, json!({ "name": "X" })).await.status, 404);
    assert_eq!(close.get("organization/").await.status, 405);
    let own = path(&organization(&close).await);
    let refused = Close::send(close.request("agent", Method::PUT, &own).json(&json!({ "name": "X" }))).await;
    assert_eq!(refused.status, 403);
    let bad = close.put(&own, json!({ "currency": "euros" })).await;
    assert_eq!(bad.status, 400);
    assert!(bad.body["field-errors"]["currency"].is_string(), "{}", bad.text);
}

#[tokio::test]
async fn a_put_renames_reorders_statuses_and_takes_the_whole_object_back() {
    let close = Close::bare().await;
    let before = organization(&close).await;
    let mut statuses = before["lead_statuses"].as_array().unwrap().clone();
    statuses.reverse();
    let reply = close.put(&path(&before), json!({ "name": "Nordwind", "lead_statuses": statuses })).await;
    assert_eq!((reply.status, &reply.body["name"]), (200, &json!("Nordwind")), "{}", reply.text);
    assert_eq!(reply.body["lead_statuses"], json!(statuses));
    let list: Vec<Value> =
        close.get("status/lead/").await.rows().iter().map(|status| status["label"].clone()).collect();
    assert_eq!(list, statuses.iter().map(|status| status["label"].clone()).collect::<Vec<_>>());
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    assert_eq!(lead["status_id"], statuses[0]["id"], "the first one is what new leads have");
    let whole = organization(&close).await;
    assert_eq!(close.put(&path(&before), whole.clone()).await.body["date_updated"], whole["date_updated"]);
    let events = close.get("event/").await;
    assert!(!events.rows().iter().any(|event| event["object_id"] == whole["id"]), "its settings have no events");
    assert!(!events.text.contains("status.lead"), "nor has the order of statuses");
}

/// Section 4.3: no events; a switch moves `date_updated` of opportunities.
#[tokio::test]
async fn another_currency_moves_date_updated_of_opportunities_only_by_switch_and_tells_nobody() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let opportunity = close.make("opportunity/", json!({ "lead_id": lead["id"] })).await;
    let at = format!("opportunity/{}/", opportunity["id"].as_str().unwrap());
    let own = path(&organization(&close).await);
    let events = close.get("event/").await.rows().len();
    close.advance(60.0).await;
    assert_eq!(close.put(&own, json!({ "currency": "USD" })).await.body["currency"], "USD");
    assert_eq!(close.get(&at).await.body["date_updated"], opportunity["date_updated"]);
    close.switch(json!({ "currency_moves_date_updated": true })).await;
    close.put(&own, json!({ "currency": "GBP" })).await;
    assert_ne!(close.get(&at).await.body["date_updated"], opportunity["date_updated"]);
    assert_eq!(close.get("event/").await.rows().len(), events);
}

/// Catalogue row `membership`: `activated` and `deactivated`, no `updated`; section 8.2: reactivation keeps the ids.
#[tokio::test]
async fn a_membership_has_events_of_removal_and_return_but_not_of_roles() {
    let close = Close::bare().await;
    close.switch(json!({ "membership_create_by_key": true })).await;
    let before = organization(&close).await;
    let membership = &before["memberships"][4];
    let id = membership["id"].as_str().unwrap();
    let at = format!("membership/{id}/");

    let changed = close.put(&at, json!({ "role_id": "superuser", "auto_record_calls": "enabled" })).await;
    assert_eq!((changed.status, &changed.body["role_id"]), (200, &json!("superuser")), "{}", changed.text);
    assert_eq!(changed.body["auto_record_calls"], true);
    assert_eq!((&changed.body["role"], &changed.body["onboarding_status"]), (&json!("Super User"), &json!(null)));
    assert_eq!(close.events_of(id, "membership").await.len(), 0, "a change of role is silent");

    assert_eq!((close.delete(&at).await.text.as_str(), close.delete(&at).await.status), ("{}", 404));
    let after = organization(&close).await;
    assert_eq!(
        (after["memberships"].as_array().unwrap().len(), after["inactive_memberships"].as_array().unwrap().len()),
        (4, 2)
    );
    assert_eq!(close.get("user/").await.rows().len(), 4);

    let back = close.make("membership/", json!({ "email": membership["user_email"], "role_id": "user" })).await;
    assert_eq!((&back["id"], &back["user_id"]), (&membership["id"], &membership["user_id"]));
    let events = close.events_of(id, "membership").await;
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["activated", "deactivated"]);
    assert_eq!(
        (&events[0]["data"]["user_id"], &events[0]["data"]["role_id"]),
        (&membership["user_id"], &json!("user"))
    );
}

/// Sections 1.3 and 13 (2024-06-10).
#[tokio::test]
async fn a_membership_is_created_by_oauth_only_unless_the_switch_lets_keys_do_it() {
    let close = Close::bare().await;
    let body = json!({ "email": "new@composed.example", "role_id": "user" });
    let refused = close.post("membership/", body.clone()).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body["error"].as_str().unwrap().contains("OAuth"), "{}", refused.text);
    close.switch(json!({ "membership_create_by_key": true })).await;
    for (bad, field) in [
        (json!({ "role_id": "user" }), "email"),
        (json!({ "email": "new@composed.example" }), "role_id"),
        (json!({ "email": "new@composed.example", "role_id": "role_nobody" }), "role_id"),
        (json!({ "email": "mara@composed.example", "role_id": "user" }), "email"),
    ] {
        let reply = close.post("membership/", bad).await;
        assert_eq!(reply.status, 400);
        assert!(reply.body["field-errors"][field].is_string(), "{field}: {}", reply.text);
    }
    let made = close.make("membership/", body).await;
    assert_eq!(close.events_of(made["id"].as_str().unwrap(), "membership").await[0]["action"], "activated");
    let user = close.get(&format!("user/{}/", made["user_id"].as_str().unwrap())).await.body;
    assert_eq!((&user["email"], &user["first_name"]), (&json!("new@composed.example"), &json!("new")));
}

#[tokio::test]
async fn several_memberships_change_at_once_and_the_last_admin_stays() {
    let close = Close::bare().await;
    let all = organization(&close).await;
    let ids: Vec<&str> = (1..=2).map(|at| all["memberships"][at]["id"].as_str().unwrap()).collect();
    let reply =
        close.put("membership/", json!({ "_params": { "id__in": ids.join(",") }, "role_id": "restricteduser" })).await;
    assert_eq!((reply.status, reply.body), (200, json!({ "count": 2 })));
    assert_eq!(organization(&close).await["memberships"][1]["role_id"], "restricteduser");

    let admin = format!("membership/{}/", all["memberships"][0]["id"].as_str().unwrap());
    assert_eq!(close.put(&admin, json!({ "role_id": "user" })).await.status, 400);
    assert_eq!(close.delete(&admin).await.status, 400);
    let both = json!({ "_params": { "id__in": [ids[0], all["memberships"][0]["id"]] }, "role_id": "user" });
    assert_eq!(close.put("membership/", both).await.status, 400);
    assert_eq!(organization(&close).await["memberships"][0]["role_id"], "admin");
}

#[tokio::test]
async fn views_are_pinned_by_membership() {
    let close = Close::bare().await;
    let me = close.get("me/").await.body;
    let at = format!("membership/{}/pinned_views/", me["memberships"][0]["id"].as_str().unwrap());
    assert_eq!(close.get(&at).await.body, json!({ "saved_view_ids": [] }));
    let unknown = close.put(&at, json!({ "saved_view_ids": ["save_nothing"] })).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.body["field-errors"]["saved_view_ids"]["errors"]["0"].is_object(), "{}", unknown.text);
    let other = Close::send(close.request("agent", Method::PUT, &at).json(&json!({ "saved_view_ids": [] }))).await;
    assert_eq!(other.status, 403);
    assert_eq!(close.put(&at, json!({ "saved_view_ids": [] })).await.body, json!({ "saved_view_ids": [] }));
}

/// Section 12, item 14, and catalogue row `group`.
#[tokio::test]
async fn quirk_14_a_group_shows_members_alone_only_and_tells_of_every_change_of_them() {
    let close = Close::bare().await;
    let users: Vec<Value> = close.get("user/").await.rows().iter().map(|user| user["id"].clone()).collect();
    let made = close.post("group/", json!({ "name": "North", "members": [{ "user_id": users[1] }] })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert!(made.headers["location"].to_str().unwrap().ends_with(&format!("/group/{id}/")));
    for query in ["", "?_fields=id,name,members", "?_fields=_all", "?_fields=members"] {
        let list = close.get(&format!("group/{query}")).await;
        assert_eq!((&list.rows()[0]["name"], list.rows()[0].get("members")), (&json!("North"), None), "{query}");
    }
    let at = format!("group/{id}/");
    assert_eq!(close.get(&at).await.body["members"], json!([{ "user_id": users[1] }]));

    close.advance(10.0).await;
    let added = close.post(&format!("{at}member/"), json!({ "user_id": users[2] })).await;
    assert_eq!((added.status, added.body), (201, json!({ "user_id": users[2] })));
    close.advance(10.0).await;
    let removed = close.delete(&format!("{at}member/{}/", users[1].as_str().unwrap())).await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    assert_eq!(close.get(&format!("{at}?_fields=members")).await.body, json!({ "members": [{ "user_id": users[2] }] }));

    let stranger = close.post(&format!("{at}member/"), json!({ "user_id": "user_nobody" })).await;
    assert_eq!(stranger.status, 400);
    assert!(stranger.text.contains("Invalid organization members"), "{}", stranger.text);

    close.advance(10.0).await;
    assert_eq!(close.delete(&at).await.status, 204);
    assert_eq!(close.get(&at).await.status, 404);
    let events = close.events_of(&id, "group").await;
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["deleted", "updated", "updated", "created"]);
    assert_eq!(events[1]["changed_fields"], json!(["members"]));
    assert_eq!(events[1]["previous_data"]["members"], json!([{ "user_id": users[1] }, { "user_id": users[2] }]));
    assert_eq!(events[0]["data"], Value::Null);
    assert_eq!(events[0]["previous_data"]["members"], json!([{ "user_id": users[2] }]));
}
