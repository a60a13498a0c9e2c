//! Credentials: API keys and OAuth tokens, and the permissions of a caller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::World;
use crate::{
    model::{Id, Kind, Moment, Record},
    resources::role,
};

/// An API key: one user in one organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id in events.
    pub id: Id,
    /// The user whose rights it has.
    pub user: Id,
    /// For people and tests: `admin`, `agent`.
    pub name: String,
    /// `api_…`.
    pub secret: String,
}

/// An OAuth access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The user whose rights it has.
    pub user: Id,
    /// The application.
    pub client: Id,
    /// Space separated.
    pub scope: String,
    pub expires: Moment,
    /// The refresh token that was issued with it, invalid after it is used or revoked.
    pub refresh: Option<String>,
}

impl Token {
    /// Lifetime of an access token.
    pub const LIFETIME_SECS: i64 = 3600;
}

/// An authorization code: exchanged once for tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Code {
    /// The user who consented.
    pub user: Id,
    /// The application.
    pub client: Id,
    /// Space separated.
    pub scope: String,
    pub expires: Moment,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct People {
    /// By secret.
    pub keys: BTreeMap<String, ApiKey>,
    /// By access token.
    pub tokens: BTreeMap<String, Token>,
    /// OAuth applications: client id to client secret and object id.
    pub clients: BTreeMap<String, (String, Id)>,
    /// Authorization codes that were not exchanged yet.
    pub codes: BTreeMap<String, Code>,
    /// Number of codes and tokens issued; determines the next one's text.
    #[serde(default)]
    issued: u64,
}

/// How a caller authenticated.
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
    pub membership: Id,
    pub role: Id,
    pub credential: Credential,
    /// Its name in limits and counters: that of the key, or the OAuth client.
    pub name: String,
    /// Permissions of the role and of the membership.
    pub permissions: Vec<String>,
    /// Whether it sees all leads.
    pub sees_all_leads: bool,
}

impl Caller {
    /// Returns true if it has a permission (reference, section 9.2).
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|p| p == permission)
    }

    /// Returns true for an administrator, who sees event data after an hour, all webhooks and all exports.
    pub fn is_admin(&self) -> bool {
        self.may("manage_organization")
    }
}

impl World {
    /// Issues a key for a user; the secret is derived from seed and name.
    pub fn add_key(&mut self, name: &str, user: Id) -> ApiKey {
        let id = self.next_id(Kind::ApiKey);
        let digest = Id::new(Kind::Lead, id.serial() + (1 << 40)).text(self.seed ^ 0x6b65_7973);
        let secret = format!("api_{}.{}", &digest[5..27], &digest[27..48]);
        self.add_key_with_secret(name, user, secret)
    }

    /// Issues a key with a given secret.
    pub fn add_key_with_secret(&mut self, name: &str, user: Id, secret: String) -> ApiKey {
        let key = ApiKey { id: self.next_id(Kind::ApiKey), user, name: name.to_owned(), secret };
        self.people.keys.insert(key.secret.clone(), key.clone());
        key
    }

    /// Registers an OAuth application and returns its id; id and secret are derived from the seed.
    pub fn add_client(&mut self) -> Id {
        let id = self.next_id(Kind::OAuthClient);
        let secret = self.opaque("oa2secret", id.serial(), 0x636c_6965);
        self.people.clients.insert(id.text(self.seed), (secret, id));
        id
    }

    /// A code for a user who consented, valid for ten minutes.
    pub fn add_code(&mut self, user: Id, client: Id, scope: &str) -> String {
        let text = self.issue("oa2code");
        let expires = self.clock.now().plus_secs(600);
        self.people.codes.insert(text.clone(), Code { user, client, scope: scope.to_owned(), expires });
        text
    }

    /// Issues an access token for an hour, with a refresh token if the scope has `offline_access` (reference, section
    /// 1.3), and drops tokens that have become useless.
    pub fn add_token(&mut self, user: Id, client: Id, scope: &str) -> (String, Token) {
        let now = self.clock.now();
        self.people.tokens.retain(|_, token| token.refresh.is_some() || now < token.expires);
        let access = self.issue("oa2at");
        let refresh = scope.split(' ').any(|part| part == "offline_access").then(|| self.issue("oa2rt"));
        let token =
            Token { user, client, scope: scope.to_owned(), expires: now.plus_secs(Token::LIFETIME_SECS), refresh };
        self.people.tokens.insert(access.clone(), token.clone());
        (access, token)
    }

    fn issue(&mut self, prefix: &str) -> String {
        self.people.issued += 1;
        self.opaque(prefix, self.people.issued, 0x6973_7375)
    }

    /// An unguessable text, derived from the seed and a count.
    fn opaque(&self, prefix: &str, count: u64, salt: u64) -> String {
        let digest = Id::new(Kind::Lead, count + (1 << 40)).text(self.seed ^ salt);
        format!("{prefix}_{}", &digest[5..])
    }

    /// The caller with an API key; `None` if the key is unknown or its user was removed from the organization.
    pub fn caller_by_key(&self, secret: &str) -> Option<Caller> {
        let key = self.people.keys.get(secret)?;
        self.caller(key.user, Credential::Key(key.id), &key.name)
    }

    /// The caller with an OAuth access token, while it is valid.
    pub fn caller_by_token(&self, token: &str) -> Option<Caller> {
        let token = self.people.tokens.get(token).filter(|token| self.clock.now() < token.expires)?;
        let name = format!("oauth:{}", token.client.text(self.seed));
        self.caller(token.user, Credential::OAuth { client: token.client, scope: token.scope.clone() }, &name)
    }

    /// A user as a caller, for work that is done later in its name with its visibility; `None` for a user without a
    /// key.
    pub fn caller_for(&self, user: Id) -> Option<Caller> {
        let key = self.people.keys.values().find(|key| key.user == user)?;
        self.caller(user, Credential::Key(key.id), &key.name)
    }

    /// The role of a member; `None` for anybody else.
    pub fn role_of(&self, user: Id) -> Option<Id> {
        self.membership_of(user)?.id_of("role_id")
    }

    /// The member who has been an admin for the longest time.
    pub fn first_admin(&self) -> Option<Id> {
        let admin = Id::new(Kind::Role, 1);
        self.memberships().find(|membership| membership.id_of("role_id") == Some(admin))?.id_of("user_id")
    }

    fn membership_of(&self, user: Id) -> Option<&Record> {
        self.memberships().find(|membership| membership.id_of("user_id") == Some(user))
    }

    /// The memberships of present members.
    fn memberships(&self) -> impl Iterator<Item = &Record> {
        self.store
            .of_kind(Kind::Membership, Moment(i64::MIN), Moment::LAST)
            .filter_map(|id| self.store.get(id).map(std::sync::Arc::as_ref))
            .filter(|membership| membership.is("is_active"))
    }

    fn caller(&self, user: Id, credential: Credential, name: &str) -> Option<Caller> {
        let membership = self.membership_of(user)?;
        let role = membership.id_of("role_id")?;
        let permissions = role::permissions(self, role, membership);
        let sees_all_leads = permissions.iter().any(|p| p == "view_all_leads");
        Some(Caller {
            user,
            membership: membership.id,
            role,
            credential,
            name: name.to_owned(),
            permissions,
            sees_all_leads,
        })
    }
}
