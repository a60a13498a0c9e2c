//! Sections 4.5 and 4.6: what all activities have in common, and notes, messages, custom activities, forms.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Close, Reply};

/// A lead and a contact of it.
pub async fn lead(close: &Close) -> (String, String) {
    let lead = text(&close.make("lead/", json!({ "name": "Nordlicht" })).await["id"]);
    let contact = text(&close.make("contact/", json!({ "lead_id": lead, "name": "Ida Brandt" })).await["id"]);
    (lead, contact)
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// What happens without a caller of the API.
pub async fn perform(close: &Close, body: Value) -> String {
    let reply = close.post("/_control/perform/", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    text(&reply.body["id"])
}

/// The actions of an object's events, oldest first.
pub async fn actions(close: &Close, id: &str, object_type: &str) -> Vec<String> {
    close.events_of(id, object_type).await.iter().rev().map(|event| text(&event["action"])).collect()
}

pub fn ids(reply: &Reply) -> Vec<String> {
    reply.rows().iter().map(|row| text(&row["id"])).collect()
}

/// Every documented field of a type, beside the base fields.
const FIELDS: &[(&str, &[&str])] = &[
    ("note", &["note", "note_html", "title", "pinned", "pinned_at", "attachments"]),
    (
        "sms",
        &[
            "direction",
            "status",
            "text",
            "local_phone",
            "local_phone_formatted",
            "local_country_iso",
            "remote_phone",
            "remote_phone_formatted",
            "remote_country_iso",
            "date_sent",
            "date_scheduled",
            "error_message",
            "cost",
            "source",
            "attachments",
            "template_id",
            "sequence_id",
            "sequence_name",
            "sequence_subscription_id",
            "agent_config_id",
        ],
    ),
    (
        "whatsapp_message",
        &[
            "direction",
            "external_whatsapp_message_id",
            "message_markdown",
            "message_html",
            "text",
            "local_phone",
            "local_phone_formatted",
            "remote_phone",
            "remote_phone_formatted",
            "attachments",
            "response_to_id",
            "integration_link",
            "integration_name",
            "source",
        ],
    ),
    (
        "form_submission",
        &[
            "form_id",
            "form_configuration_id",
            "form_name",
            "values",
            "values_by_name",
            "ip_address",
            "origin",
            "source_url",
            "source_url_normalized",
        ],
    ),
    ("import_update", &["import_id", "reverted"]),
];

const BASE: &[&str] = &[
    "_type",
    "id",
    "organization_id",
    "lead_id",
    "contact_id",
    "user_id",
    "user_name",
    "users",
    "created_by",
    "created_by_name",
    "updated_by",
    "updated_by_name",
    "date_created",
    "date_updated",
    "activity_at",
];

pub fn has_fields(row: &Value, fields: &[&str]) {
    for name in BASE.iter().chain(fields) {
        assert!(row.get(name).is_some(), "{name} is missing in {row}");
    }
}

#[tokio::test]
async fn every_type_has_its_documented_fields_in_lists_and_by_id() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    close.make("activity/note/", json!({ "lead_id": lead, "note": "hello" })).await;
    close.make("activity/sms/", json!({ "lead_id": lead, "text": "hi", "remote_phone": "+4943100001" })).await;
    let whatsapp =
        json!({ "lead_id": lead, "contact_id": contact, "external_whatsapp_message_id": "wamid.1", "message_markdown": "*hi*" });
    close.make("activity/whatsapp_message/", whatsapp).await;
    perform(
        &close,
        json!({ "action": "receive_form", "lead_id": lead, "values": { "Email": "a@b.example", "News": true, "Why": null } }),
    )
    .await;
    perform(&close, json!({ "action": "mark_import", "lead_id": lead })).await;
    for (path, fields) in FIELDS {
        let reply = close.get(&format!("activity/{path}/?lead_id={lead}")).await;
        assert_eq!(reply.rows().len(), 1, "{path}: {}", reply.text);
        has_fields(&reply.rows()[0], fields);
        let one = close.get(&format!("activity/{path}/{}/", text(&reply.rows()[0]["id"]))).await;
        assert_eq!((one.status, &one.body), (200, &reply.rows()[0]), "{path}");
        assert_eq!(reply.body["has_more"], json!(false));
        assert!(reply.body.get("total_results").is_none(), "{path}");
    }
}

// Quirk 11, first part.
#[tokio::test]
async fn the_list_of_all_activities_refuses_type_user_and_contact_without_a_lead() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let note = close.make("activity/note/", json!({ "lead_id": lead, "note": "x", "contact_id": contact })).await;
    let user = text(&note["user_id"]);
    for filter in [
        "_type=Note".to_owned(),
        "_type__in=Note,Call".to_owned(),
        format!("user_id={user}"),
        format!("user_id__in={user}"),
        format!("contact_id={contact}"),
    ] {
        let reply = close.get(&format!("activity/?{filter}")).await;
        assert_eq!((reply.status, reply.body["error"].is_string()), (400, true), "{filter}: {}", reply.text);
        let reply = close.get(&format!("activity/?{filter}&lead_id={lead}")).await;
        assert_eq!(ids(&reply), [text(&note["id"])], "{filter}");
    }
    // The list of one type takes them alone.
    for filter in [format!("user_id={user}"), format!("contact_id={contact}"), "_type=Note".to_owned()] {
        assert_eq!(ids(&close.get(&format!("activity/note/?{filter}")).await), [text(&note["id"])], "{filter}");
    }
    assert!(ids(&close.get("activity/note/?_type=Call").await).is_empty());
}

