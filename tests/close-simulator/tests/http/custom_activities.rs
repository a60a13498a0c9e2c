//! Custom activities (section 4.6) with their row of the catalogue, and outcomes (section 4.10).

use reqwest::Method;
use serde_json::json;

use crate::{
    activities::{actions, ids, lead, text},
    client::Close,
};

/// A custom activity type with an optional and a required field; `(type, optional, required)`.
async fn custom_type(close: &Close) -> (String, String, String) {
    let of = text(&close.make("custom_activity/", json!({ "name": "Visit" })).await["id"]);
    let field = |name: &str, required: bool| {
        close.make(
            "custom_field/activity/",
            json!({ "name": name, "type": "text", "custom_activity_type_id": of, "required": required }),
        )
    };
    let optional = format!("custom.{}", text(&field("Mood", false).await["id"]));
    let required = format!("custom.{}", text(&field("Result", true).await["id"]));
    (of, optional, required)
}

// Catalogue: activity.custom_activity.
#[tokio::test]
async fn a_custom_activity_is_drafted_published_pinned_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let (of, optional, required) = custom_type(&close).await;
    let reply = close
        .post("activity/custom/", json!({ "lead_id": lead, "custom_activity_type_id": of, optional.as_str(): "good" }))
        .await;
    assert_eq!(
        (reply.status, &reply.body["field-errors"][&required]),
        (400, &json!("This field is required.")),
        "{}",
        reply.text
    );
    let draft = json!({ "lead_id": lead, "custom_activity_type_id": of, "status": "draft", optional.as_str(): "good" });
    let draft = close.make("activity/custom/", draft).await;
    assert_eq!((&draft["_type"], &draft["last_published_at"]), (&json!("CustomActivity"), &json!(null)));
    let id = text(&draft["id"]);
    let path = format!("activity/custom/{id}/");
    close.advance(10.0).await;
    assert_eq!(close.put(&path, json!({ "status": "published" })).await.status, 400);
    let body = json!({
        "status": "published", required.as_str(): "done", "pinned": true, "activity_at": "2026-08-01T10:00:00+02:00"
    });
    let published = close.put(&path, body).await.body;
    assert_eq!(published["last_published_at"], published["date_updated"]);
    assert_eq!((&published["pinned"], &published["activity_at"]), (&json!(true), &json!("2026-08-01T08:00:00+00:00")));
    assert_eq!((&published[&optional], &published[&required]), (&json!("good"), &json!("done")));
    let (other, _, _) = custom_type(&close).await;
    for word in ["Custom", "CustomActivity", of.as_str()] {
        for path in ["activity", "activity/custom"] {
            let reply = close.get(&format!("{path}/?lead_id={lead}&_type={word}")).await;
            assert_eq!(ids(&reply), std::slice::from_ref(&id), "{path} {word}");
        }
    }
    assert!(ids(&close.get(&format!("activity/?lead_id={lead}&_type={other}")).await).is_empty());
    for (filter, status) in [
        (format!("custom_activity_type_id={of}"), 400),
        (format!("custom_activity_type_id__in={of}&lead_id={lead}"), 200),
    ] {
        assert_eq!(close.get(&format!("activity/custom/?{filter}")).await.status, status, "{filter}");
    }
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.custom_activity").await, ["created", "updated", "deleted"]);
}

#[tokio::test]
async fn a_custom_activity_takes_only_the_fields_of_its_type() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let (of, _, _) = custom_type(&close).await;
    let (_, foreign, _) = custom_type(&close).await;
    let body = json!({ "lead_id": lead, "custom_activity_type_id": of, "status": "draft", foreign.as_str(): "x" });
    let reply = close.post("activity/custom/", body).await;
    assert_eq!((reply.status, reply.body["field-errors"].get(&foreign).is_some()), (400, true), "{}", reply.text);
    let reply = close.post("activity/custom/", json!({ "lead_id": lead })).await;
    assert_eq!(reply.body["field-errors"]["custom_activity_type_id"], "This field is required.", "{}", reply.text);
}

#[tokio::test]
async fn the_literal_of_custom_activities_can_be_chosen() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let (of, _, _) = custom_type(&close).await;
    close.make("activity/custom/", json!({ "lead_id": lead, "custom_activity_type_id": of, "status": "draft" })).await;
    close.switch(json!({ "custom_activity_literal": "Custom" })).await;
    assert_eq!(close.get("activity/custom/").await.rows()[0]["_type"], "Custom");
}

// Outcomes: section 4.10.
#[tokio::test]
async fn outcomes_need_the_right_to_customize_and_have_no_events() {
    let close = Close::start().await;
    let reply = close.post("outcome/", json!({ "name": "Interested", "applies_to": ["calls"] })).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(
        (&reply.body["type"], &reply.body["applies_to"], &reply.body["description"]),
        (&json!("custom"), &json!(["calls"]), &json!(null))
    );
    let path = format!("outcome/{}/", text(&reply.body["id"]));
    assert_eq!(close.put(&path, json!({ "description": "wants more" })).await.body["description"], "wants more");
    assert_eq!(close.post("outcome/", json!({ "name": "x", "applies_to": ["tasks"] })).await.status, 400);
    assert_eq!(close.post("outcome/", json!({})).await.status, 400);
    let reply = Close::send(close.request("agent", Method::POST, "outcome/").json(&json!({ "name": "x" }))).await;
    assert_eq!(reply.status, 403);
    let list = close.get_as("agent", "outcome/").await;
    assert_eq!((list.rows().len(), &list.body["has_more"]), (1, &json!(false)));
    assert_eq!(close.delete(&path).await.status, 200);
    assert!(close.get("outcome/").await.rows().is_empty());
}
