//! Accepted posts, and one test per way to refuse a post.

use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use towpath_api::{Key, Op};

use super::webhook::{Broker, SECRET, Webhook, answer, create, problem, refused, within};

#[tokio::test]
async fn one_event_is_accepted_with_its_place() {
    let webhook = Webhook::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut body = create();
    body["client_id"] = json!("acme");
    body["Client-Secret"] = json!(SECRET);
    let request = webhook.client.post(webhook.url("/hooks/acme")).header("traceparent", trace);
    let response =
        within(request.header("content-type", "application/json; charset=utf-8").body(body.to_string()).send())
            .await
            .unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["content-type"], "application/json");
    let accepted: Json = response.json().await.unwrap();
    assert_eq!(accepted, json!({"status": "accepted", "id": "d-1", "topic": "acme.deal", "partition": 3, "offset": 0}));
    {
        let taken = webhook.out.taken.lock().unwrap();
        assert_eq!(
            (taken[0].op, &taken[0].key, taken[0].traceparent.as_deref()),
            (Op::Create, &Key::Text("d-1".into()), Some(trace))
        );
        assert!(!format!("{taken:?}").contains(SECRET));
    }
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="acme",code="202",connector="acme"} 1"#);
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="deal",outcome="accepted"} 1"#,
    );
    webhook.assert_metric(&format!(
        r#"towpath_source_received_bytes_total{{connector="acme"}} {}"#,
        body.to_string().len()
    ));
    webhook.assert_metric(r#"towpath_webhook_requests_in_flight{connector="acme"} 0"#);
}

#[tokio::test]
async fn an_array_is_accepted_with_the_place_of_each() {
    let webhook = Webhook::start().await;
    let body = json!({"objectname": "purchase", "action": "create", "data": [
        {"id": "7", "data": {"note": "x"}}, {"id": 8, "action": "delete"}]});
    let accepted: Json = webhook.post(body).await.json().await.unwrap();
    let event = |id: i64, offset: i64| json!({"id": id, "topic": "acme.purchase", "partition": 3, "offset": offset});
    assert_eq!(accepted, json!({"status": "accepted", "count": 2, "events": [event(7, 0), event(8, 1)]}));
    let single: Json = webhook
        .post(json!({"objectname": "purchase", "data": [{"id": 9, "action": "delete"}]}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(single["count"], 1);
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_get_the_same_401() {
    let webhook = Webhook::start().await;
    let mut texts = Vec::new();
    for (id, secret) in [("acme", "wrong"), ("nobody", SECRET), ("", "")] {
        let mut body = create();
        body["clientid"] = json!(id);
        body["clientSecret"] = json!(secret);
        let (status, code, body) = problem(webhook.post_text(body.to_string()).await).await;
        assert_eq!((status, code.as_str()), (401, "webhook.credentials"));
        texts.push(body.to_string());
    }
    texts.push(problem(webhook.post_text(create().to_string()).await).await.2.to_string());
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    webhook.assert_metric(
        r#"towpath_webhook_rejections_total{client="_unknown",connector="acme",reason="credentials"} 4"#,
    );
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="_unknown",code="401",connector="acme"} 4"#);
    assert!(webhook.out.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn other_bodies_than_posts_are_400() {
    let webhook = Webhook::start().await;
    for body in ["", "[]", "{", "{\"id\":1,\"Id\":1}", "not json"] {
        assert_eq!(refused(webhook.post_text(body).await).await, answer(400, "webhook.malformed"), "{body}");
    }
    let (status, code, body) =
        problem(webhook.post(json!({"objectname": "deal", "id": "1", "acton": "create"})).await).await;
    assert_eq!((status, code.as_str()), (400, "webhook.malformed"));
    let pointers: Vec<&Json> = body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/acton", "/action", "/data"]);
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("did you mean `action`?"));
}

#[tokio::test]
async fn unknown_paths_and_objects_are_404() {
    let webhook = Webhook::start().await;
    for path in ["/", "/hooks", "/hooks/", "/hooks/other", "/hooks/acme/x"] {
        let response = webhook.request(Method::POST, path, "application/json", create().to_string()).await;
        assert_eq!(refused(response).await, answer(404, "webhook.unknown_connector"), "{path}");
    }
    let mut body = create();
    body["objectname"] = json!("deals");
    let (status, code, body) = problem(webhook.post(body).await).await;
    assert_eq!((status, code.as_str()), (404, "webhook.unknown_object"));
    assert!(body["detail"].as_str().unwrap().contains("did you mean `deal`?"));
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="_unknown",outcome="rejected"} 1"#,
    );
}

#[tokio::test]
async fn only_known_clients_learn_whether_an_object_exists() {
    let webhook = Webhook::start().await;
    let mut body = create();
    body["objectname"] = json!("deals");
    assert_eq!(refused(webhook.post_text(body.to_string()).await).await, answer(401, "webhook.credentials"));
}

#[tokio::test]
async fn other_methods_are_405_with_the_allowed_method() {
    let webhook = Webhook::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let response = webhook.request(method, "/hooks/acme", "application/json", "{}").await;
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(refused(response).await, answer(405, "webhook.malformed"));
    }
}

#[tokio::test]
async fn other_types_and_encodings_are_415() {
    let webhook = Webhook::start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let response = webhook.request(Method::POST, "/hooks/acme", content_type, create().to_string()).await;
        assert_eq!(refused(response).await, answer(415, "webhook.content_type"), "{content_type}");
    }
    let request = webhook
        .client
        .post(webhook.url("/hooks/acme"))
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    assert_eq!(refused(within(request.body("x").send()).await.unwrap()).await, answer(415, "webhook.content_type"));
}

#[tokio::test]
async fn misfits_are_422_with_a_pointer_each() {
    let webhook = Webhook::start().await;
    let body = json!({"objectname": "deal", "action": "create", "data": [
        {"id": "1", "data": {"name": "a"}}, {"id": "2", "data": {"name": 5, "amount": "12.50"}},
        {"id": "", "data": {"nme": "c"}}]});
    let (status, code, body) = problem(webhook.post(body).await).await;
    assert_eq!((status, code.as_str()), (422, "webhook.schema"));
    assert_eq!(body["title"], "The event does not fit the agreed schema of `deal`");
    assert_eq!(body["detail"], "5 fields are wrong; nothing was stored.");
    assert_eq!(body["instance"], "/hooks/acme");
    assert_eq!(
        body["errors"][1],
        json!({"pointer": "/data/1/data/amount", "code": "type",
            "message": "expected an integer (64 bit), got \"12.50\""})
    );
    assert!(webhook.out.taken.lock().unwrap().is_empty());
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="deal",outcome="rejected"} 3"#,
    );
    webhook.assert_metric(r#"towpath_webhook_rejections_total{client="acme",connector="acme",reason="schema"} 1"#);
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_413_or_422() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::RefusesAsTooLarge);
    assert_eq!(refused(webhook.post(create()).await).await, answer(413, "webhook.too_large"));
    webhook.out.now(Broker::RefusesAsBroken);
    assert_eq!(refused(webhook.post(create()).await).await, answer(422, "webhook.schema"));
    webhook.assert_metric(
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="deal",outcome="rejected"} 2"#,
    );
}
