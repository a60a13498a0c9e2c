//! Send-as, scheduling links, uploads, forms, enriched values.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Close;

async fn me(close: &Close, key: &str) -> Value {
    close.get_as(key, "me/").await.body["id"].clone()
}

#[tokio::test]
async fn a_caller_allows_others_to_send_in_its_own_name_only() {
    let close = Close::start().await;
    let (admin, agent, second) = (me(&close, "admin").await, me(&close, "agent").await, me(&close, "second").await);
    let made = close.post("send_as/", json!({ "allowing_user_id": admin, "allowed_user_id": agent })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for (allowing, allowed) in [(&agent, &second), (&admin, &admin), (&admin, &agent)] {
        let refused = close.post("send_as/", json!({ "allowing_user_id": allowing, "allowed_user_id": allowed })).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    }
    let seen = close.get_as("agent", "send_as/").await;
    assert!(seen.rows().iter().any(|row| row["id"] == made.body["id"]), "who is allowed sees it");
    let unseen = close.get_as("second", "send_as/").await;
    assert!(unseen.rows().iter().all(|row| row["id"] != made.body["id"]), "others do not");
    let path = format!("send_as/{}/", made.body["id"].as_str().unwrap());
    assert_eq!(Close::send(close.request("agent", Method::DELETE, &path)).await.status, 403);
    let by_params =
        format!("send_as/?allowing_user_id={}&allowed_user_id={}", admin.as_str().unwrap(), agent.as_str().unwrap());
    assert_eq!(close.delete(&by_params).await.status, 204);
    assert_eq!(close.delete(&by_params).await.status, 404);
}

#[tokio::test]
async fn send_as_is_changed_for_many_at_once() {
    let close = Close::start().await;
    let (agent, second) = (me(&close, "agent").await, me(&close, "second").await);
    let both = close.post("send_as/bulk/", json!({ "allowed_user_ids": [agent, second] })).await;
    assert_eq!((both.status, both.rows().len()), (200, 2), "{}", both.text);
    let one = close.post("send_as/bulk/", json!({ "allowed_user_ids": [], "disallowed_user_ids": [agent] })).await;
    assert_eq!((one.rows().len(), &one.rows()[0]["allowed_user_id"]), (1, &second));
    assert_eq!(close.post("send_as/bulk/", json!({ "allowed_user_ids": ["user_x"] })).await.status, 400);
}

#[tokio::test]
async fn shared_scheduling_links_are_mapped_to_a_users_link() {
    let close = Close::start().await;
    let link = close.post("scheduling_link/", json!({ "name": "Intro", "url": "https://meet.example/ida" })).await;
    assert_eq!(link.status, 201, "{}", link.text);
    let shared = close.post("shared_scheduling_link/", json!({ "name": "Team intro" })).await;
    assert_eq!((shared.status, &shared.body["associations"]), (201, &json!([])));
    let (id, own) = (&shared.body["id"], &link.body["id"]);
    let body = json!({ "shared_scheduling_link_id": id, "user_scheduling_link_id": own });
    let mapped = close.post("shared_scheduling_link_association/", body.clone()).await;
    assert_eq!((mapped.status, &mapped.body["user_scheduling_link_id"]), (201, own));
    let path = format!("shared_scheduling_link/{}/", id.as_str().unwrap());
    assert_eq!(close.get(&path).await.body["associations"][0]["user_scheduling_link_id"], *own);
    assert_eq!(close.post("shared_scheduling_link_association/unmap/", body).await.status, 200);
    assert_eq!(close.get(&path).await.body["associations"], json!([]));
    let nothing = close.post("shared_scheduling_link_association/", json!({ "shared_scheduling_link_id": id })).await;
    assert_eq!(nothing.status, 400);
    assert_eq!(close.delete(&path).await.status, 204);
}

#[tokio::test]
async fn links_of_applications_are_for_oauth_only() {
    let close = Close::start().await;
    let body = json!({ "name": "Intro", "url": "https://meet.example/ida", "source_id": "7" });
    assert_eq!(close.post("scheduling_link/integration/", body).await.status, 403);
    assert_eq!(close.delete("scheduling_link/integration/7/").await.status, 403);
}

/// An access token of the organization's application, for the founder.
async fn token(close: &Close) -> String {
    let (client, secret) = {
        let world = close.running.simulator.world.read();
        let (client, (secret, _)) = world.people.clients.iter().next().expect("an application");
        (client.clone(), secret.clone())
    };
    let path = format!("/oauth2/authorize/?client_id={client}&response_type=code&scope=all.full_access");
    let reply = Close::send(close.request("", Method::GET, &path)).await;
    let location = reply.headers["location"].to_str().unwrap();
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let body = format!("grant_type=authorization_code&client_id={client}&client_secret={secret}&code={code}");
    let request =
        close.request("", Method::POST, "/oauth2/token/").header("content-type", "application/x-www-form-urlencoded");
    Close::send(request.body(body)).await.body["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn an_application_creates_changes_and_deletes_its_link_by_source_id() {
    let close = Close::start().await;
    let token = token(&close).await;
    let send = |method: Method, path: &str, body: Value| {
        Close::send(close.request("", method, path).bearer_auth(&token).json(&body))
    };
    let body = |name: &str| json!({ "name": name, "url": "https://meet.example/ida", "source_id": "7" });
    let first = send(Method::POST, "scheduling_link/integration/", body("Intro")).await;
    assert_eq!((first.status, &first.body["source_id"]), (200, &json!("7")), "{}", first.text);
    let second = send(Method::POST, "scheduling_link/integration/", body("Demo")).await;
    assert_eq!((&second.body["id"], &second.body["name"]), (&first.body["id"], &json!("Demo")));
    assert_eq!(send(Method::POST, "scheduling_link/integration/", json!({ "name": "X" })).await.status, 400);
    assert_eq!(send(Method::DELETE, "scheduling_link/integration/7/", json!({})).await.status, 204);
    assert_eq!(send(Method::DELETE, "scheduling_link/integration/7/", json!({})).await.status, 404);
}

#[tokio::test]
async fn an_announced_file_is_sent_to_the_store_and_fetched_from_it() {
    let close = Close::start().await;
    assert_eq!(close.post("files/upload/", json!({ "filename": "a.txt" })).await.status, 400);
    let announced = close.make("files/upload/", json!({ "filename": "a b.txt", "content_type": "text/plain" })).await;
    let fetch = |url: &Value| {
        let path = url
            .as_str()
            .unwrap()
            .strip_prefix(&format!("http://{}", close.running.address))
            .expect("this host")
            .to_owned();
        close.request("", Method::GET, &path)
    };
    assert_eq!(Close::send(fetch(&announced["download"]["url"])).await.status, 404, "nothing was sent yet");
    let path = announced["upload"]["url"]
        .as_str()
        .unwrap()
        .strip_prefix(&format!("http://{}", close.running.address))
        .unwrap();
    let form = |fields: &Value| {
        let mut form = String::new();
        for (name, value) in fields.as_object().unwrap() {
            form += &format!(
                "--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n",
                value.as_str().unwrap()
            );
        }
        form + "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n\
                line\r\nline\r\n--cut--\r\n"
    };
    let send = |body: String| {
        close.request("", Method::POST, path).header("content-type", "multipart/form-data; boundary=cut").body(body)
    };
    let mut forged = announced["upload"]["fields"].clone();
    forged["signature"] = json!("0000000000000000");
    assert_eq!(Close::send(send(form(&forged))).await.status, 403);
    assert_eq!(Close::send(send(form(&announced["upload"]["fields"]))).await.status, 204);
    let file = Close::send(fetch(&announced["download"]["url"])).await;
    assert_eq!(
        (file.status, file.text.as_str(), file.headers["content-type"].to_str().unwrap()),
        (200, "line\r\nline", "text/plain")
    );
}

#[tokio::test]
async fn forms_are_listed_and_a_fields_value_is_found_out() {
    let close = Close::start().await;
    let forms = close.get("form/?is_archived=false").await;
    assert_eq!((forms.status, &forms.body["has_more"]), (200, &json!(false)));
    let field = close.make("custom_field/lead/", json!({ "name": "Industry", "type": "text" })).await;
    let lead = close.make("lead/", json!({ "name": "Nordlicht" })).await;
    let body =
        json!({ "object_type": "lead", "object_id": lead["id"], "field_id": field["id"], "set_new_value": true });
    let found = close.make("enrich_field/", body).await;
    assert!(found["value"].is_string() && found["confidence"] == "high", "{found}");
    let after = close.get(&format!("lead/{}/", lead["id"].as_str().unwrap())).await.body;
    assert_eq!(after[format!("custom.{}", field["id"].as_str().unwrap())], found["value"]);
    assert_eq!(close.post("enrich_field/", json!({ "object_type": "task" })).await.status, 400);
}
