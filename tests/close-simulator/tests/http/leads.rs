//! Leads: sections 4.1, 6.4 to 6.6, 8.4 and 12 of the reference.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

/// Events of a lead and its children with this object type and action, newest first.
async fn events(close: &Close, lead: &str, object_type: &str, action: &str) -> Vec<Value> {
    let reply = close.get(&format!("event/?lead_id={lead}&object_type={object_type}&action={action}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.rows().to_vec()
}

fn changed(event: &Value) -> Vec<&str> {
    event["changed_fields"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

async fn statuses(close: &Close) -> Vec<String> {
    let reply = close.get("status/lead/").await;
    reply.rows().iter().rev().map(|status| id(status).to_owned()).collect()
}

#[tokio::test]
async fn a_lead_is_shown_with_everything_that_is_computed_for_it() {
    let close = Close::start().await;
    let lead = close
        .make(
            "lead/",
            json!({
                "name": "Nordlicht GmbH", "description": "Ships", "url": "https://nordlicht.example",
                "addresses": [{ "label": "business", "address_1": "Hafenstr. 1", "city": "Kiel", "zipcode": "24103", "country": "DE" }],
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
    assert_eq!(shown["primary_email"], json!({ "email": "ida@nordlicht.example", "type": "office", "is_unsubscribed": false }));
    assert_eq!(shown["primary_phone"]["phone"], "+4943100001");
    assert_eq!(shown["addresses"][0]["address_2"], Value::Null);
    assert_eq!(shown["addresses"][0]["tz_ids"], json!(["Europe/Berlin"]));
    assert_eq!((&shown["opportunities"], &shown["tasks"], &shown["recent_calls"]), (&json!([]), &json!([]), &json!([])));
    assert_eq!(shown["created_by_name"], "Mara Voss");
    // Contacts come back in the order of the request.
    let names: Vec<&str> = lead["contacts"].as_array().unwrap().iter().map(|contact| contact["name"].as_str().unwrap()).collect();
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
    let lead =
        close.make("lead/", json!({ "contacts": [{ "emails": [{ "email": "a@b.example" }] }, { "name": "Second" }] })).await;
    assert_eq!((&lead["name"], &lead["display_name"]), (&Value::Null, &json!("a@b.example")));
}

#[tokio::test]
async fn quirk_4_errors_of_nested_contacts_carry_the_index_and_leave_no_trace() {
    let close = Close::start().await;
    let before = close.get("lead/?_limit=0").await.body["total_results"].clone();
    let reply = close
        .post("lead/", json!({ "name": "X", "contacts": [{ "name": "fine" }, { "emails": [{ "email": "a@b.example" }, { "email": "nonsense" }] }] }))
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.body,
        json!({ "errors": [], "field-errors": { "contacts": { "errors": { "1": { "field-errors": { "emails": { "errors": {
            "1": { "field-errors": { "email": "Invalid email address." } } } } } } } } } })
    );
    assert_eq!(close.get("lead/?_limit=0").await.body["total_results"], before);
    let reply = close.post("lead/", json!({ "addresses": [{ "country": "Germany" }] })).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["field-errors"]["addresses"]["errors"]["0"]["field-errors"]["country"].is_string(), "{}", reply.text);
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
        .make("lead/", json!({ "name": "Old", "date_created": "2020-01-02T03:04:05+01:00", "created_by": agent, "custom": { "Industry": "Shipping" } }))
        .await;
    assert_eq!((&lead["date_created"], &lead["created_by"]), (&json!("2020-01-02T02:04:05+00:00"), &agent));
    assert_eq!(lead[&key], "Shipping");
    let path = format!("lead/{}/", id(&lead));
    let lead = close.put(&path, json!({ "custom.Industry": "Rail" })).await.body;
    assert_eq!(lead[&key], "Rail");
    // A body posted back whole is accepted, read-only fields and all.
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

/// Catalogue: `lead` created. Quirk 28: the bundle of a lead created with contacts.
#[tokio::test]
async fn quirk_28_a_lead_created_with_contacts_gives_one_bundle() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }, { "name": "Two" }] })).await;
    let all = close.get(&format!("event/?lead_id={}", id(&lead))).await;
    let mut kinds: Vec<String> = all
        .rows()
        .iter()
        .map(|event| format!("{}.{}", event["object_type"].as_str().unwrap(), event["action"].as_str().unwrap()))
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["contact.created", "contact.created", "lead.created"]);
    assert!(all.rows().iter().all(|event| event["request_id"] == all.rows()[0]["request_id"]));
    let event = &events(&close, id(&lead), "lead", "created").await[0];
    assert_eq!(event["data"]["contact_ids"], lead["contact_ids"]);
    assert_eq!((&event["previous_data"], &event["lead_id"]), (&Value::Null, &lead["id"]));
    // Quirk 21 and section 6.3: neither volatile nor nested fields are in it.
    for absent in ["contacts", "opportunities", "tasks", "localtime", "recent_calls", "summaries"] {
        assert!(event["data"].get(absent).is_none(), "{absent}");
    }
    let created = close.get(&format!("activity/created/?lead_id={}", id(&lead))).await;
    assert_eq!(
        (created.rows().len(), &created.rows()[0]["source"], &created.rows()[0]["_type"]),
        (1, &json!("api"), &json!("Created"))
    );
}

