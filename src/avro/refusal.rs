//! The reason why a record cannot be decoded.

use towpath_api::Body;

use super::codes;

/// A reason not to decode a record, or every record of a schema; becomes [`Body::Undecodable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// One of [`codes`], such as `decode.truncated`.
    pub(crate) code: &'static str,
    /// The reason for people, without any payload.
    pub(crate) reason: String,
    /// True if the key cannot be decoded.
    pub(crate) of_key: bool,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), of_key: false }
    }

    /// For a key, or a field of a key, that is null.
    pub(crate) fn key_null(what: &str) -> Self {
        Self::new(codes::KEY_NULL, format!("{what} is null and cannot identify a record"))
    }

    /// For an envelope with an unknown `op`.
    pub(crate) fn unknown_op() -> Self {
        Self::new(codes::UNKNOWN_OP, "`op` is not one of c, u, d, r, t and m")
    }

    /// For an envelope of a create, update or read without the new record.
    pub(crate) fn no_after() -> Self {
        Self::new(codes::NO_AFTER, "`after` is null or missing, which only a delete or truncate allows")
    }
}

impl From<Refusal> for Body {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, reason, of_key } = refusal;
        Self::Undecodable { code, reason, of_key }
    }
}
