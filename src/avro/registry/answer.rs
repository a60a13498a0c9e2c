//! What an answer of the registry, or its absence, means.

use std::error::Error as StdError;

use schema_registry_converter::{error::SRCError, schema_registry_common::RawError};
use towpath_api::{Error, ErrorType};

use crate::avro::codes;

/// Confluent's error code for an id that is not there (Schema Registry API reference, "Errors").
const SCHEMA_NOT_FOUND: u32 = 40_403;

/// The HTTP status of a refusal, which the converter tells in words only; `None` when no answer came.
pub(super) fn status(error: &SRCError) -> Option<u16> {
    error.error.split("with status ").nth(1)?.get(..3)?.parse().ok()
}

/// Whether the registry says that it does not know the schema. A 404 alone does not say so: a wrong path in the URL
/// gives one, too.
pub(super) fn is_unknown_schema(error: &SRCError) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<RawError>()).any(|raw| raw.error_code == SCHEMA_NOT_FOUND)
}

/// The error of a request while doing what `doing` says.
pub(super) fn explain(error: &SRCError, doing: String) -> Error {
    let innermost = causes(error).filter_map(|cause| cause.downcast_ref::<SRCError>()).last().unwrap_or(error);
    let reply = innermost.cause.clone().unwrap_or_else(|| innermost.error.clone());
    match status(innermost) {
        Some(409) => {
            let doing = format!("{doing}: it is not compatible with the versions already registered");
            Error::fatal(codes::INCOMPATIBLE, ErrorType::Schema, doing)
                .with_help("make the new schema compatible, or change the compatibility of the subject")
        }
        Some(401 | 403) => Error::retry(codes::REGISTRY_AUTH, ErrorType::Auth, doing)
            .with_help("check the user and password in `schema.registry.url`"),
        Some(404) => Error::fatal(codes::REGISTRY_REFUSED, ErrorType::Config, doing)
            .with_help("check the path in `schema.registry.url`"),
        Some(408 | 429) => Error::retry(codes::REGISTRY_UNAVAILABLE, ErrorType::RateLimited, doing),
        Some(400..500) => Error::fatal(codes::REGISTRY_REFUSED, ErrorType::Schema, doing),
        _ => unavailable(doing),
    }
    .because(reply)
}

/// The error of a registry that is away.
pub(super) fn unavailable(doing: String) -> Error {
    Error::retry(codes::REGISTRY_UNAVAILABLE, ErrorType::Unavailable, doing)
}

/// The error and its causes. The converter wraps one of its errors in another when a schema refers to a second one.
fn causes(error: &SRCError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use towpath_api::Reaction::{Fatal, Retry};

    use super::*;

    fn refusal(status: &str, error_code: u32) -> SRCError {
        let raw: RawError = serde_json::from_value(json!({"error_code": error_code, "message": "words"})).unwrap();
        SRCError::non_retryable_with_cause(raw, &format!("HTTP request to schema registry failed with status {status}"))
    }

    #[test]
    fn the_status_decides_what_is_done() {
        for (status, reaction, code) in [
            ("409 Conflict", Fatal, "registry.incompatible"),
            ("422 Unprocessable Entity", Fatal, "registry.refused"),
            ("404 Not Found", Fatal, "registry.refused"),
            ("401 Unauthorized", Retry, "registry.auth"),
            ("429 Too Many Requests", Retry, "registry.unavailable"),
            ("500 Internal Server Error", Retry, "registry.unavailable"),
        ] {
            let error = explain(&refusal(status, 0), "do".into());
            assert_eq!((error.reaction, error.code), (reaction, code), "{status}");
            assert!(error.chain().ends_with("message: words"), "{}", error.chain());
        }
        assert_eq!(explain(&SRCError::new("no answer", None, true), "do".into()).code, "registry.unavailable");
    }

    #[test]
    fn only_the_registrys_own_word_makes_a_schema_unknown() {
        assert!(is_unknown_schema(&refusal("404 Not Found", 40_403)));
        assert!(!is_unknown_schema(&refusal("404 Not Found", 404)));
        assert!(!is_unknown_schema(&refusal("500 Internal Server Error", 0)));
    }

    #[test]
    fn a_registry_that_is_away_while_a_reference_is_looked_up_is_waited_for() {
        let inner = SRCError::retryable_with_cause("refused", "http call to schema registry failed");
        let outer = SRCError::non_retryable_with_cause(inner, "problem with reference");
        assert_eq!(explain(&outer, "do".into()).code, "registry.unavailable");
    }
}
