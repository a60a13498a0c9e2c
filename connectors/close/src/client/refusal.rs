//! Answers of Close that waiting does not change, as errors.

use reqwest::{Method, StatusCode};
use serde_json::Value as Json;
use towpath_api::{Error, ErrorType, Reaction};

use crate::codes;

/// The longest message of Close that is shown.
const LONGEST: usize = 200;

/// An answer with a status that waiting does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Close's message, if it is short and plain.
    pub(crate) message: Option<String>,
    /// The largest `_skip` that the list takes, if the message names it.
    pub(crate) max_skip: Option<u64>,
    /// The positions in a list that was sent, `events`, of the entries that Close does not take.
    pub(crate) refused_events: Vec<usize>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("without a readable message"))
    }
}

impl std::error::Error for Refusal {}

/// The refusal behind an error of the client.
pub(crate) fn refusal(error: &Error) -> Option<&Refusal> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The largest `_skip` that a list takes, if the error is Close's refusal of a larger one.
pub(crate) fn max_skip(error: &Error) -> Option<u64> {
    refusal(error)?.max_skip
}

/// Returns true for an error that says nothing about other objects: the object, or the row, waits alone.
pub(crate) fn concerns_one_object(error: &Error) -> bool {
    let own =
        [codes::FORBIDDEN, codes::NOT_FOUND, codes::REFUSED, codes::FAILING, codes::TOO_LARGE, codes::DELETES_WAIT];
    error.reaction == Reaction::Fatal && own.contains(&error.code)
}

impl Refusal {
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let body: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = message(&body);
        let max_skip = text.as_deref().and_then(largest_skip);
        let entries = body.pointer("/field-errors/events/errors").and_then(Json::as_object);
        let refused_events = entries.into_iter().flatten().filter_map(|(position, _)| position.parse().ok()).collect();
        Self { status: status.as_u16(), message: text.filter(|text| is_plain(text)), max_skip, refused_events }
    }

    /// The error of a request that was refused.
    pub(super) fn error(self, method: &Method, path: &str) -> Error {
        let status = self.status;
        let doing = format!("request {method} {path} of Close: it answered {status}");
        let (code, kind, help) = match status {
            401 => (
                codes::KEY_REFUSED,
                ErrorType::Auth,
                "set `close.api.key` to a key of a user who is still a member of the organization",
            ),
            402 => {
                (codes::REFUSED, ErrorType::Auth, "the organization's plan does not include this: exclude the object")
            }
            403 => (
                codes::FORBIDDEN,
                ErrorType::Auth,
                "give the key's user this right in Close, or exclude the object with `objects.exclude`",
            ),
            404 => (codes::NOT_FOUND, ErrorType::NotFound, "it does not exist, or the key's user does not see it"),
            _ => (codes::REFUSED, ErrorType::BadRequest, "see the message of Close; a newer Towpath may be needed"),
        };
        Error::fatal(code, kind, doing).because(self).with_help(help)
    }
}

/// The first message in an error's body: `{"error": "…"}`, `{"errors": ["…"]}`, or that of the first field.
fn message(body: &Json) -> Option<String> {
    let text = |value: &Json| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let error = body.get("error");
    if let Some(error) = error.and_then(|error| text(error).or_else(|| text(error.get("message")?))) {
        return Some(error);
    }
    if let Some(error) = body.pointer("/errors/0").and_then(text) {
        return Some(error);
    }
    let (field, message) = body.get("field-errors")?.as_object()?.iter().next()?;
    text(message).map(|message| format!("{field}: {message}"))
}

/// Returns true for a text without anything that may be content of a record, such as an address or a quote of a value.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " .,:;'`\"_=()/-!".contains(c);
    text.len() <= LONGEST && text.chars().all(plain)
}

/// `max_skip = 250000`, or `_skip … less than or equal to 10000` in newer endpoints.
fn largest_skip(text: &str) -> Option<u64> {
    let after = |mark: &str| {
        let rest = text.split_once(mark)?.1.trim_start_matches([' ', '=', ':', '`', '\'', '"']);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    after("max_skip").or_else(|| after("less than or equal to").filter(|_| text.contains("_skip")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::read(status, body.as_bytes()).error(&Method::GET, "activity/email/")
    }

    #[test]
    fn the_largest_skip_is_read_from_both_wordings() {
        let old =
            r#"{"error": "The value you provided for _skip is larger than max_skip = 250000. Refine your query."}"#;
        let new = r#"{"errors": [], "field-errors": {"_skip": "Input should be less than or equal to 10000"}}"#;
        assert_eq!(max_skip(&read(400, old)), Some(250_000));
        assert_eq!(max_skip(&read(400, new)), Some(10_000));
        assert_eq!(max_skip(&read(400, r#"{"error": "Cursor expired"}"#)), None);
        let chain = read(400, old).chain();
        assert!(chain.starts_with("request GET activity/email/ of Close: it answered 400: The value"), "{chain}");
    }

    #[test]
    fn the_status_decides_on_the_code() {
        for (status, code) in [
            (400, codes::REFUSED),
            (401, codes::KEY_REFUSED),
            (402, codes::REFUSED),
            (403, codes::FORBIDDEN),
            (404, codes::NOT_FOUND),
            (415, codes::REFUSED),
        ] {
            let error = read(status, "<html>");
            assert_eq!((error.code, error.needs_action()), (code, true));
            assert_eq!(refusal(&error).unwrap().status, status);
        }
    }

    #[test]
    fn what_may_be_content_of_a_record_is_not_shown() {
        let error = read(400, r#"{"errors": ["canary@example.com is not valid"], "field-errors": {}}"#);
        assert!(!error.chain().contains("canary"), "{}", error.chain());
        assert!(!format!("{error:?}").contains("canary"));
        let long = format!(r#"{{"error": "{}"}}"#, "x".repeat(LONGEST + 1));
        assert_eq!(refusal(&read(400, &long)).unwrap().message, None);
    }
}
