//! Leads: sections 4.1, 6.4 to 6.6, 8.4 and 12 of the reference.

use serde_json::{Value, json};

use crate::{
    client::Close,
    lead_changes::{events, id},
};

#[tokio::test]
async fn a_lead_is_shown_with_everything_that_is_computed_for_it() {
    let close = Close::start().await;
    let lead = close
        .make(
            "lead/",
            json!({
                "name": "Nordlicht GmbH", "description": "Ships", "url": "https://nordlicht.example",
                "addresses": [{ "label": "business", "address_1": "Hafenstr. 1", "city": "Kiel",
                    "zipcode": "24103", "country": "DE" }],
                "contacts": [
                    { "name": "Ida Brandt", "emails": [{ "email": "ida@nordlicht.example", "type": "office" }],
                      "phones": [{ "phone": "+49 431 00001", "type": "office" }] },
                    { "name": "Jon Falk" },
                    { "name": "Ada Berg" },
                ],
            }),
        )
        .await;
    let shown = close.get(&format!("lead/{}/", id(&lead))).await.body;
    assert_eq!(shown["display_name"], "Nordlicht GmbH");
    assert_eq!(shown["html_url"], format!("https://app.close.com/lead/{}/", id(&lead)));
    assert_eq!(shown["source"], "api");
    assert_eq!(shown["contacts_summary"], "Ida Brandt, Jon Falk, Ada Berg");
    assert_eq!(shown["primary_address_summary"], "Kiel, DE");
    assert_eq!(
        shown["primary_email"],
        json!({ "email": "ida@nordlicht.example", "type": "office", "is_unsubscribed": false })
    );
    assert_eq!(shown["primary_phone"]["phone"], "+4943100001");
    assert_eq!(shown["addresses"][0]["address_2"], Value::Null);
    assert_eq!(shown["addresses"][0]["tz_ids"], json!(["Europe/Berlin"]));
    assert_eq!(
        (&shown["opportunities"], &shown["tasks"], &shown["recent_calls"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(shown["created_by_name"], "Mara Voss");
    // Contacts come back in the order of the request.
    let names: Vec<&str> =
        lead["contacts"].as_array().unwrap().iter().map(|contact| contact["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ida Brandt", "Jon Falk", "Ada Berg"]);
    let ids: Vec<&Value> = lead["contacts"].as_array().unwrap().iter().map(|contact| &contact["id"]).collect();
    assert_eq!(lead["contact_ids"].as_array().unwrap().iter().collect::<Vec<_>>(), ids);
    let listed = close.get("lead/?_limit=200").await;
    assert!(listed.body["total_results"].as_u64().unwrap() > 0);
    let row = listed.rows().iter().find(|row| row["id"] == lead["id"]).expect("it is listed");
    assert_eq!(row["contacts"], lead["contacts"]);
}

#[tokio::test]
async fn leads_have_200_a_page_and_no_order_of_the_callers_choice() {
    let close = Close::start().await;
    assert_eq!(close.get("lead/?_limit=200").await.status, 200);
    assert_eq!(close.get("lead/?_limit=201").await.status, 400);
    for name in ["b", "a", "c"] {
        close.make("lead/", json!({ "name": name })).await;
    }
    let plain = close.get("lead/?_limit=5").await;
    assert_eq!(close.get("lead/?_limit=5&_order_by=name&organization_id=orga_x").await.rows(), plain.rows());
}

#[tokio::test]
async fn a_lead_without_a_name_is_called_after_its_first_contact() {
    let close = Close::start().await;
    let lead = close
        .make("lead/", json!({ "contacts": [{ "emails": [{ "email": "a@b.example" }] }, { "name": "Second" }] }))
        .await;
    assert_eq!((&lead["name"], &lead["display_name"]), (&Value::Null, &json!("a@b.example")));
}

#[tokio::test]
async fn quirk_04_errors_of_nested_contacts_carry_the_index_and_leave_no_trace() {
    let close = Close::start().await;
    let before = close.get("lead/?_limit=0").await.body["total_results"].clone();
    let reply = close
        .post(
            "lead/",
            json!({
                "name": "X",
                "contacts": [{ "name": "fine" }, { "emails": [{ "email": "a@b.example" }, { "email": "nonsense" }] }]
            }),
        )
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.body,
        json!({ "errors": [], "field-errors": { "contacts": { "errors": { "1":
            { "field-errors": { "emails": { "errors": {
            "1": { "field-errors": { "email": "Invalid email address." } } } } } } } } } })
    );
    assert_eq!(close.get("lead/?_limit=0").await.body["total_results"], before);
    let reply = close.post("lead/", json!({ "addresses": [{ "country": "Germany" }] })).await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.body["field-errors"]["addresses"]["errors"]["0"]["field-errors"]["country"].is_string(),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_status_is_named_by_id_or_label_and_is_the_first_one_otherwise() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    assert_eq!(lead["status_label"], "Potential");
    let lead = close.make("lead/", json!({ "name": "A", "status": "Customer" })).await;
    assert_eq!(lead["status_label"], "Customer");
    let again = close.make("lead/", json!({ "name": "A", "status_id": lead["status_id"] })).await;
    assert_eq!(again["status_label"], "Customer");
    let path = format!("lead/{}/", id(&lead));
    let reply = close.put(&path, json!({ "status": "no such status" })).await;
    assert_eq!((reply.status, reply.body["field-errors"]["status"].is_string()), (400, true), "{}", reply.text);
    assert_eq!(close.put(&path, json!({ "status": "Bad Fit" })).await.body["status_label"], "Bad Fit");
}

#[tokio::test]
async fn vendor_scripts_set_author_and_date_and_custom_fields_by_name() {
    let close = Close::start().await;
    let field = close.make("custom_field/lead/", json!({ "name": "Industry", "type": "text" })).await;
    let key = format!("custom.{}", id(&field));
    let agent = close.get_as("agent", "me/").await.body["id"].clone();
    let lead = close
        .make(
            "lead/",
            json!({
                "name": "Old", "date_created": "2020-01-02T03:04:05+01:00", "created_by": agent,
                "custom": { "Industry": "Shipping" }
            }),
        )
        .await;
    assert_eq!((&lead["date_created"], &lead["created_by"]), (&json!("2020-01-02T02:04:05+00:00"), &agent));
    assert_eq!(lead[&key], "Shipping");
    let path = format!("lead/{}/", id(&lead));
    let lead = close.put(&path, json!({ "custom.Industry": "Rail" })).await.body;
    assert_eq!(lead[&key], "Rail");
    // A whole body posted back is accepted, including read-only fields.
    assert_eq!(close.put(&path, lead.clone()).await.status, 200);
    // Quirk 16: unset fields are absent.
    let lead = close.put(&path, json!({ "custom.Industry": null })).await.body;
    assert!(lead.get(&key).is_none());
    assert_eq!(close.put(&path, json!({ "custom.No such": 1 })).await.status, 400);
}

#[tokio::test]
async fn a_put_of_a_lead_updates_contacts_with_an_id_and_adds_those_without() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }, { "name": "Two" }] })).await;
    let first = lead["contacts"][0]["id"].clone();
    let path = format!("lead/{}/", id(&lead));
    let body = json!({ "contacts": [{ "id": first, "title": "CFO" }, { "name": "Three" }] });
    let lead = close.put(&path, body).await.body;
    let contacts: Vec<(&str, &Value)> =
        lead["contacts"].as_array().unwrap().iter().map(|c| (c["name"].as_str().unwrap(), &c["title"])).collect();
    assert_eq!(contacts, [("One", &json!("CFO")), ("Two", &Value::Null), ("Three", &Value::Null)]);
}

