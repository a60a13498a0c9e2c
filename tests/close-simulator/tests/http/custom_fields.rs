//! Custom fields: definitions and values (section 5; section 12, item 16; catalogue rows `custom_fields.*`).

use serde_json::{Value, json};

use crate::client::{Close, Reply};

pub fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

pub fn key(field: &Value) -> String {
    format!("custom.{}", id(field))
}

pub async fn field(close: &Close, name: &str, ty: &str, more: Value) -> Value {
    let mut body = json!({ "name": name, "type": ty });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    close.make("custom_field/lead/", body).await
}

pub async fn lead(close: &Close, key: &str, value: Value) -> Value {
    close.make("lead/", json!({ "name": "Nordlicht", key: value })).await
}

pub async fn again(close: &Close, lead: &Value) -> Value {
    close.get(&format!("lead/{}/", id(lead))).await.body
}

pub async fn put(close: &Close, lead: &Value, key: &str, value: Value) -> Reply {
    close.put(&format!("lead/{}/", id(lead)), json!({ key: value })).await
}

#[tokio::test]
async fn a_definition_has_all_members_and_the_older_path_serves_the_same() {
    let close = Close::bare().await;
    let made =
        field(&close, "Tags", "choices", json!({ "choices": ["A", "B"], "accepts_multiple_values": true })).await;
    assert!(id(&made).starts_with("cf_"));
    for (name, value) in [
        ("description", Value::Null),
        ("choices", json!(["A", "B"])),
        ("accepts_multiple_values", json!(true)),
        ("editable_with_roles", json!([])),
        ("referenced_custom_type_id", Value::Null),
        ("back_reference_is_visible", json!(false)),
        ("is_shared", json!(false)),
        ("converting_to_type", Value::Null),
    ] {
        assert_eq!(made.get(name), Some(&value), "{name}");
    }
    for name in ["associations", "custom_activity_type_id", "custom_object_type_id", "required"] {
        assert_eq!(made.get(name), None, "{name}");
    }
    assert!(made["date_updated"].as_str().unwrap().ends_with("+00:00"));
    let path = format!("custom_fields/lead/{}/", id(&made));
    assert_eq!(close.get(&path).await.body, made);
    assert_eq!(close.get(&format!("custom_field/contact/{}/", id(&made))).await.status, 404);
    let list = close.get("custom_fields/lead/?_limit=1000").await;
    assert_eq!((list.rows().len(), &list.body["has_more"]), (2, &json!(false)));
    let copy = close.make("custom_field/lead/", made.clone()).await;
    assert_ne!(copy["id"], made["id"], "a definition that is posted back whole is a new one");
}

#[tokio::test]
async fn what_a_definition_cannot_be_is_said_by_field() {
    let close = Close::bare().await;
    for (kind, body, name) in [
        ("lead", json!({ "type": "text" }), "name"),
        ("lead", json!({ "name": "a" }), "type"),
        ("lead", json!({ "name": "a", "type": "colour" }), "type"),
        ("lead", json!({ "name": "a", "type": "textarea" }), "type"),
        ("lead", json!({ "name": "a", "type": "choices" }), "choices"),
        ("lead", json!({ "name": "a", "type": "choices", "choices": ["A", "A"] }), "choices"),
        ("lead", json!({ "name": "a", "type": "text", "accepts_multiple_values": true }), "accepts_multiple_values"),
        ("lead", json!({ "name": "a", "type": "text", "description": "d".repeat(281) }), "description"),
        ("lead", json!({ "name": "a", "type": "custom_object" }), "referenced_custom_type_id"),
        ("activity", json!({ "name": "a", "type": "text" }), "custom_activity_type_id"),
        ("custom_object_type", json!({ "name": "a", "type": "text" }), "custom_object_type_id"),
    ] {
        let reply = close.post(&format!("custom_field/{kind}/"), body.clone()).await;
        assert_eq!(reply.status, 400, "{kind} {body}");
        assert!(!reply.body["field-errors"][name].is_null(), "{kind} {body}: {}", reply.text);
    }
}

