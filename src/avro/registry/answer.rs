//! Translates failed requests to the registry into errors.

use std::error::Error as StdError;

use schema_registry_converter::{error::SRCError, schema_registry_common::RawError};
use towpath_api::{Error, ErrorType};

use crate::avro::codes;

/// Confluent's error code for an unknown id (Schema Registry API reference, "Errors").
const SCHEMA_NOT_FOUND: u32 = 40_403;

/// Returns the HTTP status, which `schema_registry_converter` reports only in its text; `None` without an answer.
pub(super) fn status(error: &SRCError) -> Option<u16> {
    error.error.split("with status ").nth(1)?.get(..3)?.parse().ok()
}

/// Returns true if the registry reports an unknown schema. The status 404 is not sufficient: a wrong path in the URL
/// also leads to 404.
pub(super) fn is_unknown_schema(error: &SRCError) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<RawError>()).any(|raw| raw.error_code == SCHEMA_NOT_FOUND)
}

/// Translates a failed request; `doing` is the verb phrase of the error.
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

/// Returns the error for an unavailable registry.
pub(super) fn unavailable(doing: String) -> Error {
    Error::retry(codes::REGISTRY_UNAVAILABLE, ErrorType::Unavailable, doing)
}

/// Returns the error and its causes. `schema_registry_converter` nests its errors when a referenced schema fails.
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
    fn the_status_determines_the_reaction() {
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
    fn only_the_registrys_error_code_makes_a_schema_unknown() {
        assert!(is_unknown_schema(&refusal("404 Not Found", 40_403)));
        assert!(!is_unknown_schema(&refusal("404 Not Found", 404)));
        assert!(!is_unknown_schema(&refusal("500 Internal Server Error", 0)));
    }

    #[test]
    fn an_outage_during_the_lookup_of_a_reference_is_a_retry() {
        let inner = SRCError::retryable_with_cause("refused", "http call to schema registry failed");
        let outer = SRCError::non_retryable_with_cause(inner, "problem with reference");
        assert_eq!(explain(&outer, "do".into()).code, "registry.unavailable");
    }
}
