//! Why a record cannot be decoded.

use towpath_api::Body;

use super::codes;

/// Why records of a schema cannot be decoded; becomes [`Body::Undecodable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The code, `decode.reason`.
    pub(crate) code: &'static str,
    /// The reason, without any payload.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// For a key, or a part of one, that is null.
    pub(crate) fn key_null(what: &str) -> Self {
        Self::new(codes::KEY_NULL, format!("{what} is null, so it names no record"))
    }

    /// For an envelope whose `op` has no meaning.
    pub(crate) fn unknown_op() -> Self {
        Self::new(codes::UNKNOWN_OP, "`op` is none of c, u, d, r, t and m")
    }

    /// For an envelope that changes a record and does not say to what.
    pub(crate) fn no_after() -> Self {
        Self::new(codes::NO_AFTER, "a change that is no delete has no `after`")
    }
}

impl From<Refusal> for Body {
    fn from(refusal: Refusal) -> Self {
        Self::Undecodable { code: refusal.code, reason: refusal.reason }
    }
}