/// Section 12, item 5, and the catalogue rows `custom_fields.{lead,contact,opportunity,activity,custom_object,shared}`.
#[tokio::test]
async fn every_kind_of_field_has_events_of_its_own_type() {
    let close = Close::bare().await;
    let activity = close.make("custom_activity/", json!({ "name": "Visit" })).await;
    let object = close.make("custom_object_type/", json!({ "name": "Site" })).await;
    for (path, object_type, created, deleted) in [
        ("lead", "custom_fields.lead", 200, 200),
        ("contact", "custom_fields.contact", 200, 200),
        ("opportunity", "custom_fields.opportunity", 200, 200),
        ("activity", "custom_fields.activity", 200, 200),
        ("custom_object_type", "custom_fields.custom_object", 201, 204),
        ("shared", "custom_fields.shared", 200, 200),
    ] {
        let body = json!({
            "name": "Region", "type": "text", "custom_activity_type_id": activity["id"],
            "custom_object_type_id": object["id"]
        });
        let made = close.post(&format!("custom_field/{path}/"), body).await;
        assert_eq!(made.status, created, "{path}: {}", made.text);
        let at = format!("custom_field/{path}/{}/", id(&made.body));
        close.advance(10.0).await;
        assert_eq!(close.put(&at, json!({ "name": "Area" })).await.body["name"], "Area");
        close.advance(10.0).await;
        assert_eq!((close.delete(&at).await.status, close.get(&at).await.status), (deleted, 404), "{path}");
        let events = close.events_of(id(&made.body), object_type).await;
        let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["deleted", "updated", "created"], "{path}");
        assert_eq!(events[1]["changed_fields"], json!(["name", "date_updated"]), "{path}");
    }
}

#[tokio::test]
async fn each_type_keeps_its_form_and_refuses_another() {
    let close = Close::bare().await;
    let user = close.get("me/").await.body["id"].clone();
    for (ty, more, good, shown, bad) in [
        ("text", json!({}), json!("größer"), json!("größer"), json!(5)),
        ("number", json!({}), json!(2.5), json!(2.5), json!("many")),
        ("date", json!({}), json!("2026-02-03"), json!("2026-02-03"), json!("soon")),
        ("datetime", json!({}), json!("2026-02-03T10:00:00+02:00"), json!("2026-02-03T08:00:00+00:00"), json!("soon")),
        ("choices", json!({ "choices": ["A", "B"] }), json!("B"), json!("B"), json!("C")),
        ("user", json!({}), user.clone(), user.clone(), json!("user_nobody")),
        ("hidden", json!({}), json!(-7.5), json!(-7.5), json!({ "any": [1, null] })),
    ] {
        let field = field(&close, ty, ty, more).await;
        let made = lead(&close, &key(&field), good).await;
        assert_eq!(made[key(&field)], shown, "{ty}");
        if !bad.is_null() {
            let reply = put(&close, &made, &key(&field), bad).await;
            assert_eq!(reply.status, 400, "{ty}");
            assert!(reply.body["field-errors"][key(&field)].is_string(), "{ty}: {}", reply.text);
        }
    }
    assert_eq!(close.post("lead/", json!({ "name": "a", "custom.cf_unknown": 1 })).await.status, 400);
}

#[tokio::test]
async fn a_user_field_may_name_a_former_user() {
    let close = Close::bare().await;
    let organization = close.get("me/").await.body["organizations"][0]["id"].as_str().unwrap().to_owned();
    let former =
        close.get(&format!("organization/{organization}/")).await.body["inactive_memberships"][0]["user_id"].clone();
    let field = field(&close, "Scout", "user", json!({})).await;
    assert_eq!(lead(&close, &key(&field), former.clone()).await[key(&field)], former);
}

/// Section 12, item 16: unset is absent, in the object and in the event of its clearing.
#[tokio::test]
async fn quirk_16_a_cleared_value_is_absent_and_the_event_has_it_in_previous_data_only() {
    let close = Close::bare().await;
    let field = field(&close, "Region", "text", json!({})).await;
    let made = lead(&close, &key(&field), json!("North")).await;
    close.advance(60.0).await;
    let cleared = put(&close, &made, &key(&field), Value::Null).await;
    assert_eq!((cleared.status, cleared.body.get(key(&field))), (200, None));
    let event = &close.events_of(id(&made), "lead").await[0];
    assert!(event["changed_fields"].as_array().unwrap().contains(&json!(key(&field))), "{event}");
    assert_eq!((&event["previous_data"][key(&field)], event["data"].get(key(&field))), (&json!("North"), None));
}

