//! What a client is told: 202 with the place of each event, or a problem (RFC 9457) with a code and every wrong field.
//!
//! What always holds: a stranger learns what to do, not what broke in here; the log has that. Each 503 says when to
//! come back.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde::Serialize;
use towpath_api::{Error, ErrorType, Key, Placed, Reaction};
use towpath_mapping::{Misfit, quote};

use crate::{map::Unmapped, verify::Unverified};

/// What a request is answered with.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a post was refused, for `towpath_webhook_rejections_total`. Refusals that are not the client's doing have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Credentials,
    Malformed,
    TooLarge,
    UnknownObject,
    Schema,
}

impl Reason {
    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownObject => "unknown_object",
            Self::Schema => "schema",
        }
    }
}

/// A request that makes no event.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) reason: Option<Reason>,
    title: String,
    detail: String,
    errors: Vec<Misfit>,
    retry_after_secs: Option<u16>,
    /// Whether the connection ends with the answer.
    close: bool,
}

impl Refusal {
    fn new(
        status: StatusCode,
        code: &'static str,
        reason: Option<Reason>,
        title: &str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        Self {
            status,
            code,
            reason,
            title: title.to_owned(),
            detail,
            errors: Vec::new(),
            retry_after_secs: None,
            close: false,
        }
    }

    fn later(code: &'static str, title: &str, detail: &str, retry_after_secs: u16) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, None, title, detail);
        Self { retry_after_secs: Some(retry_after_secs), ..refusal }
    }

    fn malformed(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self::new(status, "webhook.malformed", Some(Reason::Malformed), title, detail)
    }

    pub(crate) fn unknown_connector() -> Self {
        let detail = "The path is `/hooks/` and the name of a running webhook connector.";
        Self::new(StatusCode::NOT_FOUND, "webhook.unknown_connector", None, "There is no such webhook", detail)
    }

