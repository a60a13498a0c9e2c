//! Custom activity types, custom object types, custom objects (section 4.10 and their catalogue rows).

use serde_json::{Value, json};

use crate::client::Close;

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

/// Section 12, items 5 and 15, and catalogue rows `custom_activity_type` and `custom_object_type`.
#[tokio::test]
async fn quirk_05_types_are_created_with_201_deleted_with_204_have_naive_dates_and_events() {
    let close = Close::bare().await;
    for (path, kind, more) in [
        ("custom_activity/", "custom_activity_type", ["api_create_only", "is_archived"]),
        ("custom_object_type/", "custom_object_type", ["name_plural", "back_reference_fields"]),
    ] {
        let made = close.post(path, json!({ "name": "Site", "description": "Where" })).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert!(made.headers.contains_key("location"));
        assert!(!made.body["date_updated"].as_str().unwrap().contains('+'), "{}", made.text);
        assert_eq!(made.body["fields"], json!([]));
        for name in more {
            assert!(made.body.get(name).is_some(), "{name}");
        }
        let list = close.get(path).await;
        assert_eq!((list.rows(), list.body.get("total_results")), (std::slice::from_ref(&made.body), None));
        let at = format!("{path}{}/", id(&made.body));
        close.advance(10.0).await;
        close.put(&at, json!({ "name": "Place" })).await;
        close.advance(10.0).await;
        assert_eq!((close.delete(&at).await.status, close.get(&at).await.status), (204, 404));
        let events = close.events_of(id(&made.body), kind).await;
        let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["deleted", "updated", "created"], "{kind}");
        assert_eq!(events[1]["previous_data"]["name"], "Site");
    }
    assert_eq!(close.post("custom_activity/", json!({})).await.body["field-errors"]["name"], "This field is required.");
}