#[tokio::test]
async fn quirk_16_members_are_added_and_removed_and_one_value_is_a_list_of_one() {
    let close = Close::bare().await;
    let tags =
        field(&close, "Tags", "choices", json!({ "choices": ["A", "B", "C"], "accepts_multiple_values": true })).await;
    let at = key(&tags);
    let made = lead(&close, &format!("{at}.add"), json!("A")).await;
    assert_eq!(made[&at], json!(["A"]), "at creation as well");
    assert_eq!(put(&close, &made, &format!("{at}.add"), json!(["B", "A"])).await.body[&at], json!(["A", "B"]));
    let both = json!({ format!("{at}.add"): "C", format!("{at}.remove"): ["A"] });
    assert_eq!(close.put(&format!("lead/{}/", id(&made)), both).await.body[&at], json!(["B", "C"]));
    assert_eq!(put(&close, &made, &at, json!("A")).await.body[&at], json!(["A"]));
    assert_eq!(put(&close, &made, &format!("{at}.remove"), json!("A")).await.body.get(&at), None);
    let single = field(&close, "One", "text", json!({})).await;
    assert_eq!(put(&close, &made, &format!("{}.add", key(&single)), json!("x")).await.status, 400);
}

/// Section 5.1: old clients still write the deprecated forms, which a switch shows.
#[tokio::test]
async fn fields_can_be_set_by_name_and_the_id_counts_where_both_are_given() {
    let close = Close::bare().await;
    let region = field(&close, "Region", "text", json!({})).await;
    let made = lead(&close, "custom", json!({ "Region": "North" })).await;
    assert_eq!(made[key(&region)], "North");
    assert_eq!(put(&close, &made, "custom.Region", json!("South")).await.body[key(&region)], "South");
    let both = json!({ key(&region): "East", "custom.Region": "West", "custom": { "Region": "Up" } });
    assert_eq!(close.put(&format!("lead/{}/", id(&made)), both).await.body[key(&region)], "East");
    let unknown = put(&close, &made, "custom.Nothing", json!(1)).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.body["field-errors"]["custom.Nothing"].is_string(), "{}", unknown.text);

    assert_eq!(again(&close, &made).await.get("custom"), None);
    close.switch(json!({ "deprecated_custom_names": true })).await;
    let shown = again(&close, &made).await;
    assert_eq!((&shown["custom"], &shown["custom.Region"]), (&json!({ "Region": "East" }), &json!("East")));
    let back = close.put(&format!("lead/{}/", id(&made)), shown.clone()).await;
    assert_eq!((back.status, &back.body[key(&region)]), (200, &json!("East")), "posted back whole");
}

