//! OAuth (section 1.3): a code, tokens for an hour of the organization's clock, single-use refresh tokens.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Close, Reply};

/// Id and secret of the organization's application.
async fn application(close: &Close) -> (String, String) {
    let keys = close.get("/_control/keys/").await.body;
    let client = &keys["oauth_clients"][0];
    (client["client_id"].as_str().unwrap().to_owned(), client["client_secret"].as_str().unwrap().to_owned())
}

async fn authorize(close: &Close, query: &str) -> Reply {
    let (client, _) = application(close).await;
    let path = format!("/oauth2/authorize/?client_id={client}&response_type=code&{query}");
    Close::send(close.request("", Method::GET, &path)).await
}

async fn code(close: &Close, query: &str) -> String {
    let reply = authorize(close, query).await;
    assert_eq!(reply.status, 302, "{}", reply.text);
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    location.split("code=").nth(1).expect("a code").split('&').next().unwrap().to_owned()
}

/// A body in the form of the token endpoint.
fn formed(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

async fn form(close: &Close, path: &str, fields: &[(&str, &str)]) -> Reply {
    let (client, secret) = application(close).await;
    let mut all = vec![("client_id", client.as_str()), ("client_secret", secret.as_str())];
    all.extend_from_slice(fields);
    Close::send(formed(close.request("", Method::POST, path), &all)).await
}

async fn exchange(close: &Close, query: &str) -> Value {
    let code = code(close, query).await;
    let reply = form(close, "/oauth2/token/", &[("grant_type", "authorization_code"), ("code", &code)]).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.body
}

async fn me(close: &Close, token: &str) -> Reply {
    Close::send(close.request("", Method::GET, "me/").bearer_auth(token)).await
}

const OFFLINE: &str = "scope=all.full_access%20offline_access";

#[tokio::test]
async fn a_code_is_exchanged_once_for_a_token_that_works_as_its_user() {
    let close = Close::bare().await;
    let reply = authorize(&close, "redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1&state=s%201&user=agent").await;
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("https://app.example/cb?x=1&code=") && location.ends_with("&state=s+1"), "{location}");
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let grant = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let token = form(&close, "/oauth2/token/", &grant).await.body;
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(
        (&token["scope"], token.get("refresh_token")),
        (&json!("all.full_access"), None),
        "no offline_access, no refresh"
    );
    let user = me(&close, token["access_token"].as_str().unwrap()).await.body;
    assert_eq!((&user["first_name"], &user["id"]), (&json!("Tomasz"), &token["user_id"]));
    assert_eq!(token["organization_id"], user["organizations"][0]["id"]);
    let again = form(&close, "/oauth2/token/", &grant).await;
    assert_eq!((again.status, &again.body["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn an_access_token_lasts_an_hour_and_a_refresh_token_one_use() {
    let close = Close::bare().await;
    let first = exchange(&close, OFFLINE).await;
    let access = first["access_token"].as_str().unwrap();
    assert_eq!(me(&close, access).await.body["first_name"], "Mara", "the first admin without another wish");
    close.advance(3595.0).await;
    assert_eq!(me(&close, access).await.status, 200);
    close.advance(10.0).await;
    assert_eq!((me(&close, access).await.status, me(&close, "nothing").await.status), (401, 401));

    let old = first["refresh_token"].as_str().unwrap();
    let grant = [("grant_type", "refresh_token"), ("refresh_token", old)];
    let second = form(&close, "/oauth2/token/", &grant).await.body;
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(second["scope"], first["scope"]);
    assert_eq!(me(&close, second["access_token"].as_str().unwrap()).await.status, 200);
    let dead = form(&close, "/oauth2/token/", &grant).await;
    assert_eq!((dead.status, &dead.body["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn revoking_either_token_ends_both() {
    let close = Close::bare().await;
    for which in ["access_token", "refresh_token"] {
        let token = exchange(&close, OFFLINE).await;
        let text = |name: &str| token[name].as_str().unwrap().to_owned();
        let revoked = form(&close, "/oauth2/revoke/", &[("token", &text(which))]).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);
        assert_eq!(me(&close, &text("access_token")).await.status, 401);
        let refresh = text("refresh_token");
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        assert_eq!(form(&close, "/oauth2/token/", &grant).await.status, 400);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_grant_is_said_in_oauths_own_words() {
    let close = Close::bare().await;
    let declined = authorize(&close, "decline=1&state=x").await;
    assert!(declined.headers["location"].to_str().unwrap().ends_with("?error=access_denied&state=x"));
    assert_eq!(authorize(&close, "user=former").await.status, 400, "not a member any more");
    let (client, _) = application(&close).await;
    let wrong = [("client_id", client.as_str()), ("client_secret", "wrong"), ("grant_type", "refresh_token")];
    let reply = Close::send(formed(close.request("", Method::POST, "/oauth2/token/"), &wrong)).await;
    assert_eq!((reply.status, &reply.body["error"]), (401, &json!("invalid_client")));
    let reply = form(&close, "/oauth2/token/", &[("grant_type", "password")]).await;
    assert_eq!((reply.status, &reply.body["error"]), (400, &json!("unsupported_grant_type")));
    let as_json = close.request("", Method::POST, "/oauth2/token/").json(&json!({ "grant_type": "refresh_token" }));
    let reply = Close::send(as_json).await;
    assert_eq!((reply.status, &reply.body["error"]), (400, &json!("invalid_request")));
    assert_eq!(Close::send(close.request("", Method::GET, "/oauth2/token/")).await.status, 405);
    let stale = code(&close, OFFLINE).await;
    close.advance(601.0).await;
    let grant = [("grant_type", "authorization_code"), ("code", stale.as_str())];
    assert_eq!(form(&close, "/oauth2/token/", &grant).await.body["error"], "invalid_grant");
}

/// Sections 1.3 and 6.3: events name the application, and OAuth may create memberships.
#[tokio::test]
async fn events_name_the_application_and_its_scope_instead_of_a_key() {
    let close = Close::bare().await;
    let token = exchange(&close, OFFLINE).await;
    let access = token["access_token"].as_str().unwrap();
    let body = json!({ "email": "new@composed.example", "role_id": "user" });
    let made = Close::send(close.request("", Method::POST, "membership/").bearer_auth(access).json(&body)).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let event = &close.events_of(made.body["id"].as_str().unwrap(), "membership").await[0];
    let (client, _) = application(&close).await;
    assert_eq!((&event["oauth_client_id"], &event["oauth_scope"]), (&json!(client), &token["scope"]));
    assert_eq!((&event["api_key_id"], &event["user_id"]), (&Value::Null, &token["user_id"]));

    let status = close.make("status/lead/", json!({ "label": "Thinking" })).await;
    let event = &close.events_of(status["id"].as_str().unwrap(), "status.lead").await[0];
    assert!(event["api_key_id"].is_string() && event["oauth_client_id"].is_null(), "{event}");
}

#[tokio::test]
async fn a_removed_users_tokens_end_with_its_membership() {
    let close = Close::bare().await;
    let token = exchange(&close, &format!("{OFFLINE}&user=second")).await;
    let access = token["access_token"].as_str().unwrap();
    let membership = me(&close, access).await.body["memberships"][0]["id"].as_str().unwrap().to_owned();
    close.delete(&format!("membership/{membership}/")).await;
    assert_eq!(me(&close, access).await.status, 401);
    let grant = [("grant_type", "refresh_token"), ("refresh_token", token["refresh_token"].as_str().unwrap())];
    assert_eq!(form(&close, "/oauth2/token/", &grant).await.status, 400);
}