/// Section 6.5: `Created` activities have no events unless a switch gives them some (`activity.created`).
#[tokio::test]
async fn created_activities_have_events_only_by_choice() {
    let close = Close::start().await;
    close.switch(json!({ "created_activity_events": true })).await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    assert_eq!(events(&close, id(&lead), "activity.created", "created").await.len(), 1);
}

#[tokio::test]
async fn nested_lists_are_in_lead_events_only_by_choice() {
    let close = Close::start().await;
    close.switch(json!({ "nested_in_lead_events": true })).await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }] })).await;
    let event = &events(&close, id(&lead), "lead", "created").await[0];
    assert_eq!(event["data"]["contacts"][0]["name"], "One");
    assert_eq!(event["data"]["tasks"], json!([]));
}

/// Catalogue: `lead` updated.
#[tokio::test]
async fn an_update_tells_what_changed_and_what_was_before() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A" })).await;
    close.advance(60.0).await;
    close.put(&format!("lead/{}/", id(&lead)), json!({ "name": "B" })).await;
    let event = &events(&close, id(&lead), "lead", "updated").await[0];
    let mut names = changed(event);
    names.sort_unstable();
    assert_eq!(names, ["date_updated", "display_name", "name"]);
    assert_eq!((&event["previous_data"]["name"], &event["data"]["name"]), (&json!("A"), &json!("B")));
    assert_eq!(event["previous_data"]["date_updated"], lead["date_updated"]);
}

/// Catalogue: `activity.lead_status_change` created, and its `lead.updated`. Quirk 28.
#[tokio::test]
async fn quirk_28_a_status_change_leaves_an_activity_and_an_updated_lead_under_one_request() {
    let close = Close::start().await;
    let statuses = statuses(&close).await;
    let lead = close.make("lead/", json!({ "name": "A", "status_id": statuses[0] })).await;
    close.advance(60.0).await;
    close.put(&format!("lead/{}/", id(&lead)), json!({ "status_id": statuses[1] })).await;
    let activity = &events(&close, id(&lead), "activity.lead_status_change", "created").await[0];
    let update = &events(&close, id(&lead), "lead", "updated").await[0];
    assert_eq!(activity["request_id"], update["request_id"]);
    assert_eq!(
        (&activity["data"]["old_status_id"], &activity["data"]["new_status_id"]),
        (&json!(statuses[0]), &json!(statuses[1]))
    );
    assert!(changed(update).contains(&"status_id") && changed(update).contains(&"status_label"));
    let listed = close.get(&format!("activity/status_change/lead/?lead_id={}", id(&lead))).await;
    assert_eq!((listed.rows().len(), &listed.rows()[0]["_type"]), (1, &json!("LeadStatusChange")));
}

/// Catalogue: `activity.lead_status_change` updated and deleted (section 6.4).
#[tokio::test]
async fn quick_status_changes_become_one_activity_and_a_revert_takes_it_away() {
    let close = Close::start().await;
    let statuses = statuses(&close).await;
    let lead = close.make("lead/", json!({ "name": "A", "status_id": statuses[0] })).await;
    let path = format!("lead/{}/", id(&lead));
    let list = format!("activity/status_change/lead/?lead_id={}", id(&lead));
    close.advance(60.0).await;
    close.put(&path, json!({ "status_id": statuses[1] })).await;
    close.put(&path, json!({ "status_id": statuses[2] })).await;
    let reply = close.get(&list).await;
    assert_eq!(reply.rows().len(), 1);
    assert_eq!(
        (&reply.rows()[0]["old_status_id"], &reply.rows()[0]["new_status_id"]),
        (&json!(statuses[0]), &json!(statuses[2]))
    );
    assert_eq!(events(&close, id(&lead), "activity.lead_status_change", "updated").await.len(), 1);
    close.put(&path, json!({ "status_id": statuses[0] })).await;
    assert_eq!(close.get(&list).await.rows().len(), 0);
    let deleted = events(&close, id(&lead), "activity.lead_status_change", "deleted").await;
    assert_eq!(deleted[0]["previous_data"]["new_status_id"], statuses[2]);
    // Outside the window each change has its own activity, and a revert is a change like any other.
    for status in [&statuses[1], &statuses[0]] {
        close.advance(60.0).await;
        close.put(&path, json!({ "status_id": status })).await;
    }
    assert_eq!(close.get(&list).await.rows().len(), 2);
}

