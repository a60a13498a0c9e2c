//! Contacts: sections 4.2, 6.5 and 6.6 of the reference.

use serde_json::{Value, json};

use crate::client::Close;

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

async fn events(close: &Close, lead: &Value, object_type: &str, action: &str) -> Vec<Value> {
    let reply = close.get(&format!("event/?lead_id={}&object_type={object_type}&action={action}", id(lead))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().to_vec()
}

#[tokio::test]
async fn phones_and_emails_are_shown_with_what_close_knows_of_them() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    let contact = close
        .make(
            "contact/",
            json!({
                "lead_id": lead["id"], "name": "Ida", "title": "CFO",
                "emails": [{ "email": " ida@a.example ", "type": "home" }],
                "phones": [{ "phone": "(415) 555-0100", "type": "mobile" }, { "phone": "+4940000009" }],
                "urls": [{ "url": "https://a.example", "type": "url" }],
            }),
        )
        .await;
    let shown = close.get(&format!("contact/{}/", id(&contact))).await.body;
    assert_eq!(shown["emails"], json!([{ "email": "ida@a.example", "type": "home", "is_unsubscribed": false }]));
    assert_eq!(
        shown["phones"],
        json!([
            { "phone": "+14155550100", "phone_formatted": "+1 415-555-0100", "type": "mobile", "country": "US",
              "tz_ids": ["America/New_York"], "outbound_sms_blocked": false },
            { "phone": "+4940000009", "phone_formatted": "+49 40 000009", "type": "office", "country": "DE",
              "tz_ids": ["Europe/Berlin"], "outbound_sms_blocked": false },
        ])
    );
    assert_eq!(shown["urls"], json!([{ "url": "https://a.example", "type": "url" }]));
    for empty in ["integration_links", "subscriptions", "recent_calls"] {
        assert_eq!(shown[empty], json!([]), "{empty}");
    }
    for null in ["timezone", "timezone_source", "lead_suggestions_operation_id"] {
        assert!(shown.get(null).is_some_and(Value::is_null), "{null}");
    }
    assert_eq!((&shown["display_name"], &shown["lead_id"]), (&json!("Ida"), &lead["id"]));
}

#[tokio::test]
async fn lists_of_entries_are_replaced_whole_and_wrong_ones_refused() {
    let close = Close::start().await;
    let body = json!({ "name": "Ida", "emails": [{ "email": "a@a.example" }, { "email": "b@a.example" }] });
    let contact = close.make("contact/", body).await;
    let path = format!("contact/{}/", id(&contact));
    let shown = close.put(&path, json!({ "emails": [{ "email": "c@a.example" }] })).await.body;
    assert_eq!(shown["emails"].as_array().unwrap().len(), 1);
    assert_eq!(shown["name"], "Ida");
    for (body, field, index) in [
        (json!({ "emails": [{ "email": "c@a.example" }, { "email": "c@@a" }] }), "emails", "1"),
        (json!({ "phones": [{ "phone": "12" }] }), "phones", "0"),
        (json!({ "urls": [{ "url": "" }] }), "urls", "0"),
        (json!({ "emails": [{ "type": "home" }] }), "emails", "0"),
    ] {
        let reply = close.put(&path, body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.body["field-errors"][field]["errors"][index]["field-errors"].is_object(), "{}", reply.text);
    }
    assert_eq!(close.get(&path).await.body["emails"], shown["emails"]);
    assert_eq!(close.put(&path, json!({ "emails": [] })).await.body["emails"], json!([]));
}

/// Quirk 7: `total_results` is absent on contacts.
#[tokio::test]
async fn quirk_07_the_list_has_no_total_and_at_most_100_rows() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "contacts": [{ "name": "a" }, { "name": "b" }] })).await;
    close.make("contact/", json!({ "name": "elsewhere" })).await;
    let reply = close.get(&format!("contact/?lead_id={}", id(&lead))).await;
    assert!(reply.body.get("total_results").is_none());
    assert_eq!((reply.rows().len(), &reply.body["has_more"]), (2, &json!(false)));
    assert_eq!(close.get("contact/?_limit=101").await.status, 400);
    assert_eq!(close.get(&format!("contact/?lead_id={}&_limit=1", id(&lead))).await.body["has_more"], true);
}

