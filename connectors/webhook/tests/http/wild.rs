//! Posts as clients in the wild send them: other spellings of types, paths, times and numbers, large heads, and clients
//! that skip a refused body.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::webhook::{SECRET, Webhook, answer, create, head_of, padded, problem, refused, within};

const JSON: &str = "application/json";

/// The metric of requests that name no connector.
fn nowhere(code: u16, count: u64) -> String {
    format!(r#"towpath_webhook_requests_total{{client="_unknown",code="{code}",connector="_unknown"}} {count}"#)
}

fn rejections(connector: &str, reason: &str, count: u64) -> String {
    format!(
        r#"towpath_webhook_rejections_total{{client="_unknown",connector="{connector}",reason="{reason}"}} {count}"#
    )
}

#[tokio::test]
async fn utf_8_is_accepted_by_all_its_names_and_another_charset_is_named() {
    let webhook = Webhook::start().await;
    for kind in [
        "application/json;charset=utf8",
        "application/json; charset=UTF8",
        "application/json; charset=us-ascii",
        "application/json; charset=\"UTF-8\"",
        "application/json;",
        "application/json, application/json",
    ] {
        let response = webhook.request(Method::POST, "/hooks/acme", kind, padded(300)).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{kind}");
    }
    for (kind, name) in [("application/json; charset=latin1", "latin1"), ("application/json;charset=utf-16", "utf-16")]
    {
        let (status, code, body) = problem(webhook.request(Method::POST, "/hooks/acme", kind, padded(300)).await).await;
        assert_eq!((status, code.as_str()), (415, "webhook.content_type"));
        assert!(body["detail"].as_str().unwrap().contains(&format!("its charset is \"{name}\"")), "{body}");
    }
    webhook.assert_metric(&rejections("acme", "content_type", 2));
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="_unknown",code="415",connector="acme"} 2"#);
}

#[tokio::test]
async fn a_byte_order_mark_is_ignored_and_utf_16_is_named() {
    let webhook = Webhook::start().await;
    assert_eq!(webhook.post_text(format!("\u{feff}{}", padded(300))).await.status(), StatusCode::ACCEPTED);
    let utf16: Vec<u8> = format!("\u{feff}{}", padded(300)).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (status, code, body) = problem(webhook.post_text(utf16).await).await;
    assert_eq!((status, code.as_str()), (400, "webhook.malformed"));
    assert_eq!(body["detail"], "The body begins with a byte order mark of UTF-16; send it in UTF-8.");
}

#[tokio::test]
async fn a_path_with_other_slashes_escapes_or_a_query_reaches_its_connector() {
    let webhook = Webhook::start().await;
    let post = async |target: &str| {
        let body = padded(300);
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        head_of(&mut webhook.connect(head.as_bytes()).await).await[9..12].parse::<u16>().unwrap()
    };
    for target in [
        "/hooks/acme/",
        "//hooks/acme",
        "/hooks//acme//",
        "/hooks/ac%6De",
        "/%68ooks/acme",
        "/hooks/acme?source=x",
        "/hooks/acme/?a=/b",
        "http://example.org/hooks/acme/",
    ] {
        assert_eq!(post(target).await, 202, "{target}");
    }
    for target in
        ["/hooks%2Facme", "/hooks/acme%2F", "/hooks/acme/x", "/Hooks/acme", "/hooks/ACME", "/hooks/ac%zz", "/"]
    {
        assert_eq!(post(target).await, 404, "{target}");
    }
    webhook.assert_metric(&nowhere(404, 7));
    webhook.assert_metric(&rejections("_unknown", "unknown_connector", 7));
}