#[tokio::test]
async fn a_shared_field_is_used_where_it_is_associated_and_nowhere_else() {
    let close = Close::bare().await;
    let shared = close.make("custom_field/shared/", json!({ "name": "Region", "type": "text" })).await;
    assert_eq!((&shared["is_shared"], &shared["associations"]), (&json!(true), &json!([])));
    assert!(!close.get("custom_field/lead/").await.text.contains(id(&shared)), "lists of a kind have no shared fields");
    let refused = close.post("lead/", json!({ "name": "a", key(&shared): "North" })).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body["field-errors"][key(&shared)].is_string(), "{}", refused.text);

    let at = format!("custom_field/shared/{}/association/", id(&shared));
    // The path of a client that appends a slash to a path that already has one.
    let made = close.post(&format!("{at}/"), json!({ "object_type": "lead" })).await;
    assert_eq!(
        (made.status, made.body),
        (201, json!({ "object_type": "lead", "required": false, "editable_with_roles": [] }))
    );
    assert_eq!(close.post(&at, json!({ "object_type": "lead" })).await.status, 400, "twice");
    assert_eq!(close.post(&at, json!({ "object_type": "user" })).await.status, 400);
    assert_eq!(close.post(&at, json!({ "object_type": "custom_object_type" })).await.status, 400);
    let north = lead(&close, &key(&shared), json!("North")).await;
    assert_eq!(north[key(&shared)], "North");
    let changed = close.put(&format!("{at}lead/"), json!({ "required": true })).await;
    assert_eq!(changed.body["required"], true);
    assert_eq!(close.get(&format!("{at}lead/")).await.body["required"], true);
    assert_eq!(close.post("lead/", json!({ "name": "a" })).await.status, 400, "required of new leads");

    let schema = close.get("custom_field_schema/lead/").await.body;
    let fields = schema["fields"].as_array().unwrap();
    let here = fields.iter().find(|field| field["id"] == shared["id"]).expect("shared fields are in the schema");
    assert_eq!((&here["required"], &here["is_shared"]), (&json!(true), &json!(true)));

    let gone = close.delete(&format!("{at}lead/")).await;
    assert_eq!((gone.status, close.get(&format!("{at}lead/")).await.status), (204, 404));
    assert_eq!(again(&close, &north).await.get(key(&shared)), None);
    assert_eq!(close.events_of(id(&shared), "custom_fields.shared").await[0]["data"]["associations"], json!([]));
}

#[tokio::test]
async fn a_schema_has_the_fields_in_an_order_that_can_be_changed() {
    let close = Close::bare().await;
    let first = field(&close, "First", "text", json!({})).await;
    let second = field(&close, "Second", "text", json!({})).await;
    let schema = close.get("custom_field_schema/lead/").await.body;
    assert_eq!((&schema["name"], &schema["object_type"]), (&json!("Lead"), &json!("lead")));
    let names = |schema: &Value| -> Vec<Value> {
        schema["fields"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect()
    };
    assert_eq!(names(&schema), ["Owner", "First", "Second"]);
    let order = json!({ "fields": [{ "id": second["id"] }, { "id": first["id"] }, schema["fields"][0]] });
    assert_eq!(names(&close.put("custom_field_schema/lead/", order).await.body), ["Second", "First", "Owner"]);
    assert_eq!(names(&close.get("custom_field_schema/lead/").await.body), ["Second", "First", "Owner"]);
    assert_eq!(
        close.put("custom_field_schema/contact/", json!({ "fields": [{ "id": first["id"] }] })).await.status,
        400
    );
    for path in ["activity", "custom_object", "user", "activity/actitype_0"] {
        assert_eq!(close.get(&format!("custom_field_schema/{path}/")).await.status, 404, "{path}");
    }

    let visit = close.make("custom_activity/", json!({ "name": "Visit" })).await;
    let body = json!({ "name": "Notes", "type": "textarea", "custom_activity_type_id": visit["id"], "required": true });
    let notes = close.make("custom_field/activity//", body).await;
    assert_eq!((&notes["required"], &notes["custom_activity_type_id"]), (&json!(true), &visit["id"]));
    let schema = close.get(&format!("custom_field_schema/activity/{}/", id(&visit))).await.body;
    assert_eq!((&schema["name"], &schema["custom_activity_type_id"]), (&json!("Visit"), &visit["id"]));
    assert_eq!(schema["fields"], json!([notes]));
    let shown = close.get(&format!("custom_activity/{}/", id(&visit))).await.body;
    assert_eq!(shown["fields"], json!([notes]));
}

#[tokio::test]
async fn a_field_for_some_roles_is_403_for_others() {
    let close = Close::bare().await;
    let budget = field(&close, "Budget", "number", json!({ "editable_with_roles": ["superuser"] })).await;
    let made = lead(&close, &key(&budget), json!(5)).await;
    let path = format!("lead/{}/", id(&made));
    let put = |who: &'static str| {
        Close::send(close.request(who, reqwest::Method::PUT, &path).json(&json!({ key(&budget): 6 })))
    };
    assert_eq!(put("agent").await.status, 403);
    assert_eq!(put("superuser").await.status, 200);
}
