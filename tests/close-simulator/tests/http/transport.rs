//! Section 12, items 1 to 5: transport, credentials, errors.

use reqwest::Method;
use serde_json::json;

use crate::client::Close;

#[tokio::test]
async fn a_missing_slash_is_redirected_and_wrong_credentials_are_401() {
    let close = Close::start().await;
    let reply = close.get("user?_limit=1").await;
    assert_eq!((reply.status, reply.headers["location"].to_str().unwrap()), (301, "/api/v1/user/?_limit=1"));
    for key in ["", "former"] {
        let reply = close.get_as(key, "user/").await;
        assert_eq!((reply.status, reply.body), (401, json!({ "error": "Unauthorized" })), "key {key:?}");
    }
    assert_eq!(close.get("user/").await.status, 200);
}

#[tokio::test]
async fn a_put_patches_and_unknown_parameters_are_ignored() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let path = format!("lead/{}/", lead["id"].as_str().unwrap());
    let reply = close.put(&path, json!({ "no_such_field": 1 })).await;
    assert_eq!((reply.status, &reply.body["name"]), (200, &json!("Nordlicht")));
    assert_eq!(close.get("lead/?no_such=1&_order_by=no_such").await.status, 200);
}

#[tokio::test]
async fn bad_json_another_media_type_and_no_object_are_400() {
    let close = Close::start().await;
    for (body, kind) in [("{", "application/json"), ("[]", "application/json"), ("{}", "text/plain")] {
        let request = close.request("admin", Method::POST, "lead/").header("content-type", kind).body(body);
        let reply = Close::send(request).await;
        assert_eq!(reply.status, 400, "{body} as {kind}");
        assert!(reply.body["error"].is_string(), "{}", reply.text);
    }
}