// Quirk 11, second part.
#[tokio::test]
async fn date_filters_compare_to_the_second_and_date_updated_is_no_filter() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let make = |date: &str| close.make("activity/note/", json!({ "lead_id": lead, "note": date, "date_created": date }));
    let early = text(&make("2026-05-01T10:00:00.250+00:00").await["id"]);
    let late = text(&make("2026-05-01T10:00:01.750+00:00").await["id"]);
    let found = async |filter: &str| ids(&close.get(&format!("activity/note/?{filter}")).await);
    assert_eq!(found("date_created__gt=2026-05-01T10:00:00Z").await, [late.clone()]);
    assert_eq!(found("date_created__gte=2026-05-01T10:00:00.9Z").await, [late.clone(), early.clone()]);
    assert_eq!(found("date_created__lte=2026-05-01T10:00:01Z").await, [late.clone(), early.clone()]);
    assert_eq!(found("date_created__lt=2026-05-01T10:00:01.9Z").await, [early.clone()]);
    assert_eq!(found("activity_at__gt=2026-05-01T10:00:00Z").await, [late.clone()]);
    assert_eq!(found("date_updated__gt=2030-01-01&date_updated__lt=2000-01-01").await, [late.clone(), early.clone()]);
    assert_eq!(close.get("activity/note/?date_created__gt=soon").await.status, 400);
    for one in [&early, &late] {
        assert_eq!(found(&format!("id__in={one}")).await, [one.clone()]);
    }
}

// Quirk 11, third part.
#[tokio::test]
async fn the_order_is_newest_first_whatever_is_asked_and_by_activity_at_with_one_lead_only() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let make = |created: &str, at: &str| {
        close.make("activity/note/", json!({ "lead_id": lead, "note": "n", "date_created": created, "activity_at": at }))
    };
    let a = text(&make("2026-05-01T10:00:00Z", "2026-05-09T10:00:00Z").await["id"]);
    let b = text(&make("2026-05-02T10:00:00Z", "2026-05-08T10:00:00Z").await["id"]);
    for order in ["", "_order_by=-date_created", "_order_by=date_created", "_order_by=activity_at", "_order_by=id"] {
        for path in ["activity/", "activity/note/"] {
            assert_eq!(
                ids(&close.get(&format!("{path}?lead_id={lead}&{order}")).await),
                [b.clone(), a.clone()],
                "{path} {order}"
            );
        }
    }
    for path in ["activity/", "activity/note/"] {
        assert_eq!(ids(&close.get(&format!("{path}?lead_id={lead}&_order_by=-activity_at")).await), [a.clone(), b.clone()]);
        assert_eq!(close.get(&format!("{path}?_order_by=-activity_at")).await.status, 400, "{path}");
    }
    // Only the date that is sorted by can bound the list of all.
    assert_eq!(close.get("activity/?activity_at__gt=2026-05-01").await.status, 400);
    assert_eq!(
        close.get(&format!("activity/?lead_id={lead}&_order_by=-activity_at&date_created__gt=2026-05-01")).await.status,
        400
    );
    let reply = close.get(&format!("activity/?lead_id={lead}&_order_by=-activity_at&activity_at__gt=2026-05-08T12:00:00Z")).await;
    assert_eq!(ids(&reply), [a]);
}

