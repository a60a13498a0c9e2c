//! Comments and their threads: section 4.10, quirks 12 and 15, and their rows of the catalogue.

use reqwest::Method;
use serde_json::json;

use crate::{
    activities::{actions, ids, lead, text},
    client::Close,
};

async fn note(close: &Close) -> String {
    let (lead, _) = lead(close).await;
    text(&close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await["id"])
}

// Quirk 12.
#[tokio::test]
async fn quirk_12_a_list_of_comments_needs_exactly_one_of_object_and_thread() {
    let close = Close::start().await;
    let object = note(&close).await;
    let first = close.make("comment/", json!({ "object_id": object, "body": "<p>one</p>" })).await;
    let thread = text(&first["thread_id"]);
    for query in [String::new(), format!("?object_id={object}&thread_id={thread}")] {
        let reply = close.get(&format!("comment/{query}")).await;
        assert_eq!((reply.status, reply.body["error"].is_string()), (400, true), "{query}: {}", reply.text);
    }
    for query in [format!("object_id={object}"), format!("thread_id={thread}")] {
        assert_eq!(ids(&close.get(&format!("comment/?{query}")).await), [text(&first["id"])], "{query}");
    }
    let other = note(&close).await;
    assert!(close.get(&format!("comment/?object_id={other}")).await.rows().is_empty());
}

// Quirk 15: `created_at` and `updated_at`. Catalogue: comment and comment_thread, created and updated.
#[tokio::test]
async fn quirk_15_comments_on_an_object_are_one_thread_with_dates_of_their_own_names() {
    let close = Close::start().await;
    let object = note(&close).await;
    let reply = close.post("comment/", json!({ "object_id": object, "body": "<p>one</p>" })).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let comment = reply.body;
    for name in
        ["id", "object_id", "object_type", "thread_id", "body", "mentions", "created_at", "updated_at", "created_by"]
    {
        assert!(comment.get(name).is_some(), "{name}: {comment}");
    }
    assert!(comment.get("date_created").is_none() && comment.get("date_updated").is_none());
    assert_eq!((&comment["object_type"], &comment["mentions"]), (&json!("activity.note"), &json!([])));
    close.advance(10.0).await;
    let thread = text(&comment["thread_id"]);
    let second = Close::send(
        close.request("agent", Method::POST, "comment/").json(&json!({ "thread_id": thread, "body": "two" })),
    )
    .await;
    assert_eq!((second.status, &second.body["object_id"]), (201, &json!(object)), "{}", second.text);
    let shown = close.get(&format!("comment_thread/{thread}/")).await.body;
    assert_eq!((&shown["comment_count"], &shown["object_id"]), (&json!(2), &json!(object)));
    assert_eq!(shown["participants"], json!([comment["created_by"], second.body["created_by"]]));
    assert_eq!(shown["comments"].as_array().unwrap().len(), 2);
    assert!(shown["created_at"].is_string() && shown.get("date_created").is_none());
    assert_eq!(actions(&close, &thread, "comment_thread").await, ["created", "updated"]);

    let path = format!("comment/{}/", text(&comment["id"]));
    let edited = close.put(&path, json!({ "body": "<p>edited</p>" })).await;
    assert_eq!((edited.status, &edited.body["body"]), (200, &json!("<p>edited</p>")));
    assert_eq!(actions(&close, &text(&comment["id"]), "comment").await, ["created", "updated"]);
}

// Catalogue: deleted is permanent only.
#[tokio::test]
async fn a_removed_comment_stays_without_its_body_until_its_thread_is_empty() {
    let close = Close::start().await;
    let object = note(&close).await;
    let first = text(&close.make("comment/", json!({ "object_id": object, "body": "one" })).await["id"]);
    let second = close.make("comment/", json!({ "object_id": object, "body": "two" })).await;
    let (thread, second) = (text(&second["thread_id"]), text(&second["id"]));
    close.advance(10.0).await;
    let reply = close.delete(&format!("comment/{first}/")).await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    assert_eq!(close.get(&format!("comment/{first}/")).await.body["body"], json!(null));
    assert_eq!(close.get(&format!("comment_thread/{thread}/")).await.body["comment_count"], 1);
    assert_eq!(actions(&close, &first, "comment").await, ["created", "updated"]);
    close.advance(10.0).await;
    assert_eq!(close.delete(&format!("comment/{second}/")).await.status, 204);
    for (path, id, object_type) in
        [("comment", &first, "comment"), ("comment", &second, "comment"), ("comment_thread", &thread, "comment_thread")]
    {
        assert_eq!(close.get(&format!("{path}/{id}/")).await.status, 404);
        assert_eq!(actions(&close, id, object_type).await.last().unwrap(), "deleted");
    }
}

#[tokio::test]
async fn threads_are_listed_by_their_ids_and_by_their_objects() {
    let close = Close::start().await;
    let mut threads = Vec::new();
    for _ in 0..3 {
        let object = note(&close).await;
        let comment = close.make("comment/", json!({ "object_id": object, "body": "x" })).await;
        threads.push((object, text(&comment["thread_id"])));
    }
    let found = async |query: String| {
        let mut found = ids(&close.get(&format!("comment_thread/?{query}")).await);
        found.sort();
        found
    };
    let mut two = vec![threads[0].1.clone(), threads[2].1.clone()];
    two.sort();
    assert_eq!(found(format!("ids={},{}", threads[0].1, threads[2].1)).await, two);
    assert_eq!(found(format!("object_ids={},{}", threads[0].0, threads[2].0)).await, two);
    assert_eq!(found(String::new()).await.len(), 3);
    assert_eq!(close.post("comment_thread/", json!({})).await.status, 405);
}

#[tokio::test]
async fn a_comment_is_checked_and_belongs_to_who_wrote_it() {
    let close = Close::start().await;
    let object = note(&close).await;
    for (body, field) in [
        (json!({ "object_id": object }), "body"),
        (json!({ "body": "x" }), "object_id"),
        (json!({ "body": "x", "object_id": "acti_nonesuch" }), "object_id"),
    ] {
        let reply = close.post("comment/", body.clone()).await;
        assert!(reply.status == 400 && reply.body["field-errors"].get(field).is_some(), "{body}: {}", reply.text);
    }
    let id = text(&close.make("comment/", json!({ "object_id": object, "body": "x" })).await["id"]);
    for method in [Method::PUT, Method::DELETE] {
        let reply =
            Close::send(close.request("agent", method, &format!("comment/{id}/")).json(&json!({ "body": "y" }))).await;
        assert_eq!(reply.status, 403);
    }
}

#[tokio::test]
async fn comments_go_with_their_object() {
    let close = Close::start().await;
    let object = note(&close).await;
    let comment = close.make("comment/", json!({ "object_id": object, "body": "x" })).await;
    assert_eq!(close.delete(&format!("activity/note/{object}/")).await.status, 200);
    assert_eq!(close.get(&format!("comment/{}/", text(&comment["id"]))).await.status, 404);
    assert_eq!(close.get(&format!("comment_thread/{}/", text(&comment["thread_id"]))).await.status, 404);
}