#[tokio::test]
async fn quirk_17_children_move_the_leads_date_without_a_lead_event() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    let path = format!("lead/{}/", id(&lead));
    let contact = format!("contact/{}/", lead["contact_ids"][0].as_str().unwrap());
    let mut last = lead["date_updated"].clone();
    for (path_of, body) in [
        ("opportunity/", json!({ "lead_id": lead["id"], "value": 100 })),
        ("task/", json!({ "lead_id": lead["id"], "text": "Call" })),
    ] {
        close.advance(10.0).await;
        close.make(path_of, body).await;
        let now = close.get(&path).await.body["date_updated"].clone();
        assert_ne!(now, last, "{path_of}");
        last = now;
    }
    close.advance(10.0).await;
    close.put(&contact, json!({ "title": "CEO" })).await;
    let shown = close.get(&path).await.body;
    assert_ne!(shown["date_updated"], last);
    assert_eq!(
        (shown["opportunities"].as_array().unwrap().len(), shown["tasks"][0]["text"].as_str()),
        (1, Some("Call"))
    );
    assert_eq!(shown["contacts"][0]["title"], "CEO");
    assert_eq!(events(&close, id(&lead), "lead", "updated").await.len(), 0);
    let task = format!("task/{}/", shown["tasks"][0]["id"].as_str().unwrap());
    close.put(&task, json!({ "is_complete": true })).await;
    assert_eq!(close.get(&path).await.body["tasks"], json!([]), "incomplete tasks only");
}