// Quirk 7: the number is in the message.
#[tokio::test]
async fn pages_end_at_100_rows_and_at_a_skip_of_250000() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    for n in 0..3 {
        close.make("activity/note/", json!({ "lead_id": lead, "note": format!("{n}") })).await;
    }
    for path in ["activity/", "activity/note/", "activity/email/", "activity/custom/"] {
        let reply = close.get(&format!("{path}?_limit=101")).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(text(&reply.body["error"]).contains("max_limit = 100"), "{}", reply.text);
        let reply = close.get(&format!("{path}?_skip=250001")).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(text(&reply.body["error"]).contains("max_skip = 250000"), "{}", reply.text);
    }
    let page = close.get("activity/note/?_limit=2").await;
    assert_eq!((page.rows().len(), &page.body["has_more"]), (2, &json!(true)));
    let page = close.get("activity/note/?_limit=2&_skip=2&_fields=id,_type").await;
    assert_eq!((page.rows().len(), &page.body["has_more"]), (1, &json!(false)));
    assert_eq!(page.rows()[0].as_object().unwrap().len(), 2);
    let none = close.get("activity/note/?_limit=0").await;
    assert_eq!((none.rows().len(), &none.body["has_more"]), (0, &json!(true)));
}

// Catalogue: activity.note.
#[tokio::test]
async fn a_note_is_created_updated_and_deleted() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let file = json!({ "url": "https://app.close.com/go/file/1/", "filename": "a.pdf", "content_type": "application/pdf" });
    let body = json!({ "lead_id": lead, "contact_id": contact, "title": "First", "note": "a < b\nc", "attachments": [file] });
    let note = close.make("activity/note/", body).await;
    assert_eq!(note["_type"], "Note");
    assert_eq!(note["note_html"], "<p>a &lt; b</p><p>c</p>");
    assert_eq!(note["attachments"][0]["thumbnail_url"], json!(null));
    assert_eq!((&note["user_name"], &note["users"]), (&json!("Mara Voss"), &json!([note["user_id"]])));
    assert_eq!(note["activity_at"], note["date_created"]);
    let id = text(&note["id"]);
    let path = format!("activity/note/{id}/");
    close.advance(10.0).await;
    let reply = close.put(&path, json!({ "note_html": "<p>new <b>text</b></p>", "pinned": true })).await;
    assert_eq!((&reply.body["note"], &reply.body["pinned"]), (&json!("new text"), &json!(true)), "{}", reply.text);
    assert_eq!(reply.body["pinned_at"], reply.body["date_updated"]);
    assert_eq!(close.put(&path, json!({ "pinned": false })).await.body["pinned_at"], json!(null));
    // The whole object posted back changes nothing.
    let whole = close.get(&path).await.body;
    assert_eq!(close.put(&path, whole.clone()).await.body, whole);
    let reply = close.delete(&path).await;
    assert_eq!((reply.status, reply.body), (200, json!({})));
    assert_eq!(close.get(&path).await.status, 404);
    assert_eq!(actions(&close, &id, "activity.note").await, ["created", "updated", "deleted"]);
    let events = close.events_of(&id, "activity.note").await;
    assert_eq!((&events[0]["data"], &events[0]["previous_data"]["note"]), (&json!(null), &json!("new text")));
    assert_eq!(events[1]["previous_data"]["note"], "a < b\nc");
}

#[tokio::test]
async fn an_activity_needs_a_lead_that_exists_and_a_contact_of_it() {
    let close = Close::start().await;
    let (lead_id, _) = lead(&close).await;
    let (_, stranger) = lead(&close).await;
    for (body, field) in [
        (json!({ "note": "x" }), "lead_id"),
        (json!({ "note": "x", "lead_id": null }), "lead_id"),
        (json!({ "note": "x", "lead_id": "lead_nonesuch" }), "lead_id"),
        (json!({ "note": "x", "lead_id": lead_id, "contact_id": stranger }), "contact_id"),
        (json!({ "note": "x", "lead_id": lead_id, "user_id": lead_id }), "user_id"),
        (json!({ "note": 1, "lead_id": lead_id }), "note"),
        (json!({ "note": "x", "lead_id": lead_id, "date_created": "yesterday" }), "date_created"),
    ] {
        let reply = close.post("activity/note/", body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.body["field-errors"].get(field).is_some(), "{body}: {}", reply.text);
    }
    assert!(close.get("activity/note/").await.rows().is_empty());
}