/// Catalogue: `contact` created and deleted, each with a `lead.updated` that names `contact_ids`. Quirk 28.
#[tokio::test]
async fn quirk_28_adding_and_removing_a_contact_updates_the_lead() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    close.advance(60.0).await;
    let contact = close.make("contact/", json!({ "lead_id": lead["id"], "name": "Two" })).await;
    let created = &events(&close, &lead, "contact", "created").await[0];
    let update = &events(&close, &lead, "lead", "updated").await[0];
    assert_eq!(created["request_id"], update["request_id"]);
    assert_eq!(update["changed_fields"], json!(["contact_ids", "date_updated"]));
    assert_eq!(update["previous_data"]["contact_ids"], lead["contact_ids"]);
    assert_eq!(update["data"]["contact_ids"], json!([lead["contact_ids"][0], contact["id"]]));
    close.advance(60.0).await;
    assert_eq!(close.delete(&format!("contact/{}/", id(&contact))).await.body, json!({}));
    let deleted = &events(&close, &lead, "contact", "deleted").await[0];
    let update = &events(&close, &lead, "lead", "updated").await[0];
    assert_eq!(deleted["request_id"], update["request_id"]);
    assert_eq!(deleted["previous_data"]["name"], "Two");
    assert_eq!(
        (&update["data"]["contact_ids"], &update["previous_data"]["contact_ids"]),
        (&lead["contact_ids"], &json!([lead["contact_ids"][0], contact["id"]]))
    );
}

/// Catalogue: `contact` updated, without a lead event.
#[tokio::test]
async fn editing_a_contact_has_an_event_of_the_contact_only() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    close.advance(60.0).await;
    close.put(&format!("contact/{}/", lead["contact_ids"][0].as_str().unwrap()), json!({ "name": "Uno" })).await;
    let event = &events(&close, &lead, "contact", "updated").await[0];
    assert_eq!((&event["previous_data"]["name"], &event["data"]["name"]), (&json!("One"), &json!("Uno")));
    assert_eq!(event["data"]["lead_id"], lead["id"]);
    assert!(events(&close, &lead, "lead", "updated").await.is_empty());
}

#[tokio::test]
async fn a_contact_without_a_lead_gets_one_unasked() {
    let close = Close::start().await;
    let contact = close.make("contact/", json!({ "name": "Solo" })).await;
    let lead = close.get(&format!("lead/{}/", contact["lead_id"].as_str().unwrap())).await.body;
    assert_eq!((&lead["display_name"], &lead["contact_ids"]), (&json!("Solo"), &json!([contact["id"]])));
    let created = events(&close, &lead, "lead", "created").await;
    assert_eq!(created[0]["data"]["contact_ids"], json!([contact["id"]]));
    assert_eq!(events(&close, &lead, "contact", "created").await[0]["request_id"], created[0]["request_id"]);
    assert!(events(&close, &lead, "lead", "updated").await.is_empty());
    let refused = close.post("contact/", json!({ "emails": [{ "email": "no" }] })).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn an_unsubscribed_address_shows_at_every_contact_that_has_it() {
    let close = Close::start().await;
    let lead = close
        .make(
            "lead/",
            json!({ "contacts": [{ "emails": [{ "email": "Ida@A.example" }, { "email": "b@a.example" }] }] }),
        )
        .await;
    let path = format!("contact/{}/", lead["contact_ids"][0].as_str().unwrap());
    let flags = |contact: &Value| {
        let emails = contact["emails"].as_array().unwrap().iter();
        emails.map(|email| email["is_unsubscribed"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(flags(&close.get(&path).await.body), [false, false]);
    close.make("unsubscribe/email/", json!({ "email": "ida@a.example" })).await;
    let contact = close.get(&path).await.body;
    assert_eq!(flags(&contact), [true, false]);
    assert_eq!(contact["date_updated"], lead["contacts"][0]["date_updated"]);
    assert_eq!(close.get(&format!("lead/{}/", id(&lead))).await.body["primary_email"]["is_unsubscribed"], true);
    assert_eq!(close.delete("unsubscribe/email/ida@a.example/").await.status, 200);
    assert_eq!(flags(&close.get(&path).await.body), [false, false]);
}

#[tokio::test]
async fn a_contact_moves_to_another_lead_only_by_choice() {
    let close = Close::start().await;
    let from = close.make("lead/", json!({ "name": "From", "contacts": [{ "name": "One" }] })).await;
    let to = close.make("lead/", json!({ "name": "To" })).await;
    let path = format!("contact/{}/", from["contact_ids"][0].as_str().unwrap());
    assert_eq!(close.put(&path, json!({ "lead_id": from["id"], "title": "CEO" })).await.status, 200);
    let reply = close.put(&path, json!({ "lead_id": to["id"] })).await;
    assert_eq!((reply.status, reply.body["field-errors"]["lead_id"].is_string()), (400, true));
    close.switch(json!({ "contact_move_by_put": true })).await;
    close.advance(60.0).await;
    let moved = close.put(&path, json!({ "lead_id": to["id"] })).await;
    assert_eq!((moved.status, &moved.body["lead_id"]), (200, &to["id"]));
    for (lead, contacts) in [(&from, json!([])), (&to, from["contact_ids"].clone())] {
        assert_eq!(events(&close, lead, "lead", "updated").await[0]["data"]["contact_ids"], contacts);
        assert_eq!(close.get(&format!("lead/{}/", id(lead))).await.body["contact_ids"], contacts);
    }
}
