//! Email and SMS templates.

use serde_json::json;

use crate::client::Close;

#[tokio::test]
async fn quirk_05_email_templates_answer_200_and_sms_templates_201_and_204() {
    // Section 12, item 5.
    let close = Close::start().await;
    let mail = close.post("email_template/", json!({ "name": "Hello", "subject": "Hi", "body": "<p>Hi</p>" })).await;
    assert_eq!(mail.status, 200, "{}", mail.text);
    assert!(mail.body["id"].as_str().unwrap().starts_with("tmpl_"));
    assert_eq!(
        (&mail.body["is_shared"], &mail.body["is_archived"], &mail.body["attachments"]),
        (&json!(false), &json!(false), &json!([]))
    );
    let sms = close.post("sms_template/", json!({ "name": "Short", "text": "Hi" })).await;
    assert_eq!(sms.status, 201, "{}", sms.text);
    let id = sms.body["id"].as_str().unwrap();
    assert_eq!(sms.headers["location"].to_str().unwrap(), format!("/api/v1/sms_template/{id}/"));
    let gone = close.delete(&format!("sms_template/{id}/")).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    let gone = close.delete(&format!("email_template/{}/", mail.body["id"].as_str().unwrap())).await;
    assert_eq!((gone.status, gone.body), (200, json!({})));
    assert_eq!(close.get(&format!("sms_template/{id}/")).await.status, 404);
}

#[tokio::test]
async fn templates_are_filtered_by_archived_and_shared() {
    let close = Close::start().await;
    close.make("email_template/", json!({ "name": "Old", "is_archived": true })).await;
    close.make("email_template/", json!({ "name": "Team", "is_shared": true })).await;
    let archived = close.get("email_template/?is_archived=true").await;
    assert!(archived.rows().iter().any(|row| row["name"] == "Old"));
    assert!(archived.rows().iter().all(|row| row["is_archived"] == true));
    let shared = close.get("email_template/?is_shared=True&is_archived=False").await;
    assert!(shared.rows().iter().any(|row| row["name"] == "Team"));
    assert!(shared.rows().iter().all(|row| row["is_shared"] == true && row["is_archived"] == false));
}

#[tokio::test]
async fn templates_without_what_they_need_are_refused() {
    let close = Close::start().await;
    let mail = close.post("email_template/", json!({ "subject": 3 })).await;
    assert_eq!((mail.status, &mail.body["field-errors"]["name"]), (400, &json!("This field is required.")));
    assert!(mail.body["field-errors"]["subject"].is_string());
    assert_eq!(close.post("sms_template/", json!({ "name": "No text" })).await.status, 400);
    let shared = Close::send(
        close
            .request("agent", reqwest::Method::POST, "email_template/")
            .json(&json!({ "name": "X", "is_shared": true })),
    );
    assert_eq!(shared.await.status, 403);
}

#[tokio::test]
async fn a_template_is_rendered_for_a_lead() {
    let close = Close::start().await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let template = close
        .make(
            "email_template/",
            json!({
                "name": "T", "subject": "To {{ lead.name }}", "body": "{{lead.name}} / {{ user.first_name }}{{ x.y }}"
            }),
        )
        .await;
    let path = format!("email_template/{}/render/", template["id"].as_str().unwrap());
    let rendered = close.get(&format!("{path}?lead_id={}", lead["id"].as_str().unwrap())).await;
    assert_eq!(rendered.status, 200, "{}", rendered.text);
    assert_eq!(
        (&rendered.body["subject"], &rendered.body["body"]),
        (&json!("To Nordlicht"), &json!("Nordlicht / Mara"))
    );
    assert_eq!((&rendered.body["lead_id"], &rendered.body["contact_id"]), (&lead["id"], &json!(null)));
    assert_eq!(close.get(&path).await.status, 400);
    assert_eq!(close.get(&format!("{path}?lead_id=lead_none")).await.status, 404);
    assert_eq!(close.get(&format!("{path}?query=*&entry=101")).await.status, 400);
    let beyond = close.get(&format!("{path}?query=name:%22Nordlicht%22&entry=99")).await;
    assert_eq!((beyond.status, beyond.body), (200, json!({})));
}
