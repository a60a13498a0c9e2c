//! A webhook from its start to its end: broker away, load, stop, clients that disconnect.

use reqwest::StatusCode;
use serde_json::json;

use super::webhook::{Broker, FakePublisher, Webhook, answer, create, problem, purchase, refused, within};

#[tokio::test]
async fn posts_are_503_while_the_broker_is_away_and_accepted_afterwards() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Away);
    assert_eq!(refused(webhook.post(create()).await).await, answer(503, "webhook.unavailable"));
    webhook.out.now(Broker::Takes);
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_post_is_answered_only_after_the_broker_has_its_events() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Holds);
    let mut answer = Box::pin(webhook.post(create()));
    tokio::select! {
        _ = &mut answer => panic!("answered before the broker"),
        () = webhook.out.holds_requests(1) => {}
    }
    webhook.assert_metric(r#"towpath_webhook_requests_in_flight{connector="acme"} 1"#);
    webhook.out.now(Broker::Takes);
    assert_eq!(answer.await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn posts_beyond_the_limit_in_flight_are_503() {
    let out = FakePublisher::new();
    let webhook = Webhook::start_with(out.clone(), &[("requests.max.in.flight", "1")]).await;
    webhook.is_open().await;
    out.now(Broker::Holds);
    let first = webhook.post(create());
    let second = async {
        out.holds_requests(1).await;
        let answer = refused(webhook.post(create()).await).await;
        out.now(Broker::Takes);
        answer
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status(), second), (StatusCode::ACCEPTED, answer(503, "webhook.overloaded")));
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn on_stop_new_posts_are_503_and_posts_in_flight_are_answered() {
    let webhook = Webhook::start().await;
    webhook.out.now(Broker::Holds);
    let first = webhook.post(create());
    let meanwhile = async {
        webhook.out.holds_requests(1).await;
        webhook.source_stop.cancel();
        let answer = refused(webhook.post(create()).await).await;
        assert!(!webhook.source.is_finished());
        webhook.out.now(Broker::Takes);
        answer
    };
    let (first, draining) = tokio::join!(first, meanwhile);
    assert_eq!((first.status(), draining), (StatusCode::ACCEPTED, answer(503, "webhook.draining")));
    let (listener, client) = (webhook.listener.clone(), webhook.client.clone());
    webhook.ends().await.unwrap();
    let request = client.post(format!("http://{}/hooks/acme", listener.local_addrs()[0])).body("{}").send();
    assert_eq!(refused(within(request).await.unwrap()).await, answer(503, "webhook.unavailable"));
}

#[tokio::test]
async fn with_the_broker_away_at_the_start_posts_are_503() {
    let out = FakePublisher::new();
    out.now(Broker::Away);
    let webhook = Webhook::start_with(out, &[]).await;
    assert_eq!(refused(webhook.post(create()).await).await, answer(503, "webhook.unavailable"));
    let error = webhook.ends().await.unwrap_err();
    assert_eq!((error.reaction, error.code), (towpath_api::Reaction::Retry, "kafka.unavailable"));
}

#[tokio::test]
async fn an_object_that_cannot_be_prepared_is_refused_and_the_others_are_served() {
    let out = FakePublisher::new();
    out.now(Broker::RefusesPurchases);
    let webhook = Webhook::start_with(out, &[]).await;
    webhook.is_open().await;
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
    let (status, code, body) = problem(webhook.post(purchase()).await).await;
    assert_eq!((status, code), answer(503, "webhook.object_unavailable"));
    assert!(body["title"].as_str().unwrap().contains("`purchase`"), "{body}");
    // A sender who is not known learns nothing of it.
    let mut stranger = purchase();
    stranger["clientid"] = json!("acme");
    stranger["clientSecret"] = json!("guessed");
    let (status, code, body) = problem(webhook.post_text(stranger.to_string()).await).await;
    assert_eq!((status, code), answer(401, "webhook.credentials"));
    assert!(!body.to_string().contains("purchase"), "{body}");
    // It is prepared again by itself.
    webhook.out.now(Broker::Takes);
    accepts(&webhook, purchase()).await;
}

#[tokio::test]
async fn a_refusal_while_it_runs_stops_only_the_object_until_it_is_cured() {
    let webhook = Webhook::start().await;
    assert_eq!(webhook.post(purchase()).await.status(), StatusCode::ACCEPTED);
    webhook.out.now(Broker::RefusesPurchases);
    assert_eq!(webhook.post(purchase()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused(webhook.post(purchase()).await).await, answer(503, "webhook.object_unavailable"));
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
    webhook.out.now(Broker::Denies);
    assert_eq!(webhook.post(create()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    webhook.out.now(Broker::Takes);
    accepts(&webhook, purchase()).await;
    accepts(&webhook, create()).await;
}

async fn accepts(webhook: &Webhook, post: serde_json::Value) {
    within(async {
        while webhook.post(post.clone()).await.status() != StatusCode::ACCEPTED {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_place() {
    let out = FakePublisher::new();
    let webhook = Webhook::start_with(out.clone(), &[("requests.max.in.flight", "1")]).await;
    webhook.is_open().await;
    out.now(Broker::Holds);
    let mut post = Box::pin(webhook.post(create()));
    tokio::select! {
        _ = &mut post => panic!("answered before the broker"),
        () = out.holds_requests(1) => {}
    }
    drop(post);
    // The place is free as soon as the server has noticed.
    out.now(Broker::Takes);
    within(async {
        while webhook.post(create()).await.status() != StatusCode::ACCEPTED {
            tokio::task::yield_now().await;
        }
    })
    .await;
    webhook.assert_metric(r#"towpath_webhook_requests_in_flight{connector="acme"} 0"#);
}

#[tokio::test]
async fn every_series_is_present_from_the_start() {
    let webhook = Webhook::start().await;
    for line in [
        r#"towpath_webhook_requests_total{client="acme",code="202",connector="acme"} 0"#,
        r#"towpath_webhook_requests_total{client="_unknown",code="401",connector="acme"} 0"#,
        r#"towpath_webhook_events_total{client="acme",connector="acme",object="purchase",outcome="rejected"} 0"#,
        r#"towpath_webhook_rejections_total{client="acme",connector="acme",reason="schema"} 0"#,
        r#"towpath_source_received_bytes_total{connector="acme"} 0"#,
    ] {
        webhook.assert_metric(line);
    }
    let before = webhook.metrics().lines().filter(|line| !line.starts_with('#')).count();
    webhook.post(create()).await;
    webhook.post(json!({"objectname": "x", "id": 1, "action": "delete"})).await;
    webhook.post_text("{").await;
    webhook.post_text("{}").await;
    assert_eq!(webhook.metrics().lines().filter(|line| !line.starts_with('#')).count(), before);
}
