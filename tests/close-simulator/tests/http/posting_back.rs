//! Objects posted back as they were read (reference, section 1.1: `PUT` changes only fields that differ).

use serde_json::{Value, json};

use crate::client::Close;

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

#[tokio::test]
async fn what_names_a_deleted_contact_can_be_posted_back_whole() {
    let close = Close::bare().await;
    let field = close.make("custom_field/lead/", json!({ "name": "Champion", "type": "contact" })).await;
    let reports = close.make("custom_field/contact/", json!({ "name": "Reports to", "type": "contact" })).await;
    let lead =
        close.make("lead/", json!({ "name": "Nordlicht", "contacts": [{ "name": "Ida" }, { "name": "Bo" }] })).await;
    let ids: Vec<String> = lead["contacts"].as_array().expect("contacts").iter().map(|c| id(c).to_owned()).collect();
    let (gone, stays) = (ids[0].as_str(), ids[1].as_str());
    let lead_path = format!("lead/{}/", id(&lead));
    let champion = format!("custom.{}", id(&field));
    let boss = format!("custom.{}", id(&reports));
    assert_eq!(close.put(&lead_path, json!({ champion.clone(): gone })).await.status, 200);
    let contact_path = format!("contact/{stays}/");
    assert_eq!(close.put(&contact_path, json!({ boss.clone(): gone })).await.status, 200);
    let mut paths = vec![lead_path.clone(), contact_path];
    for (kind, body) in [
        ("opportunity", json!({})),
        ("task", json!({ "text": "call" })),
        ("activity/note", json!({ "note": "n" })),
        ("activity/call", json!({ "status": "completed" })),
    ] {
        let mut body = body;
        body["lead_id"] = lead["id"].clone();
        body["contact_id"] = gone.into();
        let made = close.make(&format!("{kind}/"), body).await;
        paths.push(format!("{kind}/{}/", id(&made)));
    }
    assert_eq!(close.delete(&format!("contact/{gone}/")).await.status, 200);
    for path in &paths {
        let shown = close.get(path).await.body;
        assert!(shown.to_string().contains(gone), "{path} still names the contact");
        let put = close.put(path, shown.clone()).await;
        assert_eq!(put.status, 200, "{path}: {}", put.text);
        assert_eq!(put.body["date_updated"], shown["date_updated"], "{path}");
        let other = close.put(path, json!({ "contact_id": "cont_nobody" })).await;
        let has = !path.starts_with("lead/") && !path.starts_with("contact/");
        assert_eq!(other.status, if has { 400 } else { 200 }, "{path}: {}", other.text);
    }
    // A change beside the old reference is accepted; naming the deleted contact again is refused.
    let mut shown = close.get(&paths[2]).await.body;
    shown["value"] = 4_200.into();
    let put = close.put(&paths[2], shown).await;
    assert_eq!((put.status, &put.body["value"], &put.body["contact_id"]), (200, &json!(4_200), &json!(gone)));
    assert_eq!(close.put(&lead_path, json!({ champion.clone(): Value::Null })).await.status, 200);
    assert_eq!(close.put(&lead_path, json!({ champion: gone })).await.status, 400);
}

#[tokio::test]
async fn a_hidden_field_holds_single_values_only() {
    let close = Close::bare().await;
    let field = close.make("custom_field/lead/", json!({ "name": "external", "type": "hidden" })).await;
    let key = format!("custom.{}", id(&field));
    let lead = close.make("lead/", json!({ key.clone(): "abc" })).await;
    let path = format!("lead/{}/", id(&lead));
    for value in [json!({ "a": 1 }), json!({ "add": "x" }), json!([1])] {
        let reply = close.put(&path, json!({ key.clone(): value })).await;
        assert_eq!(reply.status, 400, "{value}: {}", reply.text);
        assert!(reply.body["field-errors"][&key].is_string(), "{}", reply.text);
    }
    assert_eq!(close.get(&path).await.body[&key], "abc");
    for value in [json!(7), json!(1.5), json!(true), json!("")] {
        assert_eq!(close.put(&path, json!({ key.clone(): value })).await.body[&key], value);
    }
}

#[tokio::test]
async fn custom_fields_can_be_selected_by_name_where_they_are_sent_by_name() {
    let close = Close::bare().await;
    let [one, two] = ["Branch", "Size of it"].map(|name| json!({ "name": name, "type": "text" }));
    let one = close.make("custom_field/lead/", one).await;
    let two = close.make("custom_field/lead/", two).await;
    let [one, two] = [one, two].map(|field| format!("custom.{}", id(&field)));
    let lead = close.make("lead/", json!({ one.clone(): "Shipping", two.clone(): "big" })).await;
    let path = |fields: &str| format!("lead/{}/?_fields={fields}", id(&lead));
    assert_eq!(close.get(&path("custom.Branch")).await.body, json!({}));
    assert_eq!(close.get(&path("custom")).await.body, json!({ one.clone(): "Shipping", two.clone(): "big" }));
    close.switch(json!({ "deprecated_custom_names": true })).await;
    assert_eq!(close.get(&path("custom.Branch")).await.body, json!({ "custom.Branch": "Shipping" }));
    assert_eq!(close.get(&path("name")).await.body, json!({ "name": null }));
    assert_eq!(
        close.get(&path("custom")).await.body,
        json!({
            one: "Shipping", two: "big", "custom.Branch": "Shipping", "custom.Size of it": "big",
            "custom": { "Branch": "Shipping", "Size of it": "big" },
        })
    );
}

