//! Translates failed requests to the registry into errors.

use std::error::Error as StdError;

use schema_registry_converter::{error::SRCError, schema_registry_common::RawError};
use towpath_api::{Error, ErrorType, Reaction};

use crate::avro::codes;

/// Confluent's error codes for an unknown subject, version and id (Schema Registry API reference, "Errors").
const SUBJECT_NOT_FOUND: u32 = 40_401;
const VERSION_NOT_FOUND: u32 = 40_402;
const SCHEMA_NOT_FOUND: u32 = 40_403;

/// The message that `schema_registry_converter` gives an answer that is not the JSON of a registry.
const NOT_JSON: &str = "couldn't parse schema registry error json";

/// Returns the HTTP status, which `schema_registry_converter` reports only in its text; `None` without an answer.
pub(super) fn status(error: &SRCError) -> Option<u16> {
    error.error.split("with status ").nth(1)?.get(..3)?.parse().ok()
}

/// Returns true if the registry reports an unknown schema. The status 404 is not sufficient: a wrong path in the URL
/// also leads to 404, and so does a gateway in front of the registry.
pub(super) fn is_unknown_schema(error: &SRCError) -> bool {
    registry_code(error) == Some(SCHEMA_NOT_FOUND)
}

/// Returns true if the registry reports an unknown subject or version.
pub(super) fn is_unknown_subject(error: &SRCError) -> bool {
    matches!(registry_code(error), Some(SUBJECT_NOT_FOUND | VERSION_NOT_FOUND))
}

/// Returns true if the registry itself reports that it does not support the request. Its answers are JSON; those of a
/// gateway are not.
pub(super) fn is_unsupported(error: &SRCError) -> bool {
    let raw = causes(error).find_map(|cause| cause.downcast_ref::<RawError>());
    matches!(status(error), Some(404 | 405 | 501)) && raw.is_some_and(|raw| raw.message != NOT_JSON)
}

/// The code in an answer of the registry.
fn registry_code(error: &SRCError) -> Option<u32> {
    causes(error).find_map(|cause| cause.downcast_ref::<RawError>()).map(|raw| raw.error_code)
}

/// Translates a failed lookup; `doing` is the verb phrase of the error. A lookup changes nothing and is always retried:
/// whatever the answer is, it is not about a record.
pub(super) fn explain_lookup(error: &SRCError, doing: String) -> Error {
    let mut error = explain(error, doing);
    error.reaction = Reaction::Retry;
    error
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
        // The registry would be asked in vain, but a gateway in front of it answers so while it restarts.
        Some(404) => Error::retry(codes::REGISTRY_REFUSED, ErrorType::Config, doing)
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
            ("404 Not Found", Retry, "registry.refused"),
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
    fn a_lookup_is_retried_whatever_the_answer_is() {
        for status in ["400 Bad Request", "404 Not Found", "409 Conflict", "410 Gone", "422 Unprocessable Entity"] {
            assert_eq!(explain_lookup(&refusal(status, 0), "do".into()).reaction, Retry, "{status}");
        }
    }

    #[test]
    fn only_the_registry_itself_can_lack_a_subject_or_a_kind_of_lookup() {
        assert!(is_unknown_subject(&refusal("404 Not Found", 40_401)));
        assert!(is_unknown_subject(&refusal("404 Not Found", 40_402)));
        assert!(!is_unknown_subject(&refusal("404 Not Found", 0)));
        assert!(is_unsupported(&refusal("404 Not Found", 404)));
        assert!(is_unsupported(&refusal("404 Not Found", 0)), "Apicurio's answer has the code 0");
        let page: RawError = serde_json::from_value(json!({"error_code": 0, "message": NOT_JSON})).unwrap();
        let page = SRCError::non_retryable_with_cause(page, "HTTP request failed with status 404 Not Found");
        assert!(!is_unsupported(&page), "a page in HTML");
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
