//! Section 12, items 1 to 5, across resources: the wire, `PUT`, hidden objects, statuses.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    client::Close,
    rows::{bare, id, lead},
};

/// Read from the socket, because clients normalize the case.
#[tokio::test]
async fn quirk_01_header_names_are_lower_case_on_the_wire() {
    let close = Close::start().await;
    close.put("/_control/limits/", json!({ "default": { "limit": 100, "window_secs": 60 } })).await;
    for path in ["user", "user/", "me/"] {
        let mut stream = tokio::net::TcpStream::connect(close.running.address).await.unwrap();
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nhost: close\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        let text = String::from_utf8(read).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        let names: Vec<&str> = head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
        assert!(names.len() >= 3, "{head}");
        assert!(names.iter().all(|name| *name == name.to_lowercase()), "{head}");
        if path != "user" {
            assert!(head.starts_with("HTTP/1.1 401") && text.ends_with(r#"{"error":"Unauthorized"}"#), "{text}");
        }
    }
}

#[tokio::test]
async fn quirk_02_a_put_changes_the_keys_that_it_has_and_no_other() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let of = |more: Value| {
        let mut body = json!({ "lead_id": lead["id"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (path, first, second) in [
        (
            "lead/",
            json!({ "name": "A", "description": "x", "url": "https://a.example" }),
            json!({ "description": "y" }),
        ),
        (
            "contact/",
            of(json!({ "name": "Ida", "title": "CEO", "emails": [{ "email": "a@b.example" }] })),
            json!({ "title": "CFO" }),
        ),
        ("opportunity/", of(json!({ "value": 5, "note": "x", "confidence": 30 })), json!({ "note": "y" })),
        ("task/", of(json!({ "text": "x", "date": "2030-01-01" })), json!({ "text": "y" })),
        ("activity/note/", of(json!({ "note": "x", "title": "t" })), json!({ "title": "u" })),
        ("saved_search/", json!({ "name": "Mine", "query": "sort:created" }), json!({ "name": "Ours" })),
        ("email_template/", json!({ "name": "N", "subject": "s", "body": "b" }), json!({ "subject": "t" })),
    ] {
        let made = close.make(path, first).await;
        close.advance(10.0).await;
        let after = close.put(&format!("{path}{}/", id(&made)), second.clone()).await.body;
        let differs: BTreeSet<&str> = made
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, value)| after[name.as_str()] != **value)
            .map(|(name, _)| name.as_str())
            .collect();
        let (name, value) = second.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&after[name], value, "{path}");
        let allowed = BTreeSet::from([name.as_str(), "date_updated", "updated_by", "updated_by_name", "localtime"]);
        let derived: BTreeSet<&str> = differs.difference(&allowed).copied().collect();
        assert!(derived.is_empty(), "{path}: {derived:?}");
    }
}

/// Objects hidden from a restricted key, in every list, search and get; the 404 has the same text as for a missing
/// object.
#[tokio::test]
async fn quirk_03_hidden_objects_are_404_and_in_no_list_or_search() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Hidden", "contacts": [{ "name": "Ida" }] })).await;
    let contact = lead["contact_ids"][0].clone();
    let mut objects = vec![("lead", id(&lead).to_owned()), ("contact", contact.as_str().unwrap().to_owned())];
    for (path, body) in [
        ("opportunity", json!({ "lead_id": lead["id"], "value": 1 })),
        ("task", json!({ "lead_id": lead["id"], "text": "Call" })),
        ("activity/note", json!({ "lead_id": lead["id"], "note": "x" })),
        ("activity/call", json!({ "lead_id": lead["id"], "duration": 1 })),
    ] {
        objects.push((path, id(&close.make(&format!("{path}/"), body).await).to_owned()));
    }
    for (path, object) in &objects {
        let at = format!("{path}/{object}/");
        assert_eq!(close.get(&at).await.status, 200, "{at}");
        let hidden = close.get_as("restricted", &at).await;
        let prefix = object.split_once('_').unwrap().0;
        let unknown = format!("{prefix}_{}", "0".repeat(object.len() - prefix.len() - 1));
        let missing = close.get_as("restricted", &format!("{path}/{unknown}/")).await;
        assert_eq!((hidden.status, missing.status), (404, 404), "{at}");
        assert_eq!(hidden.text.replace(object, "-"), missing.text.replace(&unknown, "-"), "{at}");
        for filter in [String::new(), format!("?lead_id={}", id(&lead))] {
            if *path == "lead" && !filter.is_empty() {
                continue;
            }
            let list = format!("{path}/{filter}");
            assert!(!close.get_as("restricted", &list).await.text.contains(object.as_str()), "{list}");
        }
        for method in [Method::PUT, Method::DELETE] {
            let write = Close::send(close.request("restricted", method, &at).json(&json!({}))).await;
            assert_eq!(write.status, 404, "{at}");
        }
    }
    for (object_type, object) in [("lead", id(&lead)), ("contact", contact.as_str().unwrap())] {
        let queries = json!([{ "type": "object_type", "object_type": object_type }, { "type": "id", "value": object }]);
        let body = json!({ "query": { "type": "and", "queries": queries } });
        assert_eq!(close.post("data/search/", body.clone()).await.rows().len(), 1);
        let found = Close::send(close.request("restricted", Method::POST, "data/search/").json(&body)).await;
        assert_eq!((found.status, found.rows().len()), (200, 0), "{}", found.text);
    }
}

/// Status of a creation, with `location` where it is 201, and of a deletion, with `{}` where it is 200.
#[tokio::test]
async fn quirk_05_each_resource_answers_200_201_and_204_in_its_own_way() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    let contact =
        close.make("contact/", json!({ "lead_id": lead["id"], "emails": [{ "email": "a@b.example" }] })).await;
    let note = close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "x" })).await;
    let site = close.make("custom_object_type/", json!({ "name": "Site" })).await;
    let sequence = close.make("sequence/", json!({ "name": "Outreach" })).await;
    let of_lead = json!({ "lead_id": lead["id"] });
    for (path, body, created, deleted) in [
        ("lead/", json!({ "name": "B" }), 200, 200),
        ("contact/", of_lead.clone(), 200, 200),
        ("opportunity/", of_lead.clone(), 200, 200),
        ("task/", of_lead.clone(), 200, 200),
        ("activity/note/", of_lead.clone(), 200, 200),
        ("activity/call/", of_lead, 200, 200),
        ("saved_search/", json!({ "name": "Mine" }), 200, 200),
        ("email_template/", json!({ "name": "News" }), 200, 200),
        ("custom_field/lead/", json!({ "name": "One", "type": "text" }), 200, 200),
        (
            "webhook/",
            json!({ "url": "https://a.example", "events": [{ "object_type": "lead", "action": "updated" }] }),
            201,
            200,
        ),
        ("custom_activity/", json!({ "name": "Visit" }), 201, 204),
        ("custom_object_type/", json!({ "name": "Hall" }), 201, 204),
        (
            "custom_object/",
            json!({ "lead_id": lead["id"], "custom_object_type_id": site["id"], "name": "x" }),
            201,
            204,
        ),
        ("role/", json!({ "name": "Callers", "permissions": [] }), 201, 200),
        ("pipeline/", json!({ "name": "Partners" }), 201, 204),
        ("group/", json!({ "name": "North" }), 201, 204),
        ("comment/", json!({ "object_id": note["id"], "body": "x" }), 201, 204),
        (
            "sequence_subscription/",
            json!({ "sequence_id": sequence["id"], "contact_id": contact["id"], "contact_email": "a@b.example" }),
            201,
            405,
        ),
    ] {
        let made = close.post(path, body).await;
        assert_eq!(made.status, created, "POST {path}: {}", made.text);
        let at = format!("{path}{}/", id(&made.body));
        if created == 201 {
            assert_eq!(made.headers["location"].to_str().unwrap(), format!("/api/v1/{at}"), "{path}");
        }
        assert_eq!(close.put(&at, json!({})).await.status, 200, "PUT {path}");
        let gone = close.delete(&at).await;
        assert_eq!(gone.status, deleted, "DELETE {path}: {}", gone.text);
        match deleted {
            200 => assert_eq!(gone.text, "{}", "{path}"),
            204 => assert_eq!(gone.text, "", "{path}"),
            _ => {}
        }
    }
}