#[tokio::test]
async fn an_id_may_be_percent_encoded_in_a_path() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let encoded = id(&lead).replace('_', "%5F");
    assert_eq!(close.get(&format!("lead/{encoded}/")).await.body["id"], lead["id"]);
    assert_eq!(close.delete(&format!("lead/{encoded}/")).await.status, 200);
    let reply = close.get("lead/lead%5Fx%20y/").await;
    assert_eq!((reply.status, reply.body["error"].as_str()), (404, Some("Empty query: {'id': 'lead_x y'}")));
}

#[tokio::test]
async fn opportunities_of_another_organization_are_none() {
    let close = Close::bare().await;
    let made = close.make("opportunity/", json!({ "value": 100 })).await;
    let organization = made["organization_id"].as_str().expect("an id");
    assert_eq!(close.get(&format!("opportunity/?organization_id={organization}")).await.rows().len(), 1);
    let other = close.get("opportunity/?organization_id=orga_other").await;
    assert_eq!((other.rows().len(), &other.body["total_results"]), (0, &json!(0)));
}

#[tokio::test]
async fn an_opportunity_in_its_lead_is_the_whole_opportunity() {
    let close = Close::start().await;
    close
        .make(
            "integration_link/",
            json!({ "name": "Bill", "url": "https://b.example/{{ opportunity.id }}", "type": "opportunity" }),
        )
        .await;
    let lead = close.make("lead/", json!({ "contacts": [{ "emails": [{ "email": "ida@nordlicht.example" }] }] })).await;
    let made = close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 100 })).await;
    close.make("comment/", json!({ "object_id": made["id"], "body": "x" })).await;
    let alone = close.get(&format!("opportunity/{}/", id(&made))).await.body;
    let nested = close.get(&format!("lead/{}/", id(&lead))).await.body["opportunities"][0].clone();
    assert_eq!(alone["comment_summary"]["comment_count"], 1);
    assert_eq!(nested, alone);
}

/// Section 4.4: the fields of single types, null if unknown.
#[tokio::test]
async fn each_system_task_has_the_fields_of_its_type_and_no_others() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let due = close.make("opportunity/", json!({ "lead_id": lead["id"], "value": 100 })).await;
    let call = ["phone", "phone_formatted", "phone_number_description", "local_phone"];
    let every: &[(&str, &[&str])] = &[
        ("incoming_email", &["subject", "body_preview", "emails", "cleared_followups"]),
        ("email_followup", &["email_id", "subject", "body_preview", "total_emails_count_in_thread"]),
        ("missed_call", &call),
        ("answered_detached_call", &call),
        (
            "voicemail",
            &[
                "phone",
                "phone_formatted",
                "phone_number_description",
                "local_phone",
                "voicemail_url",
                "voicemail_duration",
            ],
        ),
        (
            "opportunity_due",
            &["opportunity_value", "opportunity_value_formatted", "opportunity_value_period", "opportunity_note"],
        ),
        (
            "incoming_sms",
            &["local_phone", "remote_phone", "remote_phone_formatted", "remote_phone_description", "text"],
        ),
        ("outgoing_call", &["sequence_id", "sequence_subscription_id", "step_id", "agent_config_id"]),
    ];
    for (ty, own) in every {
        let object = if *ty == "opportunity_due" { due["id"].clone() } else { Value::Null };
        let task = crate::activities::perform(
            &close,
            json!({ "action": "raise_task", "type": ty, "lead_id": lead["id"], "object_id": object }),
        )
        .await;
        let shown = close.get(&format!("task/{task}/")).await.body;
        for (_, names) in every {
            for name in *names {
                assert_eq!(shown.get(name).is_some(), own.contains(name), "{ty}: {name} in {shown}");
            }
        }
    }
}

/// Section 9.2: changing another user's object needs the permission for the team's.
#[tokio::test]
async fn a_private_smart_view_or_template_is_changed_by_its_user_and_those_who_may() {
    let close = Close::bare().await;
    for (path, body) in [
        ("saved_search/", json!({ "name": "mine", "query": "*" })),
        ("email_template/", json!({ "name": "mine", "subject": "s" })),
        ("sms_template/", json!({ "name": "mine", "text": "s" })),
    ] {
        let made = Close::send(close.request("agent", reqwest::Method::POST, path).json(&body)).await.body;
        let path = format!("{path}{}/", id(&made));
        for (key, status) in [("restricted", 403), ("agent", 200), ("superuser", 200)] {
            let put = close.request(key, reqwest::Method::PUT, &path).json(&json!({ "name": key }));
            assert_eq!(Close::send(put).await.status, status, "{key} {path}");
        }
        let gone = Close::send(close.request("second", reqwest::Method::DELETE, &path)).await;
        assert_eq!(gone.status, 403, "{path}");
        let gone = Close::send(close.request("agent", reqwest::Method::DELETE, &path)).await;
        assert!(gone.status < 300, "{path}: {}", gone.text);
    }
}
