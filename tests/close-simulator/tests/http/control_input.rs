//! Invalid control requests are refused as a whole and change nothing.

use serde_json::json;

use crate::client::Close;

#[tokio::test]
async fn a_clock_request_with_one_wrong_part_moves_nothing() {
    let close = Close::bare().await;
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    let before = close.get("/_control/clock/").await.body;
    for body in [
        json!({ "advance_secs": 60, "rate": "fast" }),
        json!({ "advance_secs": 60, "rate": -1 }),
        json!({ "to": 5 }),
        json!({ "to": "soon" }),
        json!({ "to": "2001-01-01" }),
        json!({ "to": "9998-01-01" }),
        json!({ "advance_secs": 1e300 }),
        json!({ "rate": 1e300 }),
        json!({ "speed": 2 }),
    ] {
        let reply = close.post("/_control/clock/", body.clone()).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        assert_eq!(close.get("/_control/clock/").await.body, before, "{body}");
    }
    assert_eq!(close.get("user/").await.status, 200);
}

#[tokio::test]
async fn more_than_a_machine_holds_is_refused_at_once() {
    let close = Close::bare().await;
    for (path, body) in [
        ("/_control/import/", json!({ "leads": 1_000_000_000_000_u64 })),
        ("/_control/changes/", json!({ "count": 1_000_000_000_000_u64 })),
        ("/_control/scenarios/burst/", json!({ "events": 1_000_000_000_000_u64 })),
    ] {
        let reply = close.post(path, body).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text);
    }
}
