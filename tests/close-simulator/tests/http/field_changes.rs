//! Values after their field is deleted or gets another type (sections 5.1 to 5.3; section 12, item 16).

use serde_json::{Value, json};

use crate::{
    client::Close,
    custom_fields::{again, field, id, key, lead, put},
};

/// Section 12, item 16, and section 5.3.
#[tokio::test]
async fn quirk_16_a_deleted_field_vanishes_everywhere_without_events_of_records() {
    let close = Close::bare().await;
    let region = field(&close, "Region", "text", json!({})).await;
    let made = lead(&close, &key(&region), json!("North")).await;
    close.advance(60.0).await;
    let events = close.events_of(id(&made), "lead").await.len();
    assert_eq!(close.delete(&format!("custom_field/lead/{}/", id(&region))).await.status, 200);
    let after = again(&close, &made).await;
    assert_eq!((after.get(key(&region)), &after["date_updated"]), (None, &made["date_updated"]));
    assert_eq!(close.events_of(id(&made), "lead").await.len(), events);
    let deleted = &close.events_of(id(&region), "custom_fields.lead").await[0];
    assert_eq!((&deleted["action"], &deleted["previous_data"]["name"]), (&json!("deleted"), &json!("Region")));
}

/// The values are removed after the retention, which is not visible over HTTP: this test looks inside.
#[tokio::test]
async fn what_records_had_of_a_deleted_field_is_forgotten_past_the_retention() {
    let close = Close::bare().await;
    let region = field(&close, "Region", "text", json!({})).await;
    let made = lead(&close, &key(&region), json!("North")).await;
    close.delete(&format!("custom_field/lead/{}/", id(&region))).await;
    close.advance(32.0 * 86_400.0).await;
    assert_eq!(again(&close, &made).await["date_updated"], made["date_updated"]);
    let world = close.running.simulator.world.read();
    let record = world.store.get(world.parse_id(id(&made)).unwrap()).unwrap();
    assert!(
        record.fields.iter().all(|(key, _)| matches!(key, close_simulator::model::Key::Name(_))),
        "{:?}",
        record.fields
    );
}

#[tokio::test]
async fn deleting_a_field_gives_events_of_records_if_the_switch_says_so() {
    let close = Close::bare().await;
    close.switch(json!({ "field_delete_events": true })).await;
    let region = field(&close, "Region", "text", json!({})).await;
    let made = lead(&close, &key(&region), json!("North")).await;
    close.advance(60.0).await;
    close.delete(&format!("custom_field/lead/{}/", id(&region))).await;
    let event = &close.events_of(id(&made), "lead").await[0];
    assert_eq!((&event["action"], &event["previous_data"][key(&region)]), (&json!("updated"), &json!("North")));
}

/// Section 5.2: renaming a choice rewrites values; a switch adds events.
#[tokio::test]
async fn a_renamed_choice_rewrites_values_in_silence_unless_the_switch_says_otherwise() {
    let close = Close::bare().await;
    let tags =
        field(&close, "Tags", "choices", json!({ "choices": ["A", "B"], "accepts_multiple_values": true })).await;
    let at = format!("custom_field/lead/{}/", id(&tags));
    let made = lead(&close, &key(&tags), json!(["A", "B"])).await;
    close.advance(60.0).await;
    close.put(&at, json!({ "choices": ["Alpha", "B"] })).await;
    let after = again(&close, &made).await;
    assert_eq!((&after[key(&tags)], &after["date_updated"]), (&json!(["Alpha", "B"]), &made["date_updated"]));
    assert_eq!(close.events_of(id(&made), "lead").await.len(), 1);
    // Removing a choice is not a rename: records keep it.
    close.put(&at, json!({ "choices": ["B"] })).await;
    assert_eq!(again(&close, &made).await[key(&tags)], json!(["Alpha", "B"]));
    close.switch(json!({ "choice_rename_events": true })).await;
    close.put(&at, json!({ "choices": ["Beta"] })).await;
    let event = &close.events_of(id(&made), "lead").await[0];
    assert_eq!((&event["action"], &event["data"][key(&tags)]), (&json!("updated"), &json!(["Alpha", "Beta"])));
}

/// Section 5.1: the flag changes the form of the value on every record.
#[tokio::test]
async fn quirk_16_several_values_make_an_array_of_every_value_and_back_the_first_remains() {
    let close = Close::bare().await;
    let scout = field(&close, "Scout", "user", json!({})).await;
    let at = format!("custom_field/lead/{}/", id(&scout));
    let users = close.get("user/").await;
    let (one, two) = (&users.rows()[0]["id"], &users.rows()[1]["id"]);
    let made = lead(&close, &key(&scout), one.clone()).await;
    close.put(&at, json!({ "accepts_multiple_values": true })).await;
    assert_eq!(again(&close, &made).await[key(&scout)], json!([one]));
    put(&close, &made, &format!("{}.add", key(&scout)), two.clone()).await;
    close.put(&at, json!({ "accepts_multiple_values": false })).await;
    assert_eq!(again(&close, &made).await[key(&scout)], *one);
}

/// Section 12, item 16, and section 5.3: a conversion takes time, during which values of both forms are visible.
#[tokio::test]
async fn quirk_16_another_type_is_announced_while_half_of_the_values_still_have_the_old_form() {
    let close = Close::bare().await;
    let size = field(&close, "Size", "text", json!({})).await;
    let at = format!("custom_field/lead/{}/", id(&size));
    let mut leads = Vec::new();
    for value in ["12", "12", "12", "12", "many", "many"] {
        leads.push(lead(&close, &key(&size), json!(value)).await);
    }
    // The clock is stopped, so that the test sees the middle even on a slow machine.
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    let announced = close.put(&at, json!({ "type": "number" })).await;
    assert_eq!(
        (announced.status, &announced.body["type"], &announced.body["converting_to_type"]),
        (200, &json!("text"), &json!("number"))
    );
    assert_eq!(close.put(&at, json!({ "type": "date" })).await.status, 400, "one conversion at a time");
    let mut forms = [0, 0];
    for lead in &leads[..4] {
        let value = again(&close, lead).await[key(&size)].clone();
        assert!(value == json!(12) || value == json!("12"), "{value}");
        forms[usize::from(value.is_number())] += 1;
    }
    assert_eq!(forms, [2, 2]);
    assert_eq!(put(&close, &leads[0], &key(&size), json!("7")).await.status, 400, "new values have the new type");
    assert_eq!(put(&close, &leads[0], &key(&size), json!(7)).await.status, 200);

    close.advance(2.0).await;
    let done = close.get(&at).await.body;
    assert_eq!((&done["type"], &done["converting_to_type"]), (&json!("number"), &Value::Null));
    let mut values = Vec::new();
    for lead in &leads {
        values.push(again(&close, lead).await.get(key(&size)).cloned());
    }
    assert_eq!(values, [Some(json!(7)), Some(json!(12)), Some(json!(12)), Some(json!(12)), None, None]);
    let event = &close.events_of(id(&size), "custom_fields.lead").await[0];
    assert_eq!((&event["action"], &event["data"]["type"]), (&json!("updated"), &json!("number")));
    assert_eq!(close.events_of(id(&leads[1]), "lead").await.len(), 1, "records are converted in silence");
}
