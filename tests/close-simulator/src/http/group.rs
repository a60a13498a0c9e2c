//! Keys of limits and counters: the endpoint group and the caller.
//!
//! Both are small copies of existing values, so a request allocates nothing for them.

use std::net::IpAddr;

use serde_json::Value as Json;

use super::router::Route;
use crate::{
    model::Id,
    world::people::{Caller, Credential},
};

/// A method and a URL prefix: the unit of Close's rate limits (reference, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// As `activity/call`, without slashes at the ends.
    pub prefix: &'static str,
    /// Upper case; `HEAD` counts as `GET`, unknown methods as `OTHER`.
    pub method: &'static str,
}

impl Group {
    /// The prefix of unknown paths.
    pub const UNKNOWN: &'static str = "(unknown)";

    /// The group of a request with this method and route.
    pub fn of(method: &str, route: Option<&Route>) -> Self {
        let prefix = match route {
            Some(Route::List(collection) | Route::Object(collection, _)) => collection.path,
            // The part before the first placeholder: `event` for `event/{}`.
            Some(Route::Endpoints(endpoints, _)) => {
                let path = endpoints[0].path;
                path.split_once("/{}").map_or(path, |(prefix, _)| prefix)
            }
            None => Self::UNKNOWN,
        };
        Self { prefix, method: known(method) }
    }

    /// The name in reports: `GET activity/call`.
    pub fn name(self) -> String {
        format!("{} {}", self.method, self.prefix)
    }

    /// The 32 hexadecimal digits that identify the group in a 429.
    pub fn digest(self) -> String {
        // FNV-1a in 128 bits.
        let hash = self
            .method
            .bytes()
            .chain([b' '])
            .chain(self.prefix.bytes())
            .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
                (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
            });
        format!("{hash:032x}")
    }
}

/// Maps a method to one that has its own group.
fn known(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

/// A pattern of groups: `GET activity/call`, `activity` for all methods, `POST *`, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    method: Option<&'static str>,
    prefix: String,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The text before a blank is not a method; the error says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (method, path) = match text.trim().split_once(' ') {
            Some((method, path)) => match known(method) {
                "OTHER" => {
                    return Err(format!("`{method}` is not a method; write as `GET activity/call`, `activity` or `*`"));
                }
                known => (Some(known), path.trim()),
            },
            None => (None, text.trim()),
        };
        let path = path.trim_start_matches(super::answer::ROOT).trim_matches('/');
        if path.is_empty() {
            return Err("an endpoint is named as `GET activity/call`, `activity` or `*`".to_owned());
        }
        Ok(Self { method, prefix: if path == "*" { String::new() } else { path.to_owned() } })
    }

    /// Returns true if the pattern covers a request with this method to this path (without `/api/v1/` and slashes at
    /// the ends).
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.method.is_none_or(|wanted| wanted == known(method)) && within(path, &self.prefix)
    }

    /// Specificity: longer patterns take precedence.
    pub fn closeness(&self) -> usize {
        self.prefix.len() * 2 + usize::from(self.method.is_some())
    }

    pub fn text(&self) -> String {
        let path = if self.prefix.is_empty() { "*" } else { &self.prefix };
        self.method.map_or_else(|| path.to_owned(), |method| format!("{method} {path}"))
    }
}

/// Returns true if `path` equals `prefix` or is below it, segment by segment.
fn within(path: &str, prefix: &str) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The caller as limits count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// An API key.
    Key(Id),
    /// An OAuth application for a user.
    OAuth(Id, Id),
    /// An unknown client at this address.
    Peer(Option<IpAddr>),
}

impl Who {
    /// The caller, or else the address of the peer.
    pub fn of(caller: Option<&Caller>, peer: Option<IpAddr>) -> Self {
        match caller {
            Some(Caller { credential: Credential::Key(key), .. }) => Self::Key(*key),
            Some(Caller { credential: Credential::OAuth { client, .. }, user, .. }) => Self::OAuth(*client, *user),
            None => Self::Peer(peer),
        }
    }
}

/// The name of a caller in reports; null if unknown.
pub(super) fn name(caller: Option<&Caller>) -> Json {
    caller.map_or(Json::Null, |caller| caller.name.as_str().into())
}