// Quirk 17: the lead moves and says nothing.
#[tokio::test]
async fn every_write_of_an_activity_moves_the_lead_without_an_event() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let stamp = async || text(&close.get(&format!("lead/{lead}/")).await.body["date_updated"]);
    let mut before = stamp().await;
    close.advance(60.0).await;
    let events = close.events_of(&lead, "lead").await.len();
    let note = close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await;
    let path = format!("activity/note/{}/", text(&note["id"]));
    for step in 0..3 {
        let now = stamp().await;
        assert!(now > before, "step {step}");
        before = now;
        close.advance(60.0).await;
        match step {
            0 => close.put(&path, json!({ "note": "y" })).await,
            1 => close.delete(&path).await,
            _ => continue,
        };
    }
    assert_eq!(close.events_of(&lead, "lead").await.len(), events);
}

#[tokio::test]
async fn others_activities_need_a_permission_and_so_does_deleting_ones_own() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let theirs = text(&close.make("activity/note/", json!({ "lead_id": lead, "note": "x" })).await["id"]);
    let as_agent = |method, path: String, body: Value| Close::send(close.request("agent", method, &path).json(&body));
    let own = as_agent(Method::POST, "activity/note/".to_owned(), json!({ "lead_id": lead, "note": "mine" })).await;
    assert_eq!(own.status, 200, "{}", own.text);
    let own = text(&own.body["id"]);
    for (id, put, delete) in [(&theirs, 403, 403), (&own, 200, 200)] {
        let path = format!("activity/note/{id}/");
        assert_eq!(as_agent(Method::PUT, path.clone(), json!({ "note": "z" })).await.status, put);
        assert_eq!(as_agent(Method::DELETE, path, json!({})).await.status, delete);
    }
    let reply = close.put(&format!("activity/note/{theirs}/"), json!({ "note": "by an admin" })).await;
    assert_eq!(reply.status, 200);
}

// Catalogue: activity.sms. Quirk 19: cost is text.
#[tokio::test]
async fn an_sms_is_scheduled_sent_updated_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let body = json!({ "lead_id": lead, "text": "x".repeat(200), "status": "scheduled", "remote_phone": "+4943100001", "local_phone": "+4940000009" });
    let reply = close.post("activity/sms/", body.clone()).await;
    assert_eq!((reply.status, reply.body["field-errors"].get("date_scheduled").is_some()), (400, true), "{}", reply.text);
    let mut body = body;
    body["date_scheduled"] = json!("2026-09-01T13:00:00+00:00");
    let sms = close.make("activity/sms/", body).await;
    assert_eq!((&sms["_type"], &sms["direction"], &sms["cost"]), (&json!("SMS"), &json!("outbound"), &json!(null)));
    assert_eq!((&sms["remote_phone_formatted"], &sms["remote_country_iso"]), (&json!("+49 431 00001"), &json!("DE")));
    let id = text(&sms["id"]);
    let path = format!("activity/sms/{id}/");
    close.advance(3599.0 - 30.0).await;
    assert_eq!(close.get(&path).await.body["status"], "scheduled");
    close.advance(60.0).await;
    let sent = close.get(&path).await.body;
    assert_eq!(
        (&sent["status"], &sent["cost"], &sent["date_sent"]),
        (&json!("sent"), &json!("2"), &json!("2026-09-01T13:00:00+00:00"))
    );
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.sms").await, ["created", "updated", "sent", "deleted"]);
}

#[tokio::test]
async fn a_logged_sms_is_not_sent_and_an_incoming_one_is_inbound() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let logged = close.make("activity/sms/", json!({ "lead_id": lead, "text": "hi", "status": "sent", "remote_phone": "+1", "date_created": "2020-02-02T02:02:02Z" })).await;
    assert_eq!(
        (&logged["date_created"], &logged["date_sent"]),
        (&json!("2020-02-02T02:02:02+00:00"), &json!("2020-02-02T02:02:02+00:00"))
    );
    assert_eq!(actions(&close, &text(&logged["id"]), "activity.sms").await, ["created"]);
    let arrived = perform(&close, json!({ "action": "receive_sms", "lead_id": lead, "text": "hello" })).await;
    let arrived = close.get(&format!("activity/sms/{arrived}/")).await.body;
    assert_eq!((&arrived["direction"], &arrived["status"]), (&json!("inbound"), &json!("inbox")));
    let reply = close.post("activity/sms/", json!({ "lead_id": lead, "text": "hi", "status": "outbox" })).await;
    assert!(reply.body["field-errors"].get("remote_phone").is_some(), "{}", reply.text);
}

