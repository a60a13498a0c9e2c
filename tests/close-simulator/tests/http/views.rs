//! Smart Views, integration links, playbooks.

use reqwest::Method;
use serde_json::json;

use crate::client::{Close, Reply};

fn names(reply: &Reply) -> Vec<&str> {
    reply.rows().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn quirk_13_smart_views_are_listed_for_leads_unless_a_type_is_given() {
    // Section 12, item 13.
    let close = Close::start().await;
    close.make("saved_search/", json!({ "name": "Test leads", "s_query": { "type": "and", "queries": [] } })).await;
    close.make("saved_search/", json!({ "name": "Test contacts", "type": "contact", "is_shared": true })).await;
    let plain = close.get("saved_search/?_limit=600").await;
    assert!(names(&plain).contains(&"Test leads") && !names(&plain).contains(&"Test contacts"), "{}", plain.text);
    assert!(plain.rows().iter().all(|row| row["type"] == "lead"));
    let both = close.get("saved_search/?_limit=600&type__in=lead,contact").await;
    assert!(names(&both).contains(&"Test leads") && names(&both).contains(&"Test contacts"));
    let contacts = close.get("saved_search/?type=contact").await;
    assert!(!names(&contacts).contains(&"Test leads") && names(&contacts).contains(&"Test contacts"));
    assert_eq!(close.get("saved_search/?_limit=601").await.status, 400);
}

#[tokio::test]
async fn a_smart_view_gives_back_what_was_saved_and_refuses_what_is_no_type() {
    let close = Close::start().await;
    let query = json!({ "type": "field_condition", "condition": { "type": "current_user" } });
    let view =
        close.make("saved_search/", json!({ "name": "Mine", "s_query": query, "selected_fields": ["name"] })).await;
    assert_eq!(
        (&view["s_query"], &view["selected_fields"], &view["is_shared"]),
        (&query, &json!(["name"]), &json!(false))
    );
    assert_eq!((&view["is_user_dependent"], &view["type"]), (&json!(true), &json!("lead")));
    assert!(
        view["id"].as_str().unwrap().starts_with("save_") && view["user_id"].as_str().unwrap().starts_with("user_")
    );
    let wrong = close.post("saved_search/", json!({ "name": "X", "type": "planet" })).await;
    assert!(wrong.status == 400 && wrong.body["field-errors"]["type"].is_string(), "{}", wrong.text);
    let nameless = close.post("saved_search/", json!({})).await;
    assert_eq!(nameless.body["field-errors"]["name"], "This field is required.");
}

#[tokio::test]
async fn a_smart_view_that_is_posted_back_whole_becomes_another_one() {
    let close = Close::start().await;
    let view = close.make("saved_search/", json!({ "name": "Copied", "query": "sort:created" })).await;
    let copy = close.make("saved_search/", view.clone()).await;
    assert_ne!(copy["id"], view["id"]);
    assert_eq!((&copy["name"], &copy["query"]), (&view["name"], &view["query"]));
}

#[tokio::test]
async fn only_who_manages_team_views_shares_one() {
    let close = Close::start().await;
    let as_agent = |body| Close::send(close.request("agent", Method::POST, "saved_search/").json(&body));
    assert_eq!(as_agent(json!({ "name": "Own" })).await.status, 200);
    let refused = as_agent(json!({ "name": "Team", "is_shared": true })).await;
    assert!(refused.status == 403 && refused.body["error"].is_string(), "{}", refused.text);
}

#[tokio::test]
async fn integration_links_are_a_bare_list_with_has_more() {
    let close = Close::start().await;
    let link = close
        .make("integration_link/", json!({ "name": "Maps", "url": "https://maps.example/?q={{lead.name}}" }))
        .await;
    assert_eq!((&link["type"], link["id"].as_str().unwrap().len()), (&json!("lead"), "link_".len() + 22));
    let list = close.get("integration_link/").await;
    assert_eq!(list.body["has_more"], false);
    assert!(list.rows().iter().any(|row| row["id"] == link["id"]));
    for body in [
        json!({ "name": "No URL" }),
        json!({ "name": "Bad", "url": "maps" }),
        json!({ "name": "Bad", "url": "a://b", "type": "x" }),
    ] {
        assert_eq!(close.post("integration_link/", body).await.status, 400);
    }
    assert_eq!(close.delete(&format!("integration_link/{}/", link["id"].as_str().unwrap())).await.status, 200);
}

#[tokio::test]
async fn quirk_15_playbooks_have_created_at_and_updated_at_and_can_be_archived() {
    // Section 12, item 15: other names of dates.
    let close = Close::start().await;
    let made = close.post("playbook/", json!({ "name": "Discovery" })).await;
    assert_eq!(made.status, 201);
    let playbook = made.body;
    assert!(playbook["created_at"].is_string() && playbook["updated_at"].is_string());
    assert!(playbook.get("date_created").is_none() && playbook.get("date_updated").is_none());
    let id = playbook["id"].as_str().unwrap();
    let archived = close.post(&format!("playbook/{id}/archive/"), json!({})).await;
    assert_eq!((archived.status, &archived.body["is_archived"]), (200, &json!(true)));
    assert!(archived.body["archived_at"].is_string() && archived.body["archived_by_id"].is_string());
    let open = close.get("playbook/?is_archived=false").await;
    assert!(open.rows().iter().all(|row| row["id"] != id));
    let back = close.post(&format!("playbook/{id}/unarchive/"), json!({})).await;
    assert_eq!((&back.body["is_archived"], &back.body["archived_at"]), (&json!(false), &json!(null)));
    let before = close.get("playbook/?created_at__lt=2000-01-01").await;
    assert!(before.rows().is_empty());
    assert_eq!(close.delete(&format!("playbook/{id}/")).await.status, 204);
}