#[tokio::test]
async fn a_post_for_a_connector_that_does_not_run_is_counted_under_its_name() {
    let webhook = Webhook::start().await;
    webhook.listener.announce(["other"]).await.unwrap();
    let response = webhook.request(Method::POST, "/hooks/other", JSON, padded(300)).await;
    assert_eq!(refused(response).await, answer(503, "webhook.unavailable"));
    webhook.assert_metric(r#"towpath_webhook_requests_total{client="_unknown",code="503",connector="other"} 1"#);
}

#[tokio::test]
async fn a_head_that_is_too_large_or_malformed_gets_a_problem_and_is_counted() {
    let webhook = Webhook::start().await;
    let many: String = (0..70).map(|number| format!("x-{number}: 1\r\n")).collect();
    for (head, status, code) in [
        (format!("POST /hooks/acme HTTP/1.1\r\n{many}\r\n"), 431, "webhook.too_large"),
        (format!("POST /hooks/acme HTTP/1.1\r\ncookie: {}\r\n\r\n", "a".repeat(20_000)), 431, "webhook.too_large"),
        (format!("POST /hooks/acme?{} HTTP/1.1\r\n\r\n", "a".repeat(200_000)), 431, "webhook.too_large"),
        ("POST /hooks/acme HTTP/1.1\r\nbad header: x\r\n\r\n".to_owned(), 400, "webhook.malformed"),
        ("POST /hooks/acme HTTP/1.1\r\ncontent-length: x\r\n\r\n{}".to_owned(), 400, "webhook.malformed"),
    ] {
        let mut text = String::new();
        let mut stream = webhook.connect(head.as_bytes()).await;
        within(stream.read_to_string(&mut text)).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{body}");
    }
    webhook.assert_metric(&nowhere(431, 3));
    webhook.assert_metric(&nowhere(400, 2));
    webhook.assert_metric(&rejections("_unknown", "too_large", 3));
    webhook.assert_metric(&rejections("_unknown", "malformed", 2));
    // 64 headers are accepted.
    let (body, few) = (padded(300), &many[..many.find("x-61").unwrap()]);
    let head =
        format!("POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {}", body.len());
    let mut stream = webhook.connect(format!("{head}\r\n{few}\r\n{body}").as_bytes()).await;
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 202 "));
}

/// Posts on a connection of its own, so that its client is known, and sends `then` on the same connection.
async fn known_then(webhook: &Webhook, then: &str) -> tokio::net::TcpStream {
    let body = padded(300);
    let head =
        format!("POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {}", body.len());
    let mut stream = webhook.connect(format!("{head}\r\n\r\n{body}").as_bytes()).await;
    let mut answer = vec![0; 4_096];
    let read = within(stream.read(&mut answer)).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 202 ") && answer[..read].ends_with(b"}"));
    stream.write_all(then.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_refusal_before_the_body_closes_the_connection_and_sends_no_100_continue() {
    let webhook = Webhook::start().await;
    for (line, status) in [
        (format!("POST /hooks/acme HTTP/1.1\r\ncontent-type: {JSON}\r\ncontent-length: 90000000"), 413),
        ("POST /hooks/acme HTTP/1.1\r\ncontent-type: text/plain\r\ncontent-length: 3000000".to_owned(), 415),
        ("POST /hooks/none HTTP/1.1\r\ncontent-length: 3000000".to_owned(), 404),
        ("PUT /hooks/acme HTTP/1.1\r\ntransfer-encoding: chunked".to_owned(), 405),
    ] {
        for expect in ["", "\r\nexpect: 100-continue"] {
            // Nothing of the body is sent: the answer does not wait for it.
            let request = format!("{line}\r\nhost: x{expect}\r\n\r\n");
            for known in [false, true] {
                let mut stream = if known {
                    known_then(&webhook, &request).await
                } else {
                    webhook.connect(request.as_bytes()).await
                };
                let head = head_of(&mut stream).await;
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {head}");
                assert!(head.contains("\r\nconnection: close\r\n"), "{line}, {known}: {head}");
            }
        }
    }
    // A client that skips the body of the refused request posts on another connection.
    assert_eq!(webhook.post(create()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_post_that_waits_for_100_continue_is_accepted() {
    let webhook = Webhook::start().await;
    let body = padded(300);
    let head =
        format!("POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {}", body.len());
    let mut stream = webhook.connect(format!("{head}\r\nexpect: 100-continue\r\n\r\n").as_bytes()).await;
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 100 "));
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 202 "));
}

#[tokio::test]
async fn a_preflight_and_a_head_are_405_and_leave_the_connection_usable() {
    let webhook = Webhook::start().await;
    let preflight = "OPTIONS /hooks/acme HTTP/1.1\r\nhost: x\r\norigin: https://forms.example\r\n\
        access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n";
    // The answer to HEAD has no body, so the next bytes are the next answer.
    let mut stream = webhook.connect(b"HEAD /hooks/acme HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for next in [preflight, ""] {
        let head = head_of(&mut stream).await.to_lowercase();
        assert!(head.starts_with("http/1.1 405 ") && head.contains("\r\nallow: post\r\n"), "{head}");
        assert!(!head.contains("connection: close") && !head.contains("access-control"), "{head}");
        stream.write_all(next.as_bytes()).await.unwrap();
    }
    let body = padded(300);
    let post =
        format!("POST /hooks/acme HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {}", body.len());
    stream.write_all(format!("{post}\r\n\r\n{body}").as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.contains("HTTP/1.1 202 "));
}

#[tokio::test]
async fn a_post_in_http_1_0_is_accepted() {
    let webhook = Webhook::start().await;
    let body = padded(300);
    let head = format!("POST /hooks/acme HTTP/1.0\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut answer = String::new();
    within(webhook.connect(format!("{head}{body}").as_bytes()).await.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 202 "), "{answer}");
}

#[tokio::test]
async fn a_number_of_any_length_is_refused_by_its_field_only() {
    let webhook = Webhook::start().await;
    for number in ["1".repeat(55), "1".repeat(5_000), "1e99999999999".to_owned(), "1.0".to_owned()] {
        let body = format!(
            r#"{{"clientid":"acme","clientSecret":"{SECRET}","objectname":"deal","id":"d","action":"create",
                "data":{{"name":"x","amount":{number}}}}}"#
        );
        let (status, code, body) = problem(webhook.post_text(body).await).await;
        assert_eq!((status, code.as_str()), (422, "webhook.schema"), "{number}");
        assert_eq!(body["errors"][0]["pointer"], "/data/amount");
    }
}
