//! Section 12, items 15 to 20, across resources: dates, custom fields, money, names.

use serde_json::{Value, json};

use crate::{
    activities::perform,
    rows::{bare, count, id, lead, put, settle},
};

/// Section 8.1, form by form.
#[tokio::test]
async fn quirk_15_dates_come_in_every_form_of_the_reference() {
    let close = bare().await;
    close.make("/_control/clock/", json!({ "to": "2031-02-03T09:15:33.478Z" })).await;
    let fraction = close.make("lead/", json!({ "name": "A" })).await;
    let role = close.post("role/", json!({ "name": "Callers", "permissions": [] })).await.body;
    let naive = "2031-02-03T09:15:33.478000";
    let offset = "2031-02-03T09:15:33.478000+00:00";
    assert_eq!(fraction["date_created"], offset);
    assert_eq!(role["date_created"], naive);
    // With an offset: records, custom fields, smart views, templates.
    for (path, body) in [
        ("contact/", json!({ "lead_id": fraction["id"] })),
        ("opportunity/", json!({ "lead_id": fraction["id"], "date_won": "2031-03-01" })),
        ("task/", json!({ "lead_id": fraction["id"], "date": "2031-03-01" })),
        ("activity/note/", json!({ "lead_id": fraction["id"], "note": "x" })),
        ("custom_field/lead/", json!({ "name": "Since", "type": "date" })),
        ("saved_search/", json!({ "name": "Mine" })),
        ("email_template/", json!({ "name": "News" })),
    ] {
        let made = close.make(path, body).await;
        assert_eq!((&made["date_created"], &made["date_updated"]), (&json!(offset), &json!(offset)), "{path}");
        match path {
            "opportunity/" => assert_eq!(made["date_won"], "2031-03-01", "a date only"),
            "task/" => assert_eq!(made["date"], "2031-03-01", "a date only"),
            "custom_field/lead/" => {
                let key = format!("custom.{}", id(&made));
                let lead = close.put(&format!("lead/{}/", id(&fraction)), json!({ &key: "2031-04-01" })).await.body;
                assert_eq!(lead[&key], "2031-04-01", "a date only");
            }
            _ => {}
        }
    }
    // Without: events, webhooks, pipelines, types, sequences.
    for (path, body) in [
        ("webhook/", json!({ "url": "https://a.example", "events": [{ "object_type": "lead", "action": "updated" }] })),
        ("pipeline/", json!({ "name": "Partners" })),
        ("custom_activity/", json!({ "name": "Visit" })),
        ("custom_object_type/", json!({ "name": "Site" })),
        ("sequence/", json!({ "name": "Outreach" })),
    ] {
        assert_eq!(close.make(path, body).await["date_created"], naive, "{path}");
    }
    let event = &close.events_of(id(&fraction), "lead").await.pop().unwrap();
    assert_eq!((&event["date_created"], &event["data"]["date_created"]), (&json!(naive), &json!(offset)));
    // Other names of dates, and no further ones.
    let note = close.make("activity/note/", json!({ "lead_id": fraction["id"], "note": "x" })).await;
    let comment = close.make("comment/", json!({ "object_id": note["id"], "body": "x" })).await;
    let thread = close.get(&format!("comment_thread/{}/", comment["thread_id"].as_str().unwrap())).await.body;
    let playbook = close.make("playbook/", json!({ "name": "Discovery" })).await;
    for made in [&comment, &thread, &playbook] {
        assert!(made["created_at"].is_string() && made["updated_at"].is_string(), "{made}");
        assert!(made.get("date_created").is_none() && made.get("date_updated").is_none(), "{made}");
    }
    // The sentinel date of built-in roles.
    for role in ["admin", "superuser", "user", "restricteduser"] {
        let role = close.get(&format!("role/{role}/")).await.body;
        assert_eq!(
            (&role["date_created"], &role["date_updated"]),
            (&json!("0001-01-01T00:00:00"), &json!("0001-01-01T00:00:00"))
        );
    }
    // A fraction of zero is left out, so texts do not sort like moments.
    close.make("/_control/clock/", json!({ "to": "2031-02-03T09:15:34Z" })).await;
    let whole = close.make("lead/", json!({ "name": "B" })).await;
    assert_eq!(whole["date_created"], "2031-02-03T09:15:34+00:00");
}

#[tokio::test]
async fn quirk_16_unset_fields_are_absent_several_values_are_arrays_and_names_are_keys_by_choice() {
    let close = bare().await;
    let one = close.make("custom_field/lead/", json!({ "name": "Size", "type": "text" })).await;
    let many = json!({ "name": "Tags", "type": "choices", "choices": ["A", "B"], "accepts_multiple_values": true });
    let many = close.make("custom_field/lead/", many).await;
    let [one, many] = [&one, &many].map(|field| format!("custom.{}", id(field)));
    let empty = lead(&close, "Nordlicht").await;
    assert!(empty.as_object().unwrap().keys().all(|key| !key.starts_with("custom")), "{empty}");
    let path = format!("lead/{}/", id(&empty));
    let set = put(&close, &path, json!({ &one: "large", &many: "A" })).await;
    assert_eq!((&set[&one], &set[&many], set.get("custom")), (&json!("large"), &json!(["A"]), None));
    close.switch(json!({ "deprecated_custom_names": true })).await;
    let named = close.get(&path).await.body;
    assert_eq!(named["custom"], json!({ "Size": "large", "Tags": ["A"] }));
    assert_eq!(named[&one], "large", "beside the keys by id");
    let cleared = put(&close, &path, json!({ &one: null, &many: [] })).await;
    assert!(cleared.get(&one).is_none() && cleared.get(&many).is_none(), "{cleared}");
}

