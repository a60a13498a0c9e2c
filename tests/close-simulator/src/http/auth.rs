//! Authentication: basic authentication with an API key and an empty password, or an OAuth bearer token (reference,
//! sections 1.2 and 1.3).

use base64::Engine;
use serde_json::json;

use super::{answer::Answer, request::Request};
use crate::{
    Simulator,
    model::{Id, Refusal},
    world::{
        World,
        people::{Caller, Token},
    },
};

/// The caller of a request; `None` for missing or wrong credentials.
pub fn caller(world: &World, request: &Request) -> Option<Caller> {
    let header = request.header("authorization")?;
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return world.caller_by_token(rest.trim());
    }
    // The text after the colon is ignored.
    let (key, _) = basic(header)?;
    world.caller_by_key(&key)
}

/// Answers the OAuth paths, which are outside the API; `None` for any other path.
pub fn oauth(simulator: &Simulator, request: &Request) -> Option<Answer> {
    let path = request.path.strip_prefix("/oauth2/")?.trim_end_matches('/');
    let answered = match (path, request.method.as_str()) {
        ("authorize", "GET") => authorize(simulator, request),
        ("token", "POST") => form(request).and_then(|form| token(&mut simulator.world.write(), request, &form)),
        ("revoke", "POST") => form(request).and_then(|form| revoke(&mut simulator.world.write(), request, &form)),
        ("authorize" | "token" | "revoke", _) => {
            return Some(Refusal::Status(405, "The method is not allowed for the requested URL.".to_owned()).into());
        }
        _ => return None,
    };
    Some(answered.unwrap_or_else(|(status, error, description)| {
        Answer::json(status, &json!({ "error": error, "error_description": description }))
    }))
}

/// Status, code and description of an OAuth error.
type Declined = (u16, &'static str, &'static str);

type Form = Vec<(String, String)>;

const BAD_CLIENT: Declined = (401, "invalid_client", "The client is unknown or its secret is wrong.");

fn form(request: &Request) -> Result<Form, Declined> {
    let kind = request.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err((400, "invalid_request", "The body must be application/x-www-form-urlencoded."));
    }
    Ok(form_urlencoded::parse(&request.body).into_owned().collect())
}

fn value<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The requesting application, by its id and secret in the form or in basic authentication.
fn client(world: &World, request: &Request, form: &Form) -> Result<Id, Declined> {
    let basic = request.header("authorization").and_then(basic);
    let (id, secret) = match (value(form, "client_id"), value(form, "client_secret"), &basic) {
        (Some(id), Some(secret), _) => (id, secret),
        (_, _, Some((id, secret))) => (id.as_str(), secret.as_str()),
        _ => return Err(BAD_CLIENT),
    };
    match world.people.clients.get(id) {
        Some((known, client)) if known == secret => Ok(*client),
        _ => Err(BAD_CLIENT),
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    // The colon is part of the encoded text.
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Redirect target if the application names none.
const DEFAULT_REDIRECT: &str = "http://localhost/oauth2/callback";

/// Grants consent without a page: the answer is a code for the first admin, or for the user whose id or key name is in
/// `user`. With `decline` the user declines.
fn authorize(simulator: &Simulator, request: &Request) -> Result<Answer, Declined> {
    let mut world = simulator.world.write();
    let known = request.param("client_id").and_then(|id| world.people.clients.get(id)).map(|(_, id)| *id);
    let client = known.ok_or((400, "invalid_client", "The client is unknown."))?;
    if request.param("response_type") != Some("code") {
        return Err((400, "unsupported_response_type", "response_type must be code."));
    }
    let user = match request.param("user") {
        Some(text) => {
            let by_key = world.people.keys.values().find(|key| key.name == text).map(|key| key.user);
            by_key.or_else(|| world.parse_id(text)).filter(|user| world.role_of(*user).is_some())
        }
        None => world.first_admin(),
    };
    let user = user.ok_or((400, "invalid_request", "The user is not a member of the organization."))?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    if request.param("decline").is_some() {
        query.append_pair("error", "access_denied");
    } else {
        let scope = request.param("scope").filter(|scope| !scope.trim().is_empty()).unwrap_or("all.full_access");
        query.append_pair("code", &world.add_code(user, client, scope));
    }
    if let Some(state) = request.param("state") {
        query.append_pair("state", state);
    }
    let to = request.param("redirect_uri").unwrap_or(DEFAULT_REDIRECT);
    let location = format!("{to}{}{}", if to.contains('?') { '&' } else { '?' }, query.finish());
    Ok(Answer { headers: vec![("location", location)], ..Answer::empty(302) })
}

/// Exchanges a code or a refresh token. The refresh token is invalid afterwards; the answer has a new one.
fn token(world: &mut World, request: &Request, form: &Form) -> Result<Answer, Declined> {
    let client = client(world, request, form)?;
    let dead = (400, "invalid_grant", "The grant is unknown, expired, used or revoked.");
    let (user, scope) = match value(form, "grant_type") {
        Some("authorization_code") => {
            let text = value(form, "code").unwrap_or("");
            let code = world.people.codes.get(text).filter(|code| code.client == client).cloned().ok_or(dead)?;
            world.people.codes.remove(text);
            if code.expires < world.clock.now() {
                return Err(dead);
            }
            (code.user, code.scope)
        }
        Some("refresh_token") => {
            let text = value(form, "refresh_token").ok_or(dead)?;
            let token = world.people.tokens.values_mut().find(|token| token.refresh.as_deref() == Some(text));
            let token = token.filter(|token| token.client == client).ok_or(dead)?;
            token.refresh = None;
            (token.user, token.scope.clone())
        }
        _ => return Err((400, "unsupported_grant_type", "grant_type must be authorization_code or refresh_token.")),
    };
    if world.role_of(user).is_none() {
        return Err(dead);
    }
    let (access, token) = world.add_token(user, client, &scope);
    let mut body = json!({ "token_type": "Bearer", "access_token": access, "expires_in": Token::LIFETIME_SECS });
    if let Some(refresh) = token.refresh {
        body["refresh_token"] = refresh.into();
    }
    body["scope"] = scope.into();
    body["organization_id"] = world.organization().text(world.seed).into();
    body["user_id"] = user.text(world.seed).into();
    Ok(Answer::json(200, &body))
}

/// Revokes an access token and its refresh token, by the text of either. An unknown token is not an error.
fn revoke(world: &mut World, request: &Request, form: &Form) -> Result<Answer, Declined> {
    let client = client(world, request, form)?;
    let text = value(form, "token").ok_or((400, "invalid_request", "token is required."))?;
    let is = |access: &str, token: &Token| access == text || token.refresh.as_deref() == Some(text);
    world.people.tokens.retain(|access, token| token.client != client || !is(access, token));
    Ok(Answer::json(200, &json!({})))
}
