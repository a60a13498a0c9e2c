//! Section 12, items 7 to 10, with many rows: the default page, totals, the end of a search.

use serde_json::{Value, json};

use crate::{
    client::Close,
    rows::{bare, id, settle},
};

/// Imports leads with a contact each.
async fn imported(close: &Close, count: usize) {
    let rows: Vec<Value> = (0..count)
        .map(|n| json!({ "name": format!("Row {n}"), "contacts": [{ "name": format!("Ida {n}") }] }))
        .collect();
    close.make("/_control/import/", json!({ "leads": rows })).await;
    close.advance(600.0).await;
}

#[tokio::test]
async fn quirk_07_a_page_has_100_rows_unless_asked_and_only_some_lists_have_totals() {
    let close = bare().await;
    imported(&close, 130).await;
    for (path, total) in [("lead/", true), ("contact/", false), ("activity/", false)] {
        let page = close.get(path).await;
        assert_eq!((page.rows().len(), &page.body["has_more"]), (100, &json!(true)), "{path}");
        assert_eq!(page.body.get("total_results"), total.then(|| json!(130)).as_ref(), "{path}");
        let rest = close.get(&format!("{path}?_skip=100")).await;
        assert_eq!((rest.rows().len(), &rest.body["has_more"]), (30, &json!(false)), "{path}");
    }
    assert_eq!(close.get("opportunity/").await.body["total_results"], 0);
    assert_eq!(close.get("task/").await.body["total_results"], 0);
}

/// Every resource with a maximum, refused with the number or clamped to it.
#[tokio::test]
async fn quirk_07_each_resource_has_a_maximum_of_its_own() {
    let close = bare().await;
    let maxima = [
        ("activity/", 100),
        ("contact/", 100),
        ("lead/", 200),
        ("opportunity/", 250),
        ("task/", 1000),
        ("user/", 1000),
        ("custom_field/lead/", 1000),
        ("sequence/", 1000),
        ("saved_search/", 600),
        ("email_template/", 100),
    ];
    for (path, maximum) in maxima {
        assert_eq!(close.get(&format!("{path}?_limit={maximum}")).await.status, 200, "{path}");
        let over = close.get(&format!("{path}?_limit={}", maximum + 1)).await;
        assert_eq!(over.status, 400, "{path}");
        assert!(over.body["error"].as_str().unwrap().contains(&format!("max_limit = {maximum}")), "{}", over.text);
        let far = close.get(&format!("{path}?_skip=1000000000")).await;
        assert_eq!(far.status, 400, "{path}");
        let message = far.body["error"].as_str().unwrap();
        let number = message.split("max_skip = ").nth(1).unwrap_or_else(|| panic!("{path}: {message}"));
        assert!(number.bytes().next().unwrap().is_ascii_digit(), "{path}: {message}");
    }
    close.switch(json!({ "over_limit": "clamp" })).await;
    imported(&close, 130).await;
    let clamped = close.get("contact/?_limit=5000").await;
    assert_eq!((clamped.status, clamped.rows().len(), &clamped.body["has_more"]), (200, 100, &json!(true)));
}

#[tokio::test]
async fn quirk_09_a_search_ends_after_ten_thousand_objects_without_saying_so() {
    let close = bare().await;
    close.make("/_control/import/", json!({ "leads": 10_050 })).await;
    close.advance(600.0).await;
    assert_eq!(close.get("lead/?_limit=0").await.body["total_results"], 10_050);
    let mut body =
        json!({ "query": { "type": "object_type", "object_type": "lead" }, "_limit": 200, "include_counts": true });
    let (mut seen, mut pages) = (std::collections::BTreeSet::new(), 0);
    loop {
        let page = close.post("data/search/", body.clone()).await;
        assert_eq!(page.status, 200, "{}", page.text);
        for row in page.rows() {
            assert!(seen.insert(id(row).to_owned()), "twice: {row}");
            assert_eq!(row.as_object().unwrap().len(), 2, "type and id only: {row}");
        }
        pages += 1;
        if page.body["cursor"].is_null() {
            break;
        }
        body["cursor"] = page.body["cursor"].clone();
        body["include_counts"] = json!(false);
    }
    assert_eq!((seen.len(), pages), (10_000, 50));
}

/// The three lists that must be narrowed, and the parameters that narrow them.
#[tokio::test]
async fn quirk_12_lists_that_must_be_narrowed_are_400_in_the_form_of_a_single_error() {
    let close = bare().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    let note = close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "x" })).await;
    let comment = close.make("comment/", json!({ "object_id": note["id"], "body": "x" })).await;
    settle(&close).await;
    let thread = comment["thread_id"].as_str().unwrap();
    for path in [
        "custom_object/".to_owned(),
        "custom_object/?lead_id=".to_owned(),
        "custom_object/?custom_object_type_id=cotype_x".to_owned(),
        "sequence_subscription/".to_owned(),
        "comment/".to_owned(),
        format!("comment/?object_id={}&thread_id={thread}", id(&note)),
    ] {
        let refused = close.get(&path).await;
        assert!(refused.status == 400 && refused.body["error"].is_string(), "{path}: {}", refused.text);
    }
    for path in [
        format!("custom_object/?lead_id={}", id(&lead)),
        format!("sequence_subscription/?lead_id={}", id(&lead)),
        format!("comment/?thread_id={thread}"),
    ] {
        assert_eq!(close.get(&path).await.status, 200, "{path}");
    }
}
