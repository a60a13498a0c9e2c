//! `/me/`, `/user/`, `/api_key/`: users and keys (sections 1.2, 1.4, 4.7).

use serde_json::{Value, json};

use crate::client::Close;

#[tokio::test]
async fn me_shows_the_user_with_memberships_and_whole_organizations() {
    let close = Close::bare().await;
    let me = close.get("me/").await;
    assert_eq!(me.status, 200);
    let me = me.body;
    assert_eq!((&me["first_name"], &me["email"]), (&json!("Mara"), &json!("mara@composed.example")));
    assert!(me["id"].as_str().unwrap().starts_with("user_"));
    assert!(me["date_created"].as_str().unwrap().ends_with("+00:00"), "{}", me["date_created"]);
    for list in ["email_accounts", "phone_numbers"] {
        assert!(me[list].is_array(), "{list}: {}", me[list]);
    }
    let membership = &me["memberships"][0];
    assert_eq!(membership["role_id"], "admin");
    assert_eq!((&membership["user_id"], &membership["permissions_granted"]), (&me["id"], &json!([])));
    let organization = &me["organizations"][0];
    assert_eq!((&organization["id"], &organization["name"]), (&membership["organization_id"], &json!("Composed Inc")));
    assert_eq!(organization["lead_statuses"][0]["label"], "Potential");
    assert_eq!(organization["pipelines"][0]["statuses"][3]["type"], "won");

    let some = close.get_as("restricted", "me/?_fields=id,memberships").await.body;
    assert_eq!(some.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "memberships"]);
    assert_eq!(some["memberships"][0]["role_id"], "restricteduser");
}

#[tokio::test]
async fn the_list_has_present_members_and_a_switch_shows_former_ones_by_id() {
    let close = Close::bare().await;
    let list = close.get("user/").await;
    let names: Vec<&str> = list.rows().iter().map(|user| user["first_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Mara", "Ellis", "Tomasz", "Ana", "Bo"]);
    assert_eq!((&list.body["has_more"], list.body.get("total_results")), (&json!(false), None));

    let organization = close.get("me/").await.body["organizations"][0]["id"].as_str().unwrap().to_owned();
    let organization = close.get(&format!("organization/{organization}/")).await.body;
    let former = organization["inactive_memberships"][0]["user_id"].as_str().unwrap().to_owned();
    let path = format!("user/{former}/");
    let user = close.get(&path).await;
    assert_eq!((user.status, &user.body["first_name"]), (200, &json!("Chidi")));
    close.switch(json!({ "former_users_by_id": false })).await;
    let gone = close.get(&path).await;
    assert_eq!(gone.status, 404);
    assert!(gone.body["error"].as_str().unwrap().starts_with("Empty query:"), "{}", gone.text);
}

#[tokio::test]
async fn users_are_ordered_by_either_name_and_paged() {
    let close = Close::bare().await;
    let lasts = |reply: &crate::client::Reply| -> Vec<String> {
        reply.rows().iter().map(|user| user["last_name"].as_str().unwrap().to_owned()).collect()
    };
    let up = lasts(&close.get("user/?_order_by=last_name,first_name").await);
    let down = lasts(&close.get("user/?_order_by=-last_name,first_name").await);
    assert_eq!(up, ["Lindqvist", "Núñez", "Okafor", "Voss", "Zieliński"]);
    assert_eq!(down, up.iter().rev().cloned().collect::<Vec<_>>());
    let page = close.get("user/?_limit=2&_skip=1").await;
    assert_eq!((lasts(&page).len(), &page.body["has_more"]), (2, &json!(true)));
    assert_eq!(close.get("user/?_limit=1000").await.status, 200);
    let over = close.get("user/?_limit=1001").await;
    assert_eq!(over.status, 400);
    assert!(over.body["error"].as_str().unwrap().contains("max_limit = 1000"), "{}", over.text);
}

#[tokio::test]
async fn users_cannot_be_written_and_availability_has_every_member() {
    let close = Close::bare().await;
    let id = close.get("me/").await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(close.put(&format!("user/{id}/"), json!({ "first_name": "X" })).await.status, 405);
    assert_eq!(close.post("user/", json!({})).await.status, 405);
    let availability = close.get("user/availability/").await;
    assert_eq!((availability.rows().len(), availability.body.get("has_more")), (5, None));
    assert_eq!(availability.rows()[0]["user_id"], id.as_str());
}

#[tokio::test]
async fn a_key_is_listed_for_its_own_user_only_and_without_its_secret() {
    let close = Close::bare().await;
    let keys = close.get_as("agent", "api_key/").await;
    assert_eq!(keys.rows().len(), 1);
    assert!(keys.rows()[0]["organization_id"].as_str().unwrap().starts_with("orga_"));
    let secret = close.running.key("agent").unwrap();
    assert!(!keys.text.contains(&secret));
    let one = close.get_as("agent", &format!("api_key/{secret}/")).await;
    assert_eq!((one.status, &one.body), (200, &keys.rows()[0]));
    assert_eq!(close.get_as("admin", &format!("api_key/{secret}/")).await.status, 404);
}

/// Section 12, item 1, and section 1.2: a removed user's key stops working, and works again after the user returns.
#[tokio::test]
async fn the_key_of_a_removed_user_is_401_until_the_user_is_back() {
    let close = Close::bare().await;
    let me = close.get_as("agent", "me/").await.body;
    let membership = me["memberships"][0]["id"].as_str().unwrap();
    assert_eq!(close.delete(&format!("membership/{membership}/")).await.status, 200);
    let refused = close.get_as("agent", "me/").await;
    assert_eq!((refused.status, refused.body), (401, json!({ "error": "Unauthorized" })));
    assert_eq!(refused.headers["www-authenticate"].to_str().unwrap().split(' ').next(), Some("Basic"));
    close.switch(json!({ "membership_create_by_key": true })).await;
    close.make("membership/", json!({ "email": me["email"], "role_id": "user" })).await;
    assert_eq!(close.get_as("agent", "me/").await.body["id"], me["id"]);
}

/// Section 12, item 4: an error is a string here.
#[tokio::test]
async fn what_a_caller_may_not_do_is_403_with_the_text_of_the_switch() {
    let close = Close::bare().await;
    close.switch(json!({ "forbidden_text": "Not you." })).await;
    for (path, body) in [
        ("role/", json!({ "name": "Helpers" })),
        ("group/", json!({ "name": "Helpers" })),
        ("status/lead/", json!({ "label": "Helpers" })),
        ("pipeline/", json!({ "name": "Helpers" })),
        ("custom_field/lead/", json!({ "name": "Helpers", "type": "text" })),
        ("custom_activity/", json!({ "name": "Helpers" })),
        ("custom_object_type/", json!({ "name": "Helpers" })),
    ] {
        let reply = Close::send(close.request("agent", reqwest::Method::POST, path).json(&body)).await;
        assert_eq!((reply.status, &reply.body), (403, &json!({ "error": "Not you." })), "{path}");
        assert_eq!(close.get_as("agent", path).await.status, 200, "{path} can be read");
    }
    // A superuser may customize, but not manage the organization.
    let post = |path: &'static str, body: Value| {
        Close::send(close.request("superuser", reqwest::Method::POST, path).json(&body))
    };
    assert_eq!(post("custom_field/lead/", json!({ "name": "Fleet", "type": "text" })).await.status, 200);
    assert_eq!(post("role/", json!({ "name": "Fleet" })).await.status, 403);
}
