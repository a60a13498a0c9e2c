//! Roles, and the visibility of a restricted role (sections 9.2 and 9.3).

use serde_json::{Value, json};

use crate::client::Close;

/// Section 12, items 7 and 15.
#[tokio::test]
async fn quirk_15_built_in_roles_have_literal_ids_and_sentinel_dates_and_cannot_be_changed() {
    let close = Close::bare().await;
    let list = close.get("role/").await;
    let ids: Vec<&str> = list.rows().iter().map(|role| role["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["admin", "superuser", "user", "restricteduser"]);
    assert_eq!((&list.body["has_more"], list.body.get("total_results")), (&json!(false), None));
    let admin = close.get("role/admin/").await.body;
    assert_eq!((&admin["date_created"], &admin["editable"]), (&json!("0001-01-01T00:00:00"), &json!(false)));
    assert!(admin["permissions"].as_array().unwrap().contains(&json!("manage_organization")));
    assert_eq!(admin["visibility_user_lcf_ids"], Value::Null);
    let restricted = close.get("role/restricteduser/").await.body;
    assert_eq!(restricted["visibility_user_lcf_behavior"], "require_assignment");
    assert_eq!(close.put("role/user/", json!({ "name": "X" })).await.status, 400);
    assert_eq!(close.delete("role/user/").await.status, 400);
    close.switch(json!({ "bare_lists_without_has_more": true })).await;
    assert_eq!(close.get("role/").await.body.get("has_more"), None);
}

#[tokio::test]
async fn a_role_is_created_with_201_changed_deleted_with_200_and_tells_nobody() {
    let close = Close::bare().await;
    let mut body = close.get("role/user/").await.body;
    body["name"] = "Callers".into();
    body["permissions"].as_array_mut().unwrap().push("some_future_permission".into());
    let made = close.post("role/", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("role_"), "{id}");
    assert_eq!((&made.body["editable"], &made.body["name"]), (&json!(true), &json!("Callers")));
    assert!(!made.body["date_created"].as_str().unwrap().contains('+'), "naive: {}", made.body["date_created"]);

    let at = format!("role/{id}/");
    let changed = close.put(&at, json!({ "permissions": ["calling"] })).await.body;
    assert_eq!((&changed["permissions"], &changed["name"]), (&json!(["calling"]), &json!("Callers")));
    let gone = close.delete(&at).await;
    assert_eq!((gone.status, gone.text.as_str(), close.get(&at).await.status), (200, "{}", 404));
    assert_eq!(close.get("event/").await.rows().len(), 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_role_is_said_by_field_and_a_used_one_stays() {
    let close = Close::bare().await;
    let text = close.make("custom_field/lead/", json!({ "name": "Region", "type": "text" })).await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": " " }), "name"),
        (json!({ "name": "R", "permissions": ["Fly!"] }), "permissions"),
        (json!({ "name": "R", "permissions": "calling" }), "permissions"),
        (json!({ "name": "R", "visibility_user_lcf_ids": [text["id"]] }), "visibility_user_lcf_ids"),
        (json!({ "name": "R", "visibility_user_lcf_behavior": "sometimes" }), "visibility_user_lcf_behavior"),
    ] {
        let reply = close.post("role/", body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(!reply.body["field-errors"][field].is_null(), "{body}: {}", reply.text);
    }
    let role = close.make("role/", json!({ "name": "Callers" })).await;
    let at = format!("role/{}/", role["id"].as_str().unwrap());
    let membership = close.get_as("second", "me/").await.body["memberships"][0]["id"].as_str().unwrap().to_owned();
    close.put(&format!("membership/{membership}/"), json!({ "role_id": role["id"] })).await;
    assert_eq!(close.delete(&at).await.status, 400);
    close.put(&format!("membership/{membership}/"), json!({ "role_id": "user" })).await;
    assert_eq!(close.delete(&at).await.status, 200);
}

/// Section 12, item 3: a caller who does not see the lead finds neither it nor its children, in lists, totals and gets.
#[tokio::test]
async fn quirk_03_a_restricted_key_sees_its_own_leads_and_404_for_others() {
    let close = Close::bare().await;
    let ana = close.get_as("restricted", "me/").await.body["id"].clone();
    let owner = close.get("custom_field/lead/").await.rows()[0]["id"].as_str().unwrap().to_owned();
    let custom_type = close.make("custom_object_type/", json!({ "name": "Site" })).await;
    let mut made = Vec::new();
    for (name, user) in [("Hers", Some(&ana)), ("Nobody's", None)] {
        let mut body = json!({ "name": name });
        if let Some(user) = user {
            body[format!("custom.{owner}")] = user.clone();
        }
        let lead = close.make("lead/", body).await;
        let object = close
            .make(
                "custom_object/",
                json!({ "lead_id": lead["id"], "name": name, "custom_object_type_id": custom_type["id"] }),
            )
            .await;
        made.push((lead["id"].as_str().unwrap().to_owned(), object["id"].as_str().unwrap().to_owned()));
    }
    let all = close.get("lead/?_limit=0").await.body["total_results"].as_u64().unwrap();
    assert!(all >= 2);
    let list = close.get_as("restricted", "lead/").await;
    assert!(list.rows().iter().any(|lead| lead["id"] == made[0].0.as_str()));
    assert!(!list.text.contains(&made[1].0));
    assert_eq!(list.body["total_results"].as_u64().unwrap(), list.rows().len() as u64);
    for ((lead, object), status) in made.iter().zip([200, 404]) {
        assert_eq!(close.get_as("restricted", &format!("lead/{lead}/")).await.status, status);
        assert_eq!(close.get_as("restricted", &format!("custom_object/{object}/")).await.status, status);
        let children = close.get_as("restricted", &format!("custom_object/?lead_id={lead}")).await;
        assert_eq!(children.rows().len(), usize::from(status == 200));
    }
    let (lead, _) = &made[1];
    let unseen = close.get_as("restricted", &format!("lead/{lead}/")).await;
    let unknown = close.get_as("restricted", &format!("lead/{}/", lead.replace("lead_", "lead_0"))).await;
    assert_eq!(
        unseen.text.replace(lead, ""),
        unknown.text.replace(&lead.replace("lead_", "lead_0"), ""),
        "the same words for both"
    );
    let hidden = json!({ "lead_id": lead, "name": "x", "custom_object_type_id": custom_type["id"] });
    let reply = Close::send(close.request("restricted", reqwest::Method::POST, "custom_object/").json(&hidden)).await;
    assert_eq!(reply.status, 400, "a lead that is not seen cannot be named: {}", reply.text);
}

#[tokio::test]
async fn allow_unassigned_adds_leads_that_nobody_holds_and_a_deleted_field_hides_all() {
    let close = Close::bare().await;
    let users = close.get("user/").await;
    let field = close
        .make("custom_field/lead/", json!({ "name": "Team", "type": "user", "accepts_multiple_values": true }))
        .await;
    let field = field["id"].as_str().unwrap();
    let role = json!({
        "name": "Field", "permissions": ["calling"], "visibility_user_lcf_ids": [field],
        "visibility_user_lcf_behavior": "allow_unassigned"
    });
    let role = close.make("role/", role).await;
    let bo = close.get_as("second", "me/").await.body;
    close
        .put(&format!("membership/{}/", bo["memberships"][0]["id"].as_str().unwrap()), json!({ "role_id": role["id"] }))
        .await;
    let key = format!("custom.{field}");
    let hers = close.make("lead/", json!({ "name": "a", key.as_str(): [users.rows()[0]["id"]] })).await;
    let shared = close.make("lead/", json!({ "name": "b", key.as_str(): [users.rows()[0]["id"], bo["id"]] })).await;
    let free = close.make("lead/", json!({ "name": "c" })).await;
    let see = |lead: &Value| format!("lead/{}/", lead["id"].as_str().unwrap());
    for (lead, status) in [(&hers, 404), (&shared, 200), (&free, 200)] {
        assert_eq!(close.get_as("second", &see(lead)).await.status, status, "{}", lead["name"]);
    }
    assert_eq!(close.delete(&format!("custom_field/lead/{field}/")).await.status, 200);
    let role = close.get(&format!("role/{}/", role["id"].as_str().unwrap())).await.body;
    assert_eq!(role["visibility_user_lcf_ids"], json!([]));
}