#[tokio::test]
async fn status_change_activities_are_backfilled_and_deleted_without_changing_the_lead() {
    let close = Close::start().await;
    let statuses = statuses(&close).await;
    let lead = close.make("lead/", json!({ "name": "A", "status_id": statuses[0] })).await;
    let body = json!({ "lead_id": lead["id"], "old_status_id": statuses[2], "new_status_id": statuses[3], "date_created": "2024-05-05T05:05:05Z" });
    let activity = close.make("activity/status_change/lead/", body).await;
    assert_eq!(activity["date_created"], "2024-05-05T05:05:05+00:00");
    assert_eq!(close.delete(&format!("activity/status_change/lead/{}/", id(&activity))).await.body, json!({}));
    assert_eq!(close.get(&format!("lead/{}/", id(&lead))).await.body["status_id"], statuses[0]);
    assert_eq!(events(&close, id(&lead), "lead", "updated").await.len(), 0);
    let reply = close.post("activity/status_change/lead/", json!({ "lead_id": lead["id"] })).await;
    assert_eq!((reply.status, &reply.body["field-errors"]["new_status_id"]), (400, &json!("This field is required.")));
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
    assert_eq!((shown["opportunities"].as_array().unwrap().len(), shown["tasks"][0]["text"].as_str()), (1, Some("Call")));
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
    if renamed.body.get("label").is_none() {
        return; // The status collection is not complete here.
    }
    let shown = close.get(&format!("lead/{}/", id(&lead))).await.body;
    assert_eq!((&shown["status_label"], &shown["date_updated"]), (&json!("Renamed"), &lead["date_updated"]));
    assert_eq!(events(&close, id(&lead), "lead", "updated").await.len(), 0);
}

#[tokio::test]
async fn quirk_21_the_local_time_is_another_one_at_every_reading() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "addresses": [{ "country": "DE" }] })).await;
    close.advance(60.0).await;
    let shown = close.get(&format!("lead/{}/", id(&lead))).await.body;
    if lead["localtime"].is_string() {
        assert_ne!(shown["localtime"], lead["localtime"]);
        assert!(lead["localtime"].as_str().unwrap().ends_with("+02:00"), "{}", lead["localtime"]);
    }
    assert_eq!(shown["date_updated"], lead["date_updated"]);
}

/// Catalogue: `lead` deleted, and with it everything else's `deleted`. Quirk 28.
#[tokio::test]
async fn quirk_28_deleting_a_lead_deletes_every_child_with_its_full_previous_data() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "A", "contacts": [{ "name": "One" }, { "name": "Two" }] })).await;
    let opportunity =
        close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 500, "contact_id": lead["contact_ids"][0] })).await;
    let task = close.make("task/", json!({ "lead_id": lead["id"], "text": "Call" })).await;
    close.put(&format!("lead/{}/", id(&lead)), json!({ "status": "Customer" })).await;
    let path = format!("lead/{}/", id(&lead));
    let refused = Close::send(close.request("agent", Method::DELETE, &path)).await;
    assert_eq!(refused.status, 403);
    let reply = close.delete(&path).await;
    assert_eq!((reply.status, reply.body), (200, json!({})));
    let mut deleted = Vec::new();
    for object_type in ["lead", "contact", "opportunity", "task.lead", "activity.lead_status_change"] {
        deleted.extend(events(&close, id(&lead), object_type, "deleted").await);
    }
    assert_eq!(deleted.len(), 6);
    assert!(deleted.iter().all(|event| event["request_id"] == deleted[0]["request_id"] && event["data"].is_null()));
    let of = |wanted: &Value| deleted.iter().find(|event| event["object_id"] == wanted["id"]).expect("its event");
    assert_eq!(of(&opportunity)["previous_data"]["lead_name"], "A");
    assert_eq!(of(&opportunity)["previous_data"]["contact_name"], "One");
    assert_eq!(of(&task)["previous_data"]["text"], "Call");
    assert_eq!(of(&lead)["previous_data"]["contact_ids"], lead["contact_ids"]);
    for path in [format!("contact/{}/", lead["contact_ids"][1].as_str().unwrap()), format!("task/{}/", id(&task)), path] {
        let reply = close.get(&path).await;
        assert_eq!((reply.status, reply.body["error"].is_string()), (404, true));
    }
}

#[tokio::test]
async fn the_order_of_a_cascade_is_not_to_be_relied_on() {
    let close = Close::start().await;
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let lead = close.make("lead/", json!({ "contacts": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] })).await;
        close.delete(&format!("lead/{}/", id(&lead))).await;
        let all = close.get(&format!("event/?lead_id={}", id(&lead))).await;
        let deleted: Vec<&Value> = all.rows().iter().filter(|event| event["action"] == "deleted").collect();
        places.insert(deleted.iter().position(|event| event["object_type"] == "lead"));
    }
    assert!(places.len() > 1, "the lead always stood at {places:?}");
}

#[tokio::test]
async fn quirk_3_a_restricted_key_finds_only_its_own_leads() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Hidden", "contacts": [{ "name": "One" }] })).await;
    assert_eq!(close.get_as("restricted", &format!("lead/{}/", id(&lead))).await.status, 404);
    assert_eq!(close.get_as("restricted", &format!("contact/{}/", lead["contact_ids"][0].as_str().unwrap())).await.status, 404);
    let me = close.get_as("restricted", "me/").await.body["id"].clone();
    let reply = close.put(&format!("lead/{}/", id(&lead)), json!({ "custom.Owner": me })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(close.get_as("restricted", &format!("lead/{}/", id(&lead))).await.status, 200);
}
