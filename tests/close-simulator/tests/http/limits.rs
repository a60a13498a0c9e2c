//! Section 12, item 6, and section 3: rate limits. Windows are so long that no test waits for them, except where one
//! must end.

use std::time::{Duration, Instant};

use close_simulator::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Close, Reply};

async fn limited(limits: Value) -> Close {
    let close = Close::start().await;
    set(&close, limits).await;
    close
}

async fn set(close: &Close, limits: Value) {
    let reply = close.put("/_control/limits/", limits).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", reply.headers)).to_str().unwrap()
}

/// The members of a `ratelimit` header, parsed as the reference advises (3.2).
fn members(text: &str) -> Vec<(String, f64)> {
    let part = |part: &str| {
        let (name, value) = part.trim().split_once('=')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.split([',', ';']).filter_map(part).collect()
}

/// Quirk 6.
#[tokio::test]
async fn quirk_06_a_key_has_one_bucket_per_endpoint_group_and_the_header_counts_it_down() {
    let close = limited(json!({ "default": { "limit": 3, "window_secs": 600 } })).await;
    for left in [2.0, 1.0, 0.0] {
        let reply = close.get("user/").await;
        let members = members(header(&reply, "ratelimit"));
        assert_eq!(
            (reply.status, members[0].clone(), members[1].clone()),
            (200, ("limit".into(), 3.0), ("remaining".into(), left))
        );
        assert!(members[2].0 == "reset" && members[2].1 > 590.0 && members[2].1 <= 600.0, "{members:?}");
    }
    assert_eq!(close.get("user/").await.status, 429);
    // Another method, another prefix and another key have their own buckets; one object is in the group of its list.
    assert_eq!(close.get("role/").await.status, 200);
    assert_eq!(close.post("lead/", json!({ "name": "A" })).await.status, 200);
    assert_eq!(close.get_as("agent", "user/").await.status, 200);
    assert_eq!(close.get("user/user_none/").await.status, 429);
    assert_eq!(Close::send(close.request("admin", Method::HEAD, "user/")).await.status, 429);
}

/// Quirk 6, section 3.3.
#[tokio::test]
async fn quirk_06_a_429_has_the_header_a_whole_retry_after_and_the_legacy_body() {
    let close = limited(json!({ "groups": { "GET user": { "limit": 1, "window_secs": 90 } } })).await;
    assert_eq!(close.get("user/").await.status, 200);
    let reply = close.get("user/").await;
    let members = members(header(&reply, "ratelimit"));
    assert!(header(&reply, "ratelimit").starts_with("limit=1; remaining=0; reset="), "{:?}", reply.headers);
    assert_eq!(header(&reply, "retry-after"), members[2].1.ceil().to_string(), "a whole number, and not too early");
    let error = &reply.body["error"];
    assert_eq!(error["rate_reset"].as_f64(), Some(members[2].1));
    assert_eq!(
        (&error["rate_limit"], &error["rate_window"], &error["rate_limit_type"]),
        (&json!(1), &json!(90), &json!("key"))
    );
    let group = error["rate_endpoint_group"].as_str().unwrap();
    assert!(group.len() == 32 && group.bytes().all(|byte| byte.is_ascii_hexdigit()), "{group}");
    assert!(error["message"].as_str().unwrap().starts_with("API call count exceeded for this"), "{error}");

    close.switch(json!({ "legacy_429_body": false })).await;
    let reply = close.get("user/").await;
    assert_eq!((reply.status, reply.text.as_str()), (429, ""));
    assert!(reply.headers.contains_key("retry-after"));
}

/// Old clients read the time to wait beside the error, where section 3.3 does not have it (reference, section 10.2).
#[tokio::test]
async fn a_429_repeats_the_reset_beside_the_error_unless_that_is_switched_off() {
    let close = limited(json!({ "groups": { "GET user": { "limit": 0, "window_secs": 90 } } })).await;
    let body = close.get("user/").await.body;
    assert!(body["rate_reset"].as_f64().is_some_and(|reset| reset > 0.0), "{body}");
    assert_eq!(body["rate_reset"], body["error"]["rate_reset"]);
    close.switch(json!({ "rate_reset_beside_error": false })).await;
    assert!(close.get("user/").await.body.get("rate_reset").is_none());
}

/// Quirk 6, section 3.2.
#[tokio::test]
async fn quirk_06_the_header_has_each_of_its_forms() {
    let close = limited(json!({ "default": { "limit": 100, "window_secs": 600 } })).await;
    close.switch(json!({ "limit_header": "comma" })).await;
    let reply = close.get("user/").await;
    assert!(header(&reply, "ratelimit").starts_with("limit=100, remaining=99, reset="), "{:?}", reply.headers);
    for (form, prefix) in [("split", "ratelimit"), ("x_split", "x-ratelimit")] {
        close.switch(json!({ "limit_header": form })).await;
        let reply = close.get("role/").await;
        assert_eq!(header(&reply, &format!("{prefix}-limit")), "100");
        header(&reply, &format!("{prefix}-remaining")).parse::<u64>().unwrap();
        header(&reply, &format!("{prefix}-reset")).parse::<f64>().unwrap();
        assert!(!reply.headers.contains_key("ratelimit"));
    }
}

/// Quirk 6.
#[tokio::test]
async fn quirk_06_the_organization_has_three_times_the_limit_of_a_key() {
    let close = limited(json!({ "default": { "limit": 4, "window_secs": 600 } })).await;
    let mut answers = Vec::new();
    for key in ["admin", "superuser", "agent", "restricted", "restricted"] {
        for _ in 0..4 {
            answers.push(close.get_as(key, "user/").await.status);
        }
    }
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 12, "{answers:?}");
    let reply = close.get_as("second", "user/").await;
    assert_eq!((reply.status, &reply.body["error"]["rate_limit_type"]), (429, &json!("organization")));
    assert_eq!(reply.body["error"]["rate_limit"], 12);
}

