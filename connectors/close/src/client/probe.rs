//! The check of the key at the start: the organization it belongs to, and the rights without which the copy would be
//! partial in silence.

use serde_json::{Map, Value as Json};
use towpath_api::{Error, ErrorType, Result};
use tracing::warn;

use super::{Close, Lane, concerns_one_object};
use crate::codes;

/// The right without which leads are left out of lists and searches, without a mark.
const ALL_LEADS: &str = "view_all_leads";
/// The right of administrators.
const ORGANIZATION: &str = "manage_organization";
/// The roles of Close itself that see all leads.
const BUILT_IN: [&str; 3] = ["admin", "superuser", "user"];

/// The key's user and organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// The id of the organization.
    pub(super) organization: String,
    /// False for a key whose user reads the content of events for an hour only.
    pub(super) is_admin: bool,
}

/// Checks the key and its rights; returns the id of its organization.
///
/// # Errors
/// As [`examine`].
pub(crate) async fn probe(close: &Close) -> Result<String> {
    let probe = examine(close).await?;
    if !probe.is_admin {
        warn!(
            organization = probe.organization,
            "the key's user is not an admin of the organization, and sees the content of events for an hour only; \
             after a longer outage changed records are read one by one"
        );
    }
    Ok(probe.organization)
}

/// Checks the key and its rights. Waits while Close is away.
///
/// # Errors
/// Fatal [`codes::KEY_REFUSED`] for a wrong key, [`codes::URL`] if something else than Close answers, and
/// [`codes::FORBIDDEN`] if the user does not see all leads or the event log. A right for single objects is missed when
/// they are read.
pub(super) async fn examine(close: &Close) -> Result<Probe> {
    let me = close.get_of_close("me/").await.map_err(|error| match error.code {
        codes::NOT_FOUND | codes::REFUSED | codes::TOO_LARGE => not_close(close).because(error),
        _ => error,
    })?;
    let me = me.body;
    if !me.get("id").is_some_and(Json::is_string) {
        return Err(not_close(close));
    }
    let organizations = organizations(&me);
    let event = newest_event(close).await?;
    let organization = match &organizations[..] {
        [] => return Err(not_close(close)),
        [id] => id.clone(),
        // The user has several; the key has one, which is the one of its events.
        [first, ..] => {
            let of_event = event.as_ref().and_then(|event| event.get("organization_id")?.as_str());
            match organizations.iter().find(|id| Some(id.as_str()) == of_event) {
                Some(id) => id.clone(),
                None => readable(close, &organizations).await?.unwrap_or_else(|| first.clone()),
            }
        }
    };
    let is_admin = check_rights(close, &me, &organization).await?;
    Ok(Probe { organization, is_admin })
}

/// The ids of the user's organizations.
fn organizations(me: &Map<String, Json>) -> Vec<String> {
    let rows = me.get("organizations").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|row| row.get("id")?.as_str()).map(str::to_owned).collect()
}

async fn newest_event(close: &Close) -> Result<Option<Json>> {
    let answer = close.insist(Lane::Changes, "event/", &[("_limit", "1")]).await.map_err(|error| {
        // Old resources answer 400 where newer ones answer 403.
        if !matches!(error.code, codes::FORBIDDEN | codes::REFUSED | codes::NOT_FOUND) {
            return error;
        }
        let doing = "read the event log of Close: the key's user may not, and changes are read from it";
        Error::fatal(codes::FORBIDDEN, ErrorType::Auth, doing)
            .because(error)
            .with_help("use the key of an admin of the organization")
    })?;
    Ok(answer.body.get("data").and_then(|data| data.get(0)).cloned())
}

/// The first of several organizations that the key reads.
async fn readable(close: &Close, organizations: &[String]) -> Result<Option<String>> {
    for id in organizations {
        match close.insist(Lane::Changes, &format!("organization/{id}/"), &[]).await {
            Ok(_) => return Ok(Some(id.clone())),
            Err(error) if matches!(error.code, codes::FORBIDDEN | codes::NOT_FOUND) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Returns true for an admin.
async fn check_rights(close: &Close, me: &Map<String, Json>, organization: &str) -> Result<bool> {
    let memberships = me.get("memberships").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let own = |row: &&Json| row.get("organization_id").and_then(Json::as_str) == Some(organization);
    let Some(membership) = memberships.iter().find(own) else {
        // Close does not say more about this key.
        return Ok(false);
    };
    let role_id = membership.get("role_id").and_then(Json::as_str).unwrap_or_default();
    let role = match close.get(Lane::Changes, &format!("role/{role_id}/"), &[]).await {
        _ if role_id.is_empty() => Map::new(),
        Ok(answer) => answer.body,
        Err(error) if concerns_one_object(&error) => Map::new(),
        Err(error) => return Err(error),
    };
    let lists = [membership.get("permissions_granted"), role.get("permissions")];
    let permissions = || lists.iter().flatten().filter_map(|list| list.as_array()).flatten().filter_map(Json::as_str);
    let has = |permission: &str| permissions().any(|own| own == permission);
    let is_admin = role_id == "admin" || has(ORGANIZATION);
    let fields = role.get("visibility_user_lcf_ids").and_then(Json::as_array);
    let is_limited = fields.is_some_and(|fields| !fields.is_empty());
    // A role that cannot be read is judged by its id.
    let sees_all = has(ALL_LEADS) || permissions().next().is_none() && BUILT_IN.contains(&role_id);
    if !is_admin && (is_limited || !sees_all) {
        let doing = format!(
            "copy organization {organization}: the role of the key's user lacks the right `{ALL_LEADS}`, so Close \
             would leave leads out without saying so"
        );
        return Err(Error::fatal(codes::FORBIDDEN, ErrorType::Auth, doing)
            .with_help("use the key of an admin, or let the user's role see all leads"));
    }
    Ok(is_admin)
}

fn not_close(close: &Close) -> Error {
    let doing = format!("find Close at {}: its answer is not one of Close", close.shared.base);
    Error::fatal(codes::URL, ErrorType::Config, doing)
        .with_help("set `close.api.url` to the address of the API, `https://api.close.com/api/v1`")
}
