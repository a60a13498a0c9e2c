//! Who may ask: API keys and OAuth tokens, and what a caller is allowed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::World;
use crate::model::{Id, Kind, Moment};
use crate::resources::role;

/// An API key: one user in one organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// What events name it by.
    pub id: Id,
    /// Whose rights it has.
    pub user: Id,
    /// For people and tests: `admin`, `agent`.
    pub name: String,
    /// `api_…`.
    pub secret: String,
}

/// An OAuth access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Whose rights it has.
    pub user: Id,
    /// The application.
    pub client: Id,
    /// Space separated.
    pub scope: String,
    /// When it stops working.
    pub expires: Moment,
    /// The refresh token that was given with it, which dies when it is used or revoked.
    pub refresh: Option<String>,
}

/// All credentials.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct People {
    /// By secret.
    pub keys: BTreeMap<String, ApiKey>,
    /// By access token.
    pub tokens: BTreeMap<String, Token>,
    /// OAuth applications: client id to client secret and object id.
    pub clients: BTreeMap<String, (String, Id)>,
    /// Authorization codes that can be exchanged once: code to user.
    pub codes: BTreeMap<String, Id>,
}

/// How a caller proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// By API key.
    Key(Id),
    /// By OAuth.
    OAuth {
        /// The application.
        client: Id,
        /// Space separated.
        scope: String,
    },
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user whose rights it has.
    pub user: Id,
    /// Its membership.
    pub membership: Id,
    /// The role of that membership.
    pub role: Id,
    /// How it proved who it is.
    pub credential: Credential,
    /// What limits and counters count it as: the name of the key, or the OAuth client.
    pub name: String,
    /// Permissions of the role and of the membership.
    pub permissions: Vec<String>,
    /// Whether no lead is hidden from it.
    pub sees_all_leads: bool,
}

impl Caller {
    /// Whether it has a permission (reference, section 9.2).
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|p| p == permission)
    }

    /// Whether it is an administrator: sees event data after an hour, all webhooks, all exports.
    pub fn is_admin(&self) -> bool {
        self.may("manage_organization")
    }
}

impl World {
    /// Gives out a key for a user; the secret follows from seed and name.
    pub fn add_key(&mut self, name: &str, user: Id) -> ApiKey {
        let id = self.next_id(Kind::ApiKey);
        let digest = Id::new(Kind::Lead, id.serial() + (1 << 40)).text(self.seed ^ 0x6b65_7973);
        let secret = format!("api_{}.{}", &digest[5..27], &digest[27..48]);
        self.add_key_with_secret(name, user, secret)
    }

    /// Gives out a key with a secret of the caller's choice.
    pub fn add_key_with_secret(&mut self, name: &str, user: Id, secret: String) -> ApiKey {
        let key = ApiKey { id: self.next_id(Kind::ApiKey), user, name: name.to_owned(), secret };
        self.people.keys.insert(key.secret.clone(), key.clone());
        key
    }

    /// The caller with an API key; `None` when the key is unknown or its user was removed from the organization.
    pub fn caller_by_key(&self, secret: &str) -> Option<Caller> {
        let key = self.people.keys.get(secret)?;
        self.caller(key.user, Credential::Key(key.id), &key.name)
    }

    /// The caller with an OAuth access token, as long as it is valid.
    pub fn caller_by_token(&self, token: &str) -> Option<Caller> {
        let token = self.people.tokens.get(token).filter(|token| self.clock.now() < token.expires)?;
        let name = format!("oauth:{}", token.client.text(self.seed));
        self.caller(token.user, Credential::OAuth { client: token.client, scope: token.scope.clone() }, &name)
    }

    /// A user as a caller, for work that is done later in its name and must see no more than it does; `None` for one without a key.
    pub fn caller_for(&self, user: Id) -> Option<Caller> {
        let key = self.people.keys.values().find(|key| key.user == user)?;
        self.caller(user, Credential::Key(key.id), &key.name)
    }

    fn caller(&self, user: Id, credential: Credential, name: &str) -> Option<Caller> {
        let membership = self
            .store
            .of_kind(Kind::Membership, Moment(i64::MIN), Moment::LAST)
            .filter_map(|id| self.store.get(id))
            .find(|membership| membership.id_of("user_id") == Some(user) && membership.is("is_active"))?;
        let role = membership.id_of("role_id")?;
        let permissions = role::permissions(self, role, membership);
        let sees_all_leads = permissions.iter().any(|p| p == "view_all_leads");
        Some(Caller { user, membership: membership.id, role, credential, name: name.to_owned(), permissions, sees_all_leads })
    }
}
