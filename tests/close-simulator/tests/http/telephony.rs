//! Phone numbers, blocked numbers, dialer sessions, accounts and unsubscribed addresses.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

async fn rented(close: &Close, body: Value) -> Value {
    let reply = close.post("phone_number/request/internal/", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.body
}

#[tokio::test]
async fn a_phone_number_is_rented_changed_and_given_up() {
    let close = Close::start().await;
    let number = rented(&close, json!({ "country": "US", "sharing": "personal", "prefix": "415" })).await;
    let id = number["id"].as_str().unwrap();
    assert!(id.starts_with("phon_") && number["number"].as_str().unwrap().starts_with("+1415"), "{number}");
    assert_eq!((&number["type"], &number["is_group_number"]), (&json!("internal"), &json!(false)));
    assert!(
        number["number_formatted"].as_str().unwrap().starts_with("+1 415-") && number["last_billed_price"].is_number()
    );
    let path = format!("phone_number/{id}/");
    let changed =
        close.put(&path, json!({ "label": "Front desk", "forward_to": "+4930123456", "number": "+1" })).await.body;
    assert_eq!((&changed["label"], &changed["number"]), (&json!("Front desk"), &number["number"]));
    assert_eq!(changed["forward_to_formatted"], "+49 30123456");
    let found =
        close.get(&format!("phone_number/?number={}", number["number"].as_str().unwrap().replace('+', "%2B"))).await;
    assert_eq!((found.rows().len(), &found.rows()[0]["id"]), (1, &number["id"]));
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(close.get(&path).await.status, 404);
    assert_eq!(close.post("phone_number/", json!({})).await.status, 405);
}

#[tokio::test]
async fn a_number_that_cannot_be_had_says_why() {
    let close = Close::start().await;
    let missing = close.post("phone_number/request/internal/", json!({})).await;
    assert_eq!((missing.status, &missing.body["field-errors"]["country"]), (400, &json!("This field is required.")));
    let voice = close
        .post("phone_number/request/internal/", json!({ "country": "DE", "sharing": "group", "with_sms": true }))
        .await;
    assert_eq!((voice.status, &voice.body["status"]), (400, &json!("has-voice-only")));
    let nowhere = close.post("phone_number/request/internal/", json!({ "country": "AQ", "sharing": "group" })).await;
    assert_eq!((nowhere.status, &nowhere.body["status"]), (400, &json!("error")));
    let request = close.request("agent", Method::POST, "phone_number/request/internal/");
    assert_eq!(Close::send(request.json(&json!({ "country": "US", "sharing": "group" }))).await.status, 403);
}

#[tokio::test]
async fn phone_numbers_tell_when_they_are_created_updated_and_deleted() {
    // Section 6.5: phone_number.
    let close = Close::start().await;
    let number = rented(&close, json!({ "country": "GB", "sharing": "group" })).await;
    let id = number["id"].as_str().unwrap();
    assert_eq!((&number["is_group_number"], number["participants"].as_array().unwrap().len()), (&json!(true), 1));
    close.advance(60.0).await;
    close.put(&format!("phone_number/{id}/"), json!({ "participants": [] })).await;
    close.advance(60.0).await;
    close.delete(&format!("phone_number/{id}/")).await;
    let events = close.events_of(id, "phone_number").await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["deleted", "updated", "created"]);
    assert_eq!(events[0]["previous_data"]["number"], number["number"]);
}

#[tokio::test]
async fn numbers_are_blocked_once_and_anonymous_callers_on_demand() {
    let close = Close::start().await;
    let blocked = close.post("blocked_phone_number/", json!({ "phone": "+4930555000", "reason": "spam" })).await;
    assert_eq!((blocked.status, &blocked.body["reason"]), (201, &json!("spam")));
    assert_eq!(close.post("blocked_phone_number/", json!({ "phone": "+4930555000" })).await.status, 400);
    assert_eq!(close.post("blocked_phone_number/", json!({ "phone": "nobody" })).await.status, 400);
    let settings = "blocked_phone_number/settings/";
    let field = "reject_anonymous_inbound_calls";
    assert_eq!(close.put(settings, json!({ field: true })).await.body, json!({ field: true }));
    assert_eq!(close.get(settings).await.body, json!({ field: true }));
    assert_eq!(close.put(settings, json!({ field: "maybe" })).await.status, 400);
    let id = blocked.body["id"].as_str().unwrap();
    assert_eq!(close.get(&format!("blocked_phone_number/{id}/")).await.status, 200);
    assert_eq!(close.delete(&format!("blocked_phone_number/{id}/")).await.status, 204);
}

#[tokio::test]
async fn accounts_are_only_read_and_their_type_is_no_filter() {
    let close = Close::start().await;
    let all = close.get("connected_account/").await;
    for kind in ["google", "custom_email", "zoom"] {
        assert_eq!(
            close.get(&format!("connected_account/?_type={kind}&_limit=100")).await.body,
            all.body,
            "{kind} does not filter"
        );
    }
    for row in all.rows() {
        assert_eq!(
            close.get(&format!("connected_account/{}/", row["id"].as_str().unwrap())).await.body["_type"],
            row["_type"]
        );
    }
    let nobody = close.get("connected_account/?user_id=user_nobody").await;
    assert!(nobody.rows().is_empty());
    assert_eq!(close.post("connected_account/", json!({})).await.status, 405);
    assert_eq!((close.get("dialer/").await.status, close.post("dialer/", json!({})).await.status), (200, 405));
}

#[tokio::test]
async fn an_address_is_unsubscribed_and_subscribed_again_by_itself() {
    // Section 6.5: unsubscribed_email.
    let close = Close::start().await;
    let made = close.post("unsubscribe/email/", json!({ "email": "Ida+News@Nordlicht.example" })).await;
    assert_eq!((made.status, &made.body["email"]), (201, &json!("ida+news@nordlicht.example")));
    let again = close.post("unsubscribe/email/", json!({ "email": "ida+news@nordlicht.example" })).await;
    assert_eq!(again.body["id"], made.body["id"], "twice is once");
    let list = close.get("unsubscribe/email/").await;
    assert_eq!(list.rows().iter().filter(|row| row["email"] == "ida+news@nordlicht.example").count(), 1);
    close.advance(60.0).await;
    let gone = close.delete("unsubscribe/email/ida+news%40nordlicht.example/").await;
    assert_eq!((gone.status, gone.body), (200, json!({})));
    assert_eq!(close.delete("unsubscribe/email/ida+news@nordlicht.example/").await.status, 404);
    let events = close.events_of(made.body["id"].as_str().unwrap(), "unsubscribed_email").await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["deleted", "created"]);
    for body in [json!({}), json!({ "email": "nobody" })] {
        assert_eq!(close.post("unsubscribe/email/", body).await.status, 400);
    }
}