// Catalogue: activity.whatsapp_message.
#[tokio::test]
async fn a_whatsapp_message_is_found_by_its_external_id_updated_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let body = |id: &str| json!({ "lead_id": lead, "external_whatsapp_message_id": id, "message_markdown": "*hello* you", "direction": "incoming" });
    let message = close.make("activity/whatsapp_message/", body("wamid.A")).await;
    close.make("activity/whatsapp_message/", body("wamid.B")).await;
    assert_eq!(
        (&message["_type"], &message["text"], &message["direction"]),
        (&json!("WhatsAppMessage"), &json!("hello you"), &json!("incoming"))
    );
    let id = text(&message["id"]);
    assert_eq!(ids(&close.get("activity/whatsapp_message/?external_whatsapp_message_id=wamid.A").await), [id.clone()]);
    let path = format!("activity/whatsapp_message/{id}/");
    assert_eq!(close.put(&path, json!({ "message_markdown": "edited" })).await.body["text"], "edited");
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.whatsapp_message").await, ["created", "updated", "deleted"]);
    let reply = close.post("activity/whatsapp_message/", json!({ "lead_id": lead })).await;
    for field in ["external_whatsapp_message_id", "message_markdown"] {
        assert_eq!(reply.body["field-errors"][field], "This field is required.", "{}", reply.text);
    }
}

// Catalogue: activity.form_submission.
#[tokio::test]
async fn a_form_submission_comes_in_and_can_only_be_deleted() {
    let close = Close::start().await;
    let (lead, contact) = lead(&close).await;
    let values = json!({ "Email": "a@b.example", "News": true, "Why": null });
    let id = perform(&close, json!({ "action": "receive_form", "lead_id": lead, "contact_id": contact, "values": values })).await;
    let path = format!("activity/form_submission/{id}/");
    let form = close.get(&path).await.body;
    assert_eq!((&form["_type"], &form["values_by_name"]), (&json!("FormSubmission"), &values));
    assert!(form["values"].as_object().unwrap().keys().all(|key| key.starts_with("formfld_")), "{form}");
    assert_eq!(close.post("activity/form_submission/", json!({ "lead_id": lead })).await.status, 405);
    assert_eq!(close.put(&path, json!({})).await.status, 405);
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.form_submission").await, ["created", "deleted"]);
}

#[tokio::test]
async fn an_import_update_has_no_event() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let id = perform(&close, json!({ "action": "mark_import", "lead_id": lead })).await;
    let update = close.get(&format!("activity/import_update/{id}/")).await.body;
    assert_eq!((&update["_type"], &update["reverted"]), (&json!("ImportUpdate"), &json!(false)));
    assert!(text(&update["import_id"]).starts_with("bulk_"));
    let reply = close.get(&format!("event/?object_id={id}&action=created")).await;
    assert!(reply.rows().iter().all(|event| event["object_id"] != json!(id)), "{}", reply.text);
}

/// A custom activity type with an optional and a required field; `(type, optional, required)`.
async fn custom_type(close: &Close) -> (String, String, String) {
    let of = text(&close.make("custom_activity/", json!({ "name": "Visit" })).await["id"]);
    let field = |name: &str, required: bool| {
        close.make(
            "custom_field/activity/",
            json!({ "name": name, "type": "text", "custom_activity_type_id": of, "required": required }),
        )
    };
    let optional = format!("custom.{}", text(&field("Mood", false).await["id"]));
    let required = format!("custom.{}", text(&field("Result", true).await["id"]));
    (of, optional, required)
}