#[tokio::test]
async fn quirk_20_renames_show_at_once_without_date_or_event() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    close.advance(10.0).await;
    let path = format!("status/lead/{}/", lead["status_id"].as_str().unwrap());
    let renamed = close.put(&path, json!({ "label": "Renamed" })).await;
    assert_eq!(renamed.body["label"], "Renamed");
    let shown = close.get(&format!("lead/{}/", id(&lead))).await.body;
    assert_eq!((&shown["status_label"], &shown["date_updated"]), (&json!("Renamed"), &lead["date_updated"]));
    assert_eq!(events(&close, id(&lead), "lead", "updated").await.len(), 0);
}

#[tokio::test]
async fn quirk_21_local_times_and_recent_calls_change_without_a_date_or_an_event() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "addresses": [{ "country": "DE" }] })).await;
    let path = format!("lead/{}/", id(&lead));
    close.advance(60.0).await;
    let shown = close.get(&path).await.body;
    let [before, after] = [&lead, &shown].map(|lead| lead["localtime"].as_str().expect("a local time").to_owned());
    assert!(before.ends_with("+02:00") && after > before, "{before}, {after}");
    assert_eq!((&shown["date_updated"], &shown["recent_calls"]), (&lead["date_updated"], &json!([])));

    let body = json!({ "lead_id": lead["id"], "duration": 10, "direction": "outbound" });
    let call = close.make("activity/call/", body).await;
    let recent = close.get(&path).await.body["recent_calls"].clone();
    assert_eq!((recent.as_array().unwrap().len(), &recent[0]["id"]), (1, &call["id"]));
    // Days later it is no longer recent, although the lead has not changed.
    let date = close.get(&path).await.body["date_updated"].clone();
    close.advance(60.0 * 86_400.0).await;
    let shown = close.get(&path).await.body;
    assert_eq!((&shown["recent_calls"], &shown["date_updated"]), (&json!([]), &date));
    assert!(events(&close, id(&lead), "lead", "updated").await.is_empty());
}

#[tokio::test]
async fn quirk_03_a_restricted_key_finds_only_its_own_leads() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Hidden", "contacts": [{ "name": "One" }] })).await;
    assert_eq!(close.get_as("restricted", &format!("lead/{}/", id(&lead))).await.status, 404);
    assert_eq!(
        close.get_as("restricted", &format!("contact/{}/", lead["contact_ids"][0].as_str().unwrap())).await.status,
        404
    );
    let me = close.get_as("restricted", "me/").await.body["id"].clone();
    let reply = close.put(&format!("lead/{}/", id(&lead)), json!({ "custom.Owner": me })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(close.get_as("restricted", &format!("lead/{}/", id(&lead))).await.status, 200);
}

#[tokio::test]
async fn what_is_posted_back_whole_changes_nothing() {
    let close = Close::start().await;
    let lead = close
        .make(
            "lead/",
            json!({ "name": "A", "addresses": [{ "city": "Kiel", "country": "DE" }],
                    "contacts": [{ "emails": [{ "email": "a@b.example" }],
                        "phones": [{ "phone": "415 555 0100" }] }] }),
        )
        .await;
    let opportunity = close.make("opportunity/", json!({ "lead_id": lead["id"], "status": "Won", "value": 5 })).await;
    let task = close
        .make("task/", json!({ "lead_id": lead["id"], "text": "Call", "date": "2026-09-10T10:00:00+02:00" }))
        .await;
    close.advance(60.0).await;
    let contact = lead["contact_ids"][0].as_str().unwrap();
    for path in [
        format!("opportunity/{}/", id(&opportunity)),
        format!("task/{}/", id(&task)),
        format!("contact/{contact}/"),
        format!("lead/{}/", id(&lead)),
    ] {
        let shown = close.get(&path).await.body;
        let reply = close.put(&path, shown.clone()).await;
        assert_eq!(
            (reply.status, &reply.body["date_updated"]),
            (200, &shown["date_updated"]),
            "{path}: {}",
            reply.text
        );
    }
    let all = close.get(&format!("event/?lead_id={}", id(&lead))).await;
    assert!(all.rows().iter().all(|event| event["action"] == "created"), "{}", all.text);
}
