//! Section 12, items 1 to 5: transport, credentials, errors.

use reqwest::Method;
use serde_json::json;

use crate::client::Close;

#[tokio::test]
async fn quirk_01_a_missing_slash_is_redirected_and_wrong_credentials_are_401() {
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
async fn quirk_02_a_put_patches_and_unknown_parameters_are_ignored() {
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

/// Quirk 1 and the switch `write_redirect_status`.
#[tokio::test]
async fn quirk_01_a_write_without_slash_is_redirected_as_the_switch_says() {
    let close = Close::start().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let reply = Close::send(close.request("admin", method.clone(), "lead/lead_none").json(&json!({}))).await;
        assert_eq!(
            (reply.status, reply.headers["location"].to_str().unwrap()),
            (308, "/api/v1/lead/lead_none/"),
            "{method}"
        );
    }
    close.switch(json!({ "write_redirect_status": 301 })).await;
    let reply = Close::send(close.request("admin", Method::POST, "lead").json(&json!({ "name": "A" }))).await;
    assert_eq!(reply.status, 301);
    assert_eq!(close.get("no_such_thing").await.status, 404, "what is not served is not redirected");
}

/// Double slashes inside and at the end of paths, as clients send them.
#[tokio::test]
async fn double_slashes_are_folded() {
    let close = Close::start().await;
    assert_eq!(close.get("user//").await.status, 200);
    assert_eq!(close.get("/api//v1///user/").await.status, 200);
    assert_eq!(close.post("lead//", json!({ "name": "A" })).await.status, 200);
    let reply = close.get("/api/v1//user?_limit=1").await;
    assert_eq!((reply.status, reply.headers["location"].to_str().unwrap()), (301, "/api/v1/user/?_limit=1"));
}

/// Section 1.2: the password is empty, the colon is present, the scheme ignores case.
#[tokio::test]
async fn quirk_01_credentials_are_a_key_and_an_empty_password() {
    let close = Close::start().await;
    let key = close.running.key("admin").unwrap();
    let with = |value: String| close.request("", Method::GET, "me/").header("authorization", value);
    let encoded = |text: String| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    assert_eq!(Close::send(with(format!("Basic {}", encoded(format!("{key}:"))))).await.status, 200);
    assert_eq!(Close::send(with(format!("basic {}", encoded(format!("{key}:"))))).await.status, 200);
    for wrong in [
        format!("Basic {}", encoded(key.clone())),
        format!("Basic {key}:"),
        key.clone(),
        "Basic".to_owned(),
        String::new(),
    ] {
        let reply = Close::send(with(wrong.clone())).await;
        assert_eq!((reply.status, reply.body), (401, json!({ "error": "Unauthorized" })), "{wrong}");
    }
}

/// Quirk 5: methods.
#[tokio::test]
async fn another_method_is_405_with_those_that_are_served() {
    let close = Close::start().await;
    let reply = Close::send(close.request("admin", Method::DELETE, "user/")).await;
    assert_eq!((reply.status, reply.headers["allow"].to_str().unwrap()), (405, "GET, HEAD, OPTIONS"));
    assert!(reply.body["error"].is_string(), "{}", reply.text);
    assert_eq!(close.post("me/", json!({})).await.status, 405);
    assert_eq!(Close::send(close.request("", Method::DELETE, "user/")).await.status, 401, "credentials come first");
    let reply = Close::send(close.request("", Method::OPTIONS, "lead/")).await;
    assert_eq!((reply.status, reply.headers["allow"].to_str().unwrap()), (200, "GET, HEAD, OPTIONS, POST"));
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let close = Close::start().await;
    let get = close.get("user/").await;
    let head = Close::send(close.request("admin", Method::HEAD, "user/")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], get.text.len().to_string().as_str());
    assert_eq!(Close::send(close.request("admin", Method::HEAD, "user/user_none/")).await.status, 404);
}

/// Quirk 5: media types.
#[tokio::test]
async fn another_media_type_is_400_or_415_as_the_switch_says() {
    let close = Close::start().await;
    let send =
        || Close::send(close.request("admin", Method::POST, "lead/").header("content-type", "text/plain").body("{}"));
    assert_eq!(send().await.status, 400);
    close.switch(json!({ "media_type_status": 415 })).await;
    assert_eq!(send().await.status, 415);
    assert_eq!(close.post("lead/", json!({ "name": "A" })).await.status, 200);
    let with_charset =
        close.request("admin", Method::POST, "lead/").header("content-type", "application/json; charset=utf-8");
    assert_eq!(Close::send(with_charset.body("{}")).await.status, 200);
}