// Catalogue: activity.custom_activity.
#[tokio::test]
async fn a_custom_activity_is_drafted_published_pinned_and_deleted() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let (of, optional, required) = custom_type(&close).await;
    let reply = close
        .post("activity/custom/", json!({ "lead_id": lead, "custom_activity_type_id": of, optional.as_str(): "good" }))
        .await;
    assert_eq!(
        (reply.status, &reply.body["field-errors"][&required]),
        (400, &json!("This field is required.")),
        "{}",
        reply.text
    );
    let draft = json!({ "lead_id": lead, "custom_activity_type_id": of, "status": "draft", optional.as_str(): "good" });
    let draft = close.make("activity/custom/", draft).await;
    assert_eq!((&draft["_type"], &draft["last_published_at"]), (&json!("CustomActivity"), &json!(null)));
    let id = text(&draft["id"]);
    let path = format!("activity/custom/{id}/");
    close.advance(10.0).await;
    assert_eq!(close.put(&path, json!({ "status": "published" })).await.status, 400);
    let body =
        json!({ "status": "published", required.as_str(): "done", "pinned": true, "activity_at": "2026-08-01T10:00:00+02:00" });
    let published = close.put(&path, body).await.body;
    assert_eq!(published["last_published_at"], published["date_updated"]);
    assert_eq!((&published["pinned"], &published["activity_at"]), (&json!(true), &json!("2026-08-01T08:00:00+00:00")));
    assert_eq!((&published[&optional], &published[&required]), (&json!("good"), &json!("done")));
    let (other, _, _) = custom_type(&close).await;
    for word in ["Custom", "CustomActivity", of.as_str()] {
        assert_eq!(ids(&close.get(&format!("activity/?lead_id={lead}&_type={word}")).await), [id.clone()], "{word}");
    }
    assert!(ids(&close.get(&format!("activity/?lead_id={lead}&_type={other}")).await).is_empty());
    for (filter, status) in
        [(format!("custom_activity_type_id={of}"), 400), (format!("custom_activity_type_id__in={of}&lead_id={lead}"), 200)]
    {
        assert_eq!(close.get(&format!("activity/custom/?{filter}")).await.status, status, "{filter}");
    }
    assert_eq!(close.delete(&path).await.status, 200);
    assert_eq!(actions(&close, &id, "activity.custom_activity").await, ["created", "updated", "deleted"]);
}

#[tokio::test]
async fn a_custom_activity_takes_only_the_fields_of_its_type() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let (of, _, _) = custom_type(&close).await;
    let (_, foreign, _) = custom_type(&close).await;
    let body = json!({ "lead_id": lead, "custom_activity_type_id": of, "status": "draft", foreign.as_str(): "x" });
    let reply = close.post("activity/custom/", body).await;
    assert_eq!((reply.status, reply.body["field-errors"].get(&foreign).is_some()), (400, true), "{}", reply.text);
    let reply = close.post("activity/custom/", json!({ "lead_id": lead })).await;
    assert_eq!(reply.body["field-errors"]["custom_activity_type_id"], "This field is required.", "{}", reply.text);
}

#[tokio::test]
async fn the_literal_of_custom_activities_can_be_chosen() {
    let close = Close::start().await;
    let (lead, _) = lead(&close).await;
    let (of, _, _) = custom_type(&close).await;
    close.make("activity/custom/", json!({ "lead_id": lead, "custom_activity_type_id": of, "status": "draft" })).await;
    close.switch(json!({ "custom_activity_literal": "Custom" })).await;
    assert_eq!(close.get("activity/custom/").await.rows()[0]["_type"], "Custom");
}

// Outcomes: section 4.10.
#[tokio::test]
async fn outcomes_are_made_by_who_may_customise_and_give_no_event() {
    let close = Close::start().await;
    let reply = close.post("outcome/", json!({ "name": "Interested", "applies_to": ["calls"] })).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(
        (&reply.body["type"], &reply.body["applies_to"], &reply.body["description"]),
        (&json!("custom"), &json!(["calls"]), &json!(null))
    );
    let path = format!("outcome/{}/", text(&reply.body["id"]));
    assert_eq!(close.put(&path, json!({ "description": "wants more" })).await.body["description"], "wants more");
    assert_eq!(close.post("outcome/", json!({ "name": "x", "applies_to": ["tasks"] })).await.status, 400);
    assert_eq!(close.post("outcome/", json!({})).await.status, 400);
    let reply = Close::send(close.request("agent", Method::POST, "outcome/").json(&json!({ "name": "x" }))).await;
    assert_eq!(reply.status, 403);
    let list = close.get_as("agent", "outcome/").await;
    assert_eq!((list.rows().len(), &list.body["has_more"]), (1, &json!(false)));
    assert_eq!(close.delete(&path).await.status, 200);
    assert!(close.get("outcome/").await.rows().is_empty());
}