/// Section 12, items 5 and 12, and catalogue row `custom_object`; item 17 for the lead.
#[tokio::test]
async fn quirk_12_custom_objects_are_listed_per_lead_and_move_its_date() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let site = close.make("custom_object_type/", json!({ "name": "Site" })).await;
    close.advance(60.0).await;
    let body = json!({ "lead_id": lead["id"], "custom_object_type_id": site["id"], "name": "Hall 3" });
    let made = close.post("custom_object/", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let object = made.body;
    assert!(id(&object).starts_with("custobj_"));
    assert!(object["date_created"].as_str().unwrap().ends_with("+00:00"));
    assert_eq!((&object["lead_id"], &object["created_by_name"]), (&lead["id"], &json!("Mara Voss")));

    let bare = close.get("custom_object/").await;
    assert_eq!(bare.status, 400);
    assert!(bare.body["error"].as_str().unwrap().contains("lead_id"), "{}", bare.text);
    let list = close.get(&format!("custom_object/?lead_id={}", id(&lead))).await;
    assert_eq!(list.rows(), std::slice::from_ref(&object));
    let other = close.make("custom_object_type/", json!({ "name": "Machine" })).await;
    let none = close.get(&format!("custom_object/?lead_id={}&custom_object_type_id={}", id(&lead), id(&other))).await;
    assert_eq!(none.rows().len(), 0);

    let at = format!("custom_object/{}/", id(&object));
    close.advance(60.0).await;
    let moved = close.put(&at, json!({ "name": "Hall 4", "custom_object_type_id": other["id"] })).await.body;
    assert_eq!((&moved["name"], &moved["custom_object_type_id"]), (&json!("Hall 4"), &site["id"]), "the type stays");
    let touched = close.get(&format!("lead/{}/", id(&lead))).await.body;
    assert_eq!(touched["date_updated"], moved["date_updated"]);
    close.advance(60.0).await;
    assert_eq!(close.delete(&at).await.status, 204);
    let events = close.events_of(id(&object), "custom_object").await;
    let told: Vec<(&str, &Value)> =
        events.iter().map(|event| (event["action"].as_str().unwrap(), &event["lead_id"])).collect();
    assert_eq!(told, [("deleted", &lead["id"]), ("updated", &lead["id"]), ("created", &lead["id"])]);
    assert_eq!(events[0]["previous_data"]["name"], "Hall 4");
    assert_eq!(close.events_of(id(&lead), "lead").await.len(), 1, "no event of the lead");

    for missing in ["lead_id", "custom_object_type_id", "name"] {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove(missing);
        let reply = close.post("custom_object/", body).await;
        assert_eq!(reply.status, 400, "{missing}");
        assert!(reply.body["field-errors"][missing].is_string(), "{missing}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_object_has_fields_of_its_type_only_and_the_required_ones_at_creation() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let site = close.make("custom_object_type/", json!({ "name": "Site" })).await;
    let machine = close.make("custom_object_type/", json!({ "name": "Machine" })).await;
    let field = |of: &Value, name: &str, required: bool| {
        let body = json!({ "name": name, "type": "text", "custom_object_type_id": of["id"], "required": required });
        let close = &close;
        async move { format!("custom.{}", id(&close.make("custom_field/custom_object_type/", body).await)) }
    };
    let (own, foreign) = (field(&site, "Area", true).await, field(&machine, "Power", false).await);
    let create = |key: &str, value: &str| {
        close.post(
            "custom_object/",
            json!({ "lead_id": lead["id"], "custom_object_type_id": site["id"], "name": "Hall", key: value }),
        )
    };
    let missing = create("unrelated", "x").await;
    assert_eq!(missing.body["field-errors"][&own], "This field is required.", "{}", missing.text);
    assert!(create(&foreign, "x").await.body["field-errors"][&foreign].is_string());
    let made = create(&own, "12 m²").await;
    assert_eq!((made.status, &made.body[&own]), (201, &json!("12 m²")), "{}", made.text);
    let refused = close.put(&format!("custom_object/{}/", id(&made.body)), json!({ foreign.as_str(): "x" })).await;
    assert_eq!(refused.status, 400);

    let shared = close.make("custom_field/shared/", json!({ "name": "Region", "type": "text" })).await;
    let at = format!("custom_field/shared/{}/association/", id(&shared));
    let body = json!({ "object_type": "custom_object_type", "custom_object_type_id": site["id"] });
    assert_eq!(close.post(&at, body).await.body["custom_object_type_id"], site["id"]);
    let region = format!("custom.{}", id(&shared));
    let put = close.put(&format!("custom_object/{}/", id(&made.body)), json!({ region.as_str(): "North" })).await;
    assert_eq!(put.body[&region], "North", "{}", put.text);
    let fields = close.get(&format!("custom_object_type/{}/", id(&site))).await.body["fields"].clone();
    assert_eq!(fields.as_array().unwrap().len(), 2);
    assert_eq!(
        (&fields[0]["required"], &fields[1]["required"], &fields[1]["is_shared"]),
        (&json!(true), &json!(false), &json!(true))
    );

    assert_eq!(close.delete(&format!("custom_object_type/{}/", id(&site))).await.status, 400, "objects have it");
    assert_eq!(close.delete(&format!("{at}custom_object_type/{}/", id(&site))).await.status, 204);
    assert_eq!(close.get(&format!("custom_object/{}/", id(&made.body))).await.body.get(&region), None);
}

#[tokio::test]
async fn a_field_of_objects_refers_to_one_type_within_the_lead_and_shows_there() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let other = close.make("lead/", json!({ "name": "Südlicht" })).await;
    let site = close.make("custom_object_type/", json!({ "name": "Site" })).await;
    let machine = close.make("custom_object_type/", json!({ "name": "Machine" })).await;
    let make = |lead: &Value, of: &Value| {
        let body = json!({ "lead_id": lead["id"], "custom_object_type_id": of["id"], "name": "x" });
        let close = &close;
        async move { close.make("custom_object/", body).await["id"].clone() }
    };
    let body = json!({
        "name": "Main site", "type": "custom_object", "referenced_custom_type_id": site["id"],
        "back_reference_is_visible": true
    });
    let field = close.make("custom_field/lead/", body).await;
    let key = format!("custom.{}", id(&field));
    let path = format!("lead/{}/", id(&lead));
    for (value, status) in [
        (make(&lead, &site).await, 200),
        (make(&lead, &machine).await, 400),
        (make(&other, &site).await, 400),
        (json!("custobj_none"), 400),
    ] {
        let reply = close.put(&path, json!({ key.as_str(): value })).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        assert_eq!(reply.body["field-errors"][&key].is_string(), status == 400);
    }
    let shown = close.get(&format!("custom_object_type/{}/", id(&site))).await.body;
    assert_eq!(shown["back_reference_fields"][0]["id"], field["id"]);
    let refused = close.delete(&format!("custom_object_type/{}/", id(&machine))).await;
    assert_eq!(refused.status, 400);
    let unused = close.make("custom_object_type/", json!({ "name": "Unused" })).await;
    let body = json!({ "name": "Area", "type": "text", "custom_object_type_id": unused["id"] });
    let area = close.make("custom_field/custom_object_type/", body).await;
    assert_eq!(close.delete(&format!("custom_object_type/{}/", id(&unused))).await.status, 204);
    assert_eq!(close.events_of(id(&area), "custom_fields.custom_object").await[0]["action"], "deleted");
}

#[tokio::test]
async fn a_field_of_contacts_takes_contacts_of_the_lead_only() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let other = close.make("lead/", json!({ "name": "Südlicht" })).await;
    let field = close.make("custom_field/lead/", json!({ "name": "Buyer", "type": "contact" })).await;
    let key = format!("custom.{}", id(&field));
    for (of, status) in [(&lead, 200), (&other, 400)] {
        let contact = close.make("contact/", json!({ "lead_id": of["id"], "name": "Ida" })).await;
        let reply = close.put(&format!("lead/{}/", id(&lead)), json!({ key.as_str(): contact["id"] })).await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_type_for_some_roles_is_403_for_others() {
    let close = Close::bare().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let site = close.make("custom_object_type/", json!({ "name": "Site", "editable_with_roles": ["superuser"] })).await;
    let body = json!({ "lead_id": lead["id"], "custom_object_type_id": site["id"], "name": "Hall" });
    for (who, status) in [("agent", 403), ("superuser", 201), ("admin", 201)] {
        let reply = Close::send(close.request(who, reqwest::Method::POST, "custom_object/").json(&body)).await;
        assert_eq!(reply.status, status, "{who}: {}", reply.text);
    }
}
