//! All rows of a list.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value as Json};
use tokio::sync::OnceCell;
use towpath_api::{Error, ErrorType, Result};

use crate::{
    catalogue::{Kind, Listing, kind},
    client::{Answer, Lane},
    codes,
    context::Context,
    moment::Moment,
    record::part,
};

/// Rows of a page: what every list of Close takes.
const LIMIT: usize = 100;
/// Pages of one list at most.
const PAGES: usize = 10_000;

/// A row, and when it was read.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) content: Map<String, Json>,
    pub(super) read_at: Moment,
}

/// One round over the lists. What several lists are made of is read once.
pub(super) struct Round<'a> {
    context: &'a Context,
    organization: OnceCell<Row>,
    roles: OnceCell<HashMap<String, Role>>,
}

/// What makes a user's part.
#[derive(Debug, Default)]
struct Role {
    name: Option<String>,
    permissions: Vec<String>,
}

impl<'a> Round<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context, organization: OnceCell::new(), roles: OnceCell::new() }
    }

    /// Reads all rows of `kind`.
    ///
    /// # Errors
    /// Those of the client. A list that does not end is refused.
    pub(super) async fn rows(&self, kind: &Kind) -> Result<Vec<Row>> {
        match kind.listing {
            Listing::Organization if kind.name == "membership" => self.memberships(kind).await,
            Listing::Organization => Ok(vec![self.organization().await?.clone()]),
            Listing::FullThenSingle(parameters) => {
                let mut rows = Vec::new();
                for row in self.list(kind, parameters).await? {
                    let id = row.content.get("id").and_then(Json::as_str).unwrap_or_default();
                    // A row that has gone meanwhile is one that the list no longer has.
                    rows.extend(self.single(kind, id).await?);
                }
                Ok(rows)
            }
            Listing::Full(parameters) => self.list(kind, parameters).await,
            Listing::Searched | Listing::Dated(_) | Listing::PerParent { .. } => Ok(Vec::new()),
        }
    }

    /// The row with this id; `None` if Close has none.
    ///
    /// # Errors
    /// Those of the client.
    pub(super) async fn single(&self, kind: &Kind, id: &str) -> Result<Option<Row>> {
        match self.context.close.get(Lane::Changes, &format!("{}{id}/", kind.path), &[]).await {
            Ok(Answer { body, read_at, .. }) => Ok(Some(Row { content: body, read_at })),
            Err(error) if error.code == codes::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, kind: &Kind, parameters: &[(&str, &str)]) -> Result<Vec<Row>> {
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        let mut limit = LIMIT;
        for _ in 0..PAGES {
            let (skip, at_most) = (rows.len().to_string(), limit.to_string());
            let mut query: Vec<(&str, &str)> = parameters.to_vec();
            query.extend([("_limit", &*at_most), ("_skip", &*skip)]);
            let Answer { mut body, read_at, .. } = match self.context.close.get(Lane::Changes, kind.path, &query).await
            {
                Err(error) if error.code == codes::TOO_LARGE && limit > 1 => {
                    limit /= 2;
                    continue;
                }
                answer => answer?,
            };
            let Some(Json::Array(page)) = body.remove("data") else { return Err(refused(kind, "it has no `data`")) };
            let before = rows.len();
            for row in page {
                let Json::Object(content) = row else { continue };
                // A list that does not page gives the same rows again.
                if seen.insert(Json::Object(content.clone()).to_string()) {
                    rows.push(Row { content, read_at });
                }
            }
            if body.get("has_more").and_then(Json::as_bool) != Some(true) {
                return Ok(rows);
            }
            if rows.len() == before {
                return Err(refused(kind, "it has always more, and no new row"));
            }
        }
        Err(refused(kind, "it does not end"))
    }

    async fn organization(&self) -> Result<&Row> {
        self.organization.get_or_try_init(|| self.read_organization()).await
    }

    async fn read_organization(&self) -> Result<Row> {
        let id = self.context.outbox.look(|position| position.organization.clone());
        let expand = [("_expand", "memberships__user,inactive_memberships__user")];
        let Answer { body, read_at, .. } =
            self.context.close.get(Lane::Changes, &format!("organization/{id}/"), &expand).await?;
        Ok(Row { content: body, read_at })
    }

    /// Members and former members. `is_active` and `part` are ours.
    async fn memberships(&self, kind: &Kind) -> Result<Vec<Row>> {
        let Row { content, read_at } = self.organization().await?;
        let roles = self.roles.get_or_try_init(|| self.read_roles()).await?;
        let mut rows = BTreeMap::new();
        for (name, active) in [("inactive_memberships", false), ("memberships", true)] {
            let Some(Json::Array(members)) = content.get(name) else {
                return Err(refused(kind, &format!("the organization has no `{name}`")));
            };
            for member in members.iter().filter_map(Json::as_object) {
                let mut row = member.clone();
                // The user is an object of its own.
                row.remove("user");
                row.insert("is_active".to_owned(), active.into());
                row.insert("part".to_owned(), self.part(&row, roles).into());
                rows.insert(row.get("id").map(Json::to_string), Row { content: row, read_at: *read_at });
            }
        }
        Ok(rows.into_values().collect())
    }

    fn part(&self, membership: &Map<String, Json>, roles: &HashMap<String, Role>) -> &'static str {
        let id = membership.get("role_id").and_then(Json::as_str).unwrap_or_default();
        let role = roles.get(id);
        let name = role.and_then(|role| role.name.as_deref());
        let of_role = role.map(|role| role.permissions.iter().map(String::as_str)).into_iter().flatten();
        let granted = texts(membership.get("permissions_granted"));
        part(id, name, of_role.chain(granted), &self.context.config.role_map).as_str()
    }

    async fn read_roles(&self) -> Result<HashMap<String, Role>> {
        let Some(kind) = kind("role") else { return Ok(HashMap::new()) };
        let rows = self.list(kind, &[]).await?;
        Ok(rows.into_iter().filter_map(|row| role(&row.content)).collect())
    }
}

fn role(row: &Map<String, Json>) -> Option<(String, Role)> {
    let text = |name: &str| row.get(name).and_then(Json::as_str).map(str::to_owned);
    let permissions = texts(row.get("permissions")).map(str::to_owned).collect();
    Some((text("id")?, Role { name: text("name"), permissions }))
}

fn texts(list: Option<&Json>) -> impl Iterator<Item = &str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn refused(kind: &Kind, what: &str) -> Error {
    Error::fatal(codes::REFUSED, ErrorType::Decode, format!("read the list {} of Close: {what}", kind.path))
        .with_help("nothing is lost; the list is read again; a newer Towpath may be needed if this stays")
}
