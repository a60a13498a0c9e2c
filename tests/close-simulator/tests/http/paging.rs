//! Section 12, items 7 and 8, and section 2.1: lists by offset.

use serde_json::json;

use crate::client::{Close, Reply};

async fn with_leads(count: usize) -> Close {
    let close = Close::start().await;
    for n in 0..count {
        close.make("lead/", json!({ "name": format!("Lead {n}") })).await;
        close.advance(1.0).await;
    }
    close
}

fn ids(reply: &Reply) -> Vec<String> {
    reply.rows().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Quirk 7.
#[tokio::test]
async fn quirk_07_above_the_maximum_a_limit_is_refused_by_name_or_clamped() {
    let close = with_leads(2).await;
    let reply = close.get("user/?_limit=1001").await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["error"].as_str().unwrap().contains("max_limit = 1000"), "{}", reply.text);
    close.switch(json!({ "over_limit": "clamp" })).await;
    assert_eq!(close.get("user/?_limit=1001").await.status, 200);
    for wrong in ["_limit=-1", "_limit=ten", "_skip=-1", "_skip=1.5"] {
        let reply = close.get(&format!("user/?{wrong}")).await;
        assert!(reply.status == 400 && reply.body["error"].is_string(), "{wrong}: {}", reply.text);
    }
    assert_eq!(close.get("user/?_limit=&_skip=").await.status, 200);
}

/// Quirk 7.
#[tokio::test]
async fn quirk_07_above_the_maximum_a_skip_is_refused_with_the_number() {
    let close = with_leads(0).await;
    let reply = close.get("user/?_skip=250001").await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["error"].as_str().unwrap().contains("max_skip = 250000"), "{}", reply.text);
    close.switch(json!({ "max_skip": 3 })).await;
    assert_eq!(close.get("user/?_skip=3").await.status, 200);
    assert!(close.get("user/?_skip=4").await.text.contains("max_skip = 3"));
}

/// Quirk 7.
#[tokio::test]
async fn quirk_07_a_limit_of_zero_only_counts() {
    let close = with_leads(3).await;
    let all = close.get("lead/").await;
    let reply = close.get("lead/?_limit=0").await;
    assert_eq!((reply.rows().len(), &reply.body["has_more"]), (0, &json!(true)));
    assert_eq!(reply.body["total_results"], all.body["total_results"]);
}

/// Quirk 7.
#[tokio::test]
async fn quirk_07_short_pages_come_in_the_middle_and_nothing_else_is_lost() {
    let close = with_leads(40).await;
    let whole = ids(&close.get("lead/?_limit=100").await);
    close.switch(json!({ "short_pages": 0.3 })).await;
    let (mut seen, mut short, mut skip) = (Vec::new(), 0, 0);
    loop {
        let page = close.get(&format!("lead/?_limit=5&_skip={skip}")).await;
        let more = page.body["has_more"] == true;
        short += usize::from(more && page.rows().len() < 5);
        seen.extend(ids(&page));
        skip += 5;
        if !more {
            break;
        }
    }
    assert!(short > 0, "no page was short");
    assert!(seen.len() < whole.len() && seen.iter().all(|id| whole.contains(id)));
    assert_eq!(close.get("lead/?_limit=100").await.body["total_results"], whole.len(), "they are counted");
}

/// Quirk 7.
#[tokio::test]
async fn quirk_07_lists_without_paging_may_have_no_has_more() {
    let close = with_leads(0).await;
    let reply = close.get("role/?_limit=1").await;
    assert!(reply.rows().len() > 1 && reply.body["has_more"] == false, "{}", reply.text);
    close.switch(json!({ "bare_lists_without_has_more": true })).await;
    assert!(close.get("role/").await.body.get("has_more").is_none());
    assert_eq!(close.get("lead/").await.body["has_more"], false);
}

/// Quirk 8.
#[tokio::test]
async fn quirk_08_pages_shift_when_rows_come_and_go_between_requests() {
    let close = with_leads(6).await;
    let whole = ids(&close.get("lead/?_limit=100").await);
    let first = ids(&close.get("lead/?_limit=2").await);
    assert_eq!(first, whole[..2]);

    close.delete(&format!("lead/{}/", whole[0])).await;
    let second = ids(&close.get("lead/?_limit=2&_skip=2").await);
    assert_eq!(second, whole[3..5], "a delete before the position skips a row");

    close.make("lead/", json!({ "name": "New" })).await;
    let again = ids(&close.get("lead/?_limit=2&_skip=3").await);
    assert_eq!(again, whole[3..5], "an insert before the position yields the rows once more");
}

/// Quirk 2.
#[tokio::test]
async fn quirk_02_unknown_parameters_and_orders_leave_the_list_as_it_is() {
    let close = with_leads(3).await;
    let whole = ids(&close.get("lead/").await);
    for query in [
        "no_such=1",
        "date_updatd__gte=2030-01-01",
        "_order_by=nothing",
        "_order_by=-nothing",
        "limit=1&organization_id=x",
    ] {
        assert_eq!(ids(&close.get(&format!("lead/?{query}")).await), whole, "{query}");
    }
}