    pub(crate) fn method() -> Self {
        Self::malformed(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed", "Events are sent with POST.")
    }

    pub(crate) fn content_type() -> Self {
        let detail = "The body must be `application/json` in UTF-8, without a content encoding.";
        let (status, title) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of a type that is not taken");
        Self::new(status, "webhook.content_type", Some(Reason::Malformed), title, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        let (status, title) = (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large");
        Self::new(status, "webhook.too_large", Some(Reason::TooLarge), title, detail)
    }

    /// The body did not come in time.
    pub(crate) fn too_slow() -> Self {
        let detail = "The body did not arrive within 10 seconds; nothing was stored.";
        Self { close: true, ..Self::malformed(StatusCode::REQUEST_TIMEOUT, "The body did not arrive", detail) }
    }

    /// The body broke off. Nobody is there to read the answer; it is counted.
    pub(crate) fn broken_off() -> Self {
        let refusal = Self::malformed(
            StatusCode::BAD_REQUEST,
            "The body broke off",
            "The body did not arrive whole; nothing was stored.",
        );
        Self { close: true, ..refusal }
    }

    pub(crate) fn overloaded() -> Self {
        Self::later(
            "webhook.overloaded",
            "Too many requests are under way",
            "Nothing was stored; send the event again.",
            1,
        )
    }

    pub(crate) fn draining() -> Self {
        let refusal =
            Self::later("webhook.draining", "The webhook is stopping", "Nothing was stored; send the event again.", 5);
        Self { close: true, ..refusal }
    }

    /// The connector is known but not running: it is starting, failed, or between two runs.
    pub(crate) fn not_running() -> Self {
        Self::later(
            "webhook.unavailable",
            "The webhook is not running at the moment",
            "Nothing was stored; send the event again.",
            5,
        )
    }

    /// What the publisher's error means for the client.
    pub(crate) fn unpublished(error: &Error) -> Self {
        match (error.reaction, error.error_type) {
            (Reaction::Poison, ErrorType::TooLarge) => {
                Self::too_large("An event is larger than its topic takes; split it or leave something out.")
            }
            (Reaction::Poison, _) => {
                let (status, title) = (StatusCode::UNPROCESSABLE_ENTITY, "An event can never be stored");
                Self::new(
                    status,
                    "webhook.schema",
                    Some(Reason::Schema),
                    title,
                    "The event is refused for good; the log of the worker has the reason.",
                )
            }
            _ => {
                let detail = "Whether it was stored is not known; send the event again.";
                Self::later("webhook.unavailable", "The event could not be stored for now", detail, 5)
            }
        }
    }

    pub(crate) fn answer(self, instance: &str) -> Answer {
        let problem = Problem {
            r#type: format!("/errors#{}", self.code),
            title: &self.title,
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            instance,
            errors: &self.errors,
        };
        let mut answer = json(self.status, "application/problem+json", &problem);
        let headers = answer.headers_mut();
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, secs.into());
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

impl From<Unverified> for Refusal {
    fn from(unverified: Unverified) -> Self {
        let title = "The body is not the JSON of a post";
        match unverified {
            Unverified::Credentials => {
                let detail = "`clientid` and `clientSecret` must be those of a client of this webhook.";
                let (status, title) = (StatusCode::UNAUTHORIZED, "The credentials are not right");
                Self::new(status, "webhook.credentials", Some(Reason::Credentials), title, detail)
            }
            Unverified::NotUtf8 => Self::malformed(StatusCode::BAD_REQUEST, title, "not UTF-8"),
            Unverified::Malformed(malformed) => Self::malformed(StatusCode::BAD_REQUEST, title, malformed.to_string()),
        }
    }
}

impl From<Unmapped> for Refusal {
    fn from(unmapped: Unmapped) -> Self {
        match unmapped {
            Unmapped::Envelope(errors) => {
                let detail =
                    "Its fields are clientid, clientSecret, objectname, id, data and action; nothing was stored.";
                Self {
                    errors,
                    ..Self::malformed(StatusCode::BAD_REQUEST, "The fields of the envelope are not right", detail)
                }
            }
            Unmapped::Malformed(malformed) => {
                Self::malformed(StatusCode::BAD_REQUEST, "The body is not the JSON of a post", malformed.to_string())
            }
            Unmapped::UnknownObject { name, near } => {
                let detail = format!("No object {} is agreed{near}", quote(&name));
                let (status, title) = (StatusCode::NOT_FOUND, "There is no such object");
                Self::new(status, "webhook.unknown_object", Some(Reason::UnknownObject), title, detail)
            }
            Unmapped::Schema { object, misfits, .. } => {
                let total = misfits.total();
                let errors = misfits.into_listed();
                let listed = if total > errors.len() {
                    format!("; the first {} are listed", errors.len())
                } else {
                    String::new()
                };
                let detail = match total {
                    1 => "1 field is wrong; nothing was stored.".to_owned(),
                    _ => format!("{total} fields are wrong; nothing was stored{listed}."),
                };
                let title = format!("The event does not fit the agreed schema of `{object}`");
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self { errors, ..Self::new(status, "webhook.schema", Some(Reason::Schema), &title, detail) }
            }
        }
    }
}

/// The answer to a post whose events the broker has for good.
pub(crate) fn accepted(keys: &[Key], placed: &[Placed], is_array: bool) -> Answer {
    let mut events = keys.iter().zip(placed).map(|(key, placed)| Stored {
        id: match key {
            Key::Text(text) => Id::Text(text),
            Key::Long(number) => Id::Long(*number),
        },
        topic: &placed.topic,
        partition: placed.partition,
        offset: placed.offset,
    });
    let accepted = match (is_array, events.next()) {
        (false, Some(event)) => Accepted::One { status: "accepted", event },
        (_, first) => {
            let events: Vec<Stored<'_>> = first.into_iter().chain(events).collect();
            Accepted::Many { status: "accepted", count: events.len(), events }
        }
    };
    json(StatusCode::ACCEPTED, "application/json", &accepted)
}

fn json(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Answer {
    // Structs of texts and numbers serialise without fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Misfit],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Accepted<'a> {
    One {
        status: &'static str,
        #[serde(flatten)]
        event: Stored<'a>,
    },
    Many {
        status: &'static str,
        count: usize,
        events: Vec<Stored<'a>>,
    },
}

#[derive(Serialize)]
struct Stored<'a> {
    id: Id<'a>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Text(&'a str),
    Long(i64),
}