/// Section 1.1.
#[tokio::test]
async fn a_chunked_body_is_refused() {
    let close = Close::start().await;
    let part = hyper::body::Frame::data(bytes::Bytes::from("{\"name\": \"A\"}"));
    let stream = http_body_util::StreamBody::new(futures::stream::iter([Ok::<_, std::io::Error>(part)]));
    let chunked = reqwest::Body::wrap(stream);
    let request =
        close.request("admin", Method::POST, "lead/").header("content-type", "application/json").body(chunked);
    let reply = Close::send(request).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["error"].as_str().unwrap().contains("Content-Length"), "{}", reply.text);
}

/// Section 1.1: `x-http-method-override`, for requests that do not fit into a URL.
#[tokio::test]
async fn a_post_may_stand_for_a_get_with_its_parameters_in_the_body() {
    let close = Close::start().await;
    let get = |body| {
        let request = close.request("admin", Method::POST, "user/?_fields=id").header("x-http-method-override", "GET");
        Close::send(request.json::<serde_json::Value>(&body))
    };
    let reply = get(json!({ "_params": { "_limit": 2, "_skip": "1", "_order_by": null } })).await;
    assert_eq!((reply.status, reply.rows().len()), (200, 2));
    assert_eq!(reply.body, close.get("user/?_fields=id&_limit=2&_skip=1").await.body);
    assert_eq!(get(json!({})).await.status, 200);
    assert_eq!(get(json!({ "_params": { "_limit": 5000 } })).await.status, 400, "and are checked as in a URL");

    let long = format!("user/?id__in={}", "user_x,".repeat(2_000));
    let reply = close.get(&long).await;
    assert_eq!(reply.status, 414, "too long for a URL");
    close.switch(json!({ "max_url": 100_000 })).await;
    assert_eq!(close.get(&long).await.status, 200);
}

#[tokio::test]
async fn connections_are_kept_and_http_2_is_spoken_by_prior_knowledge() {
    let close = Close::start().await;
    let reply = close.get("user/").await;
    assert!(reply.headers.keys().all(|name| name.as_str() == name.as_str().to_lowercase()));
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let key = close.running.key("admin").unwrap();
    for method in [Method::GET, Method::HEAD] {
        let reply = client.request(method, close.url("user/")).basic_auth(&key, Some("")).send().await.unwrap();
        assert_eq!((reply.version(), reply.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    }
}

#[tokio::test]
async fn two_requests_go_over_one_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let close = Close::start().await;
    let mut stream = tokio::net::TcpStream::connect(close.running.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /api/v1/me/ HTTP/1.1\r\nhost: close\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(br#"{"error":"Unauthorized"}"#) {
            let mut part = [0; 1024];
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&part[..count]);
        }
        assert!(read.starts_with(b"HTTP/1.1 401"));
    }
}

#[tokio::test]
async fn answers_are_gzip_for_those_who_accept_it_when_the_switch_is_on() {
    let close = Close::start().await;
    let zipped = || close.request("admin", Method::GET, "user/").header("accept-encoding", "gzip, deflate").send();
    assert!(!zipped().await.unwrap().headers().contains_key("content-encoding"));
    close.switch(json!({ "gzip_answers": true })).await;
    let reply = zipped().await.unwrap();
    assert_eq!(reply.headers()["content-encoding"], "gzip");
    let bytes = reply.bytes().await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    let plain = close.get("user/").await;
    assert_eq!(text, plain.text);
    assert!(!plain.headers.contains_key("content-encoding"), "a client that does not ask gets plain text");
}

/// Quirk 4: `error` is a text here and an object in a 429; field errors are keyed by field.
#[tokio::test]
async fn quirk_04_errors_have_their_forms() {
    let close = Close::start().await;
    assert!(close.get("no/such/path/").await.body["error"].is_string());
    let missing = close.get("user/user_none/").await;
    assert!(
        missing.status == 404 && missing.body["error"].as_str().unwrap().starts_with("Empty query:"),
        "{}",
        missing.text
    );
    let reply = close.post("lead/", json!({ "name": 5 })).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.body["errors"], json!([]));
    assert!(reply.body["field-errors"]["name"].is_string(), "{}", reply.text);
    close.put("/_control/limits/", json!({ "default": { "limit": 0, "window_secs": 60 } })).await;
    let reply = close.get("user/").await;
    assert!(reply.status == 429 && reply.body["error"].is_object(), "{}", reply.text);
}

#[tokio::test]
async fn answers_are_dated_by_the_organizations_clock() {
    let close = Close::start().await;
    close.post("/_control/clock/", json!({ "to": "2027-03-04T05:06:07.9Z", "rate": 0 })).await;
    for path in ["me/", "nothing/"] {
        let answer = close.request("admin", Method::GET, path).send().await.unwrap();
        assert_eq!(answer.headers()["date"], "Thu, 04 Mar 2027 05:06:07 GMT", "{path}");
    }
}