/// Quirk 6: the unpredictable extra 429, which gives only the time to wait.
#[tokio::test]
async fn quirk_06_a_tighter_limit_strikes_while_the_header_still_shows_tokens() {
    let close = limited(json!({
        "default": { "limit": 1000, "window_secs": 600 }, "extra": { "GET role": { "limit": 2, "window_secs": 300 } },
    }))
    .await;
    for _ in 0..2 {
        let reply = close.get("role/").await;
        assert!(header(&reply, "ratelimit").starts_with("limit=1000; remaining=99"), "{:?}", reply.headers);
    }
    let reply = close.get("role/").await;
    assert_eq!(reply.status, 429);
    let members = members(header(&reply, "ratelimit"));
    assert_eq!(members.len(), 1, "only the reset: {members:?}");
    assert!(header(&reply, "retry-after").parse::<u64>().unwrap() > 200);
    assert_eq!(close.get("user/").await.status, 200);
}

#[tokio::test]
async fn a_flood_of_wrong_credentials_becomes_429_and_good_ones_stay_free() {
    let close = limited(json!({ "unauthorized": { "limit": 3, "window_secs": 600 } })).await;
    let mut answers = Vec::new();
    for key in ["", "former", "", "former", ""] {
        answers.push(close.get_as(key, "user/").await.status);
    }
    assert_eq!(answers, [401, 401, 401, 429, 429]);
    assert_eq!(close.get("user/").await.status, 200);
}

#[tokio::test]
async fn quirk_06_after_the_reset_the_whole_limit_is_back() {
    let close = limited(json!({ "default": { "limit": 2, "window_secs": 0.4 } })).await;
    let begun = Instant::now();
    while close.get("user/").await.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the limit never struck");
    }
    let reply = close.get("user/").await;
    if reply.status == 429 {
        let reset = members(header(&reply, "ratelimit"))[2].1;
        assert!(reset > 0.0 && reset <= 0.4, "{reset}");
    }
    // The organization's clock has no effect.
    close.advance(3_600.0).await;
    let begun = Instant::now();
    loop {
        let reply = close.get("user/").await;
        if reply.status == 200 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the limit never let go");
        tokio::task::yield_now().await;
    }
}

/// Section 3.1, the observed values.
#[tokio::test]
async fn the_defaults_are_the_observed_values_and_the_command_line_turns_them_on() {
    let options = Options { limits: close_simulator::options::OnOff::On, ..Options::default() };
    let close = Close::with(options).await;
    assert!(header(&close.get("me/").await, "ratelimit").starts_with("limit=160; remaining=159; reset="));
    assert!(header(&close.get("user/").await, "ratelimit").starts_with("limit=60; remaining=59; reset="));
    let lead = close.post("lead/", json!({ "name": "A" })).await;
    assert!(header(&lead, "ratelimit").starts_with("limit=40; remaining=39; reset="));
    assert!(header(&close.get("no_such/").await, "ratelimit").starts_with("limit=60;"), "every answer has the header");
    assert!(header(&close.get_as("", "user/").await, "ratelimit").starts_with("limit="), "a 401 as well");

    set(&close, json!({ "off": true })).await;
    assert!(!close.get("user/").await.headers.contains_key("ratelimit"));
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_and_change_nothing() {
    let close = Close::start().await;
    let before = close.get("/_control/limits/").await.body;
    assert_eq!(before["off"], true, "tests begin without limits");
    for wrong in [
        json!({ "default": { "limit": -1 } }),
        json!({ "default": { "limit": 1, "window_secs": 0 } }),
        json!({ "groups": { "FETCH lead": { "limit": 1 } } }),
        json!({ "organisation_factor": 3 }),
        json!({ "organization_factor": 0 }),
    ] {
        assert_eq!(close.put("/_control/limits/", wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(close.get("/_control/limits/").await.body, before);
}

#[tokio::test]
async fn an_idle_key_saves_up_its_burst() {
    let close = limited(json!({ "groups": { "GET user": { "limit": 1, "window_secs": 0.05, "burst": 2 } } })).await;
    let begun = Instant::now();
    // Each request of another group takes a moment; after two windows the first finds three tokens.
    close.get("user/").await;
    while begun.elapsed() < Duration::from_millis(400) {
        close.get("role/").await;
    }
    let reply = close.get("user/").await;
    assert!(header(&reply, "ratelimit").starts_with("limit=1; remaining=2; "), "{:?}", reply.headers);
}