/// Everything that shows a value: the object, its list, its search, the schema and other kinds of records.
#[tokio::test]
async fn quirk_16_a_deleted_field_is_nowhere_any_more_and_no_record_tells_of_it() {
    let close = bare().await;
    let shared = close.make("custom_field/shared/", json!({ "name": "Region", "type": "text" })).await;
    let own = close.make("custom_field/opportunity/", json!({ "name": "Terms", "type": "text" })).await;
    let key = format!("custom.{}", id(&own));
    let lead = lead(&close, "Nordlicht").await;
    let made = close.make("opportunity/", json!({ "lead_id": lead["id"], &key: "30 days" })).await;
    assert_eq!(made[&key], "30 days");
    settle(&close).await;
    let before = count(&close, &lead, "opportunity", "updated").await;
    for (path, field) in [("opportunity", &own), ("shared", &shared)] {
        assert_eq!(close.delete(&format!("custom_field/{path}/{}/", id(field))).await.status, 200, "{path}");
    }
    for path in [
        format!("opportunity/{}/", id(&made)),
        "opportunity/".to_owned(),
        format!("lead/{}/", id(&lead)),
        "custom_field/opportunity/".to_owned(),
        "custom_field/shared/".to_owned(),
    ] {
        let text = close.get(&path).await.text;
        assert!(!text.contains(id(&own)) && !text.contains(id(&shared)), "{path}: {text}");
    }
    assert_eq!(close.get(&format!("opportunity/{}/", id(&made))).await.body["date_updated"], made["date_updated"]);
    assert_eq!(count(&close, &lead, "opportunity", "updated").await, before);
}

#[tokio::test]
async fn quirk_19_the_cost_of_calls_and_sms_is_a_text_while_money_is_an_integer() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let call =
        perform(&close, json!({ "action": "run_call", "lead_id": lead["id"], "ring_secs": 1, "duration": 100 })).await;
    let body = json!({
        "lead_id": lead["id"], "text": "hi", "status": "outbox", "remote_phone": "+4943100001",
        "local_phone": "+4940000009"
    });
    let sms = close.make("activity/sms/", body).await;
    close.advance(600.0).await;
    for path in [format!("activity/call/{call}/"), format!("activity/sms/{}/", id(&sms))] {
        let cost = close.get(&path).await.body["cost"].clone();
        assert!(cost.as_str().is_some_and(|cost| cost.parse::<u64>().is_ok_and(|cents| cents > 0)), "{path}: {cost}");
    }
    let deal = close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 125_050 })).await;
    assert_eq!((&deal["value"], &deal["value_formatted"]), (&json!(125_050), &json!("€1,250.50")));
}

/// The new name of a user and of a status on every record that shows it, with neither a new date nor an event.
#[tokio::test]
async fn quirk_20_names_of_users_and_statuses_change_on_records_in_silence() {
    let close = bare().await;
    let lead = lead(&close, "Nordlicht").await;
    let deal = close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 1 })).await;
    let note = close.make("activity/note/", json!({ "lead_id": lead["id"], "note": "x" })).await;
    settle(&close).await;
    let paths = [
        format!("lead/{}/", id(&lead)),
        format!("opportunity/{}/", id(&deal)),
        format!("activity/note/{}/", id(&note)),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(close.get(path).await.body);
    }
    let all = close.get(&format!("event/?lead_id={}", id(&lead))).await.rows().len();
    let user = json!({ "user": lead["created_by"], "first_name": "Noor", "last_name": "Haddad" });
    assert_eq!(close.post("/_control/scenarios/user_rename/", user).await.status, 200);
    put(&close, &format!("status/lead/{}/", lead["status_id"].as_str().unwrap()), json!({ "label": "Warm" })).await;
    put(&close, &format!("status/opportunity/{}/", deal["status_id"].as_str().unwrap()), json!({ "label": "Near" }))
        .await;
    for ((path, before), shown) in paths.iter().zip(&before).zip([
        json!({ "created_by_name": "Noor Haddad", "status_label": "Warm" }),
        json!({ "user_name": "Noor Haddad", "status_label": "Near" }),
        json!({ "user_name": "Noor Haddad", "created_by_name": "Noor Haddad" }),
    ]) {
        let after = close.get(path).await.body;
        for (name, value) in shown.as_object().unwrap() {
            assert_ne!(&before[name], value, "{path} {name}");
            assert_eq!(&after[name], value, "{path} {name}");
        }
        assert_eq!(after["date_updated"], before["date_updated"], "{path}");
    }
    assert_eq!(close.get(&format!("event/?lead_id={}", id(&lead))).await.rows().len(), all);
    let of_user = close.get(&format!("event/?object_id={}&action=updated", lead["created_by"].as_str().unwrap())).await;
    assert_eq!(of_user.rows(), &[] as &[Value]);
}
