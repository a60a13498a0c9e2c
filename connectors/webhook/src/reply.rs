//! Answers to clients: 202 with the place of each event, or a problem (RFC 9457) with a code and all misfits.
//!
//! What always holds: an answer says what the client can do, never what failed inside; the log has that. Every 503
//! and 429 has a `Retry-After`.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::{Body, Incoming},
    header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    http::request::Parts,
};
use serde::Serialize;
use towpath_api::{Error, ErrorType, Key, Placed, Reaction};
use towpath_listener::Peer;
use towpath_mapping::{Misfit, quote};

use crate::{codes, discard::discard, map::Unmapped, verify::Unverified};

/// The answer to a request.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The reason of a rejection in `towpath_webhook_rejections_total`. Refusals that the client did not cause have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Credentials,
    Malformed,
    TooLarge,
    UnknownObject,
    Schema,
    ContentType,
    UnknownConnector,
}

impl Reason {
    /// The value of the label `reason`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownObject => "unknown_object",
            Self::Schema => "schema",
            Self::ContentType => "content_type",
            Self::UnknownConnector => "unknown_connector",
        }
    }
}

/// The refusal of a request.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) reason: Option<Reason>,
    title: String,
    detail: String,
    errors: Vec<Misfit>,
    retry_after_secs: Option<u16>,
    /// True if the connection closes after the answer.
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
        Self::new(status, codes::MALFORMED, Some(Reason::Malformed), title, detail)
    }

    pub(crate) fn unknown_connector() -> Self {
        let detail = "The path must be `/hooks/` and the name of a webhook connector, in its letter case.";
        let (status, title) = (StatusCode::NOT_FOUND, "There is no such webhook");
        Self::new(status, codes::UNKNOWN_CONNECTOR, Some(Reason::UnknownConnector), title, detail)
    }

    /// The head of the request cannot be read.
    pub(crate) fn unreadable(status: StatusCode) -> Self {
        if status == StatusCode::BAD_REQUEST {
            return Self::malformed(status, "The request is not HTTP/1.1", "Its first line or a header is malformed.");
        }
        let title = "The head of the request is too large";
        let detail = "The request line and the headers have more than 16 KiB, or there are more than 64 headers.";
        Self::new(status, codes::TOO_LARGE, Some(Reason::TooLarge), title, detail)
    }

    pub(crate) fn method() -> Self {
        Self::malformed(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed", "Send events with POST.")
    }

    /// `why` continues a sentence about the body.
    pub(crate) fn content_type(why: &str) -> Self {
        let detail = format!("The body must be `application/json` in UTF-8, without a content encoding, but {why}.");
        let (status, title) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The type of the body is not supported");
        Self::new(status, codes::CONTENT_TYPE, Some(Reason::ContentType), title, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        let (status, title) = (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large");
        Self::new(status, codes::TOO_LARGE, Some(Reason::TooLarge), title, detail)
    }

    /// The body exceeds `body.max.bytes`. The connection closes, as the rest of the body may not be read to its end.
    pub(crate) fn body_too_large(max: usize) -> Self {
        let detail = format!("The body has more than {max} bytes; send fewer records per request.");
        Self { close: true, ..Self::too_large(detail) }
    }

    /// The body did not arrive in time.
    pub(crate) fn too_slow() -> Self {
        let detail = "The body did not arrive within 10 seconds; nothing was stored.";
        Self { close: true, ..Self::malformed(StatusCode::REQUEST_TIMEOUT, "The body did not arrive", detail) }
    }

    /// The body ended early. The client is gone and reads no answer, but the request is counted.
    pub(crate) fn ended_early() -> Self {
        let refusal = Self::malformed(
            StatusCode::BAD_REQUEST,
            "The body ended early",
            "The body did not arrive in full; nothing was stored.",
        );
        Self { close: true, ..refusal }
    }

    pub(crate) fn overloaded() -> Self {
        Self::later(
            codes::OVERLOADED,
            "Too many requests are in flight",
            "Nothing was stored; send the same post again.",
            1,
        )
    }

    /// Larger bodies hold all the memory that bodies of unknown senders may hold.
    pub(crate) fn no_memory() -> Self {
        let detail = "Nothing was stored; send the same post again, or fewer records per request.";
        Self { close: true, ..Self::later(codes::OVERLOADED, "Too many bodies are being read", detail, 1) }
    }

    /// Too many wrong credentials came from the address of the client.
    pub(crate) fn attempts() -> Self {
        let detail = "Too many posts from this address had wrong credentials; nothing was stored.";
        let (status, title) = (StatusCode::TOO_MANY_REQUESTS, "The credentials were not checked");
        let refusal = Self::new(status, codes::ATTEMPTS, Some(Reason::Credentials), title, detail);
        Self { retry_after_secs: Some(10), ..refusal }
    }

    pub(crate) fn draining() -> Self {
        let refusal =
            Self::later(codes::DRAINING, "The webhook is stopping", "Nothing was stored; send the same post again.", 5);
        Self { close: true, ..refusal }
    }

    /// The connector is known but not running: it is starting, failed, or between two runs.
    pub(crate) fn not_running() -> Self {
        Self::later(
            codes::UNAVAILABLE,
            "The webhook is not running at the moment",
            "Nothing was stored; send the same post again.",
            5,
        )
    }

    /// Events of `object` cannot be published until something is changed.
    pub(crate) fn unready(object: &str) -> Self {
        let title = format!("Events of `{object}` cannot be stored at the moment");
        let detail = "Nothing was stored; send the same post again. Other objects are not affected; the reason is in \
                      the log of the worker.";
        Self::later(codes::OBJECT_UNAVAILABLE, &title, detail, 30)
    }

    /// The answer for an error of the publisher.
    pub(crate) fn unpublished(error: &Error) -> Self {
        match (error.reaction, error.error_type) {
            (Reaction::Poison, ErrorType::TooLarge) => {
                // The broker may refuse one event of a post after it has taken others.
                Self::too_large(
                    "An event exceeds the size limit of its topic; shorten it or split it, and send the whole post \
                     again: other events of it may be stored.",
                )
            }
            (Reaction::Poison, _) => {
                let (status, title) = (StatusCode::UNPROCESSABLE_ENTITY, "An event cannot be stored");
                Self::new(
                    status,
                    codes::SCHEMA,
                    Some(Reason::Schema),
                    title,
                    "Sending it again unchanged does not help, and other events of the post may be stored; the reason \
                     is in the log of the worker.",
                )
            }
            _ => {
                let detail = "It is not known whether the event was stored; send the same post again.";
                Self::later(codes::UNAVAILABLE, "The event could not be stored at the moment", detail, 5)
            }
        }
    }

    /// The same for a request whose body was not read. The body is drained beside the answer. The connection is closed
    /// after it, because a client that does not send the body would have its next request read as the body.
    pub(crate) fn unread(self, head: &Parts, body: Incoming) -> Self {
        let has_body = !body.is_end_stream();
        discard(&head.headers, body);
        Self { close: self.close || has_body, ..self }
    }

    /// The answer to `peer`. A connection without a known client is closed after it: a stranger has one request, but
    /// any number with another method than POST, which read nothing.
    pub(crate) fn answer_to(mut self, peer: &Peer, instance: &str) -> Answer {
        self.close |= !(peer.is_known() || self.status == StatusCode::METHOD_NOT_ALLOWED);
        self.answer(instance)
    }

    /// The answer about the path `instance`.
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
        let title = "The body is not a post in JSON";
        match unverified {
            Unverified::Credentials => {
                let detail = "`clientid` and `clientSecret` must belong to a client of this webhook.";
                let (status, title) = (StatusCode::UNAUTHORIZED, "The credentials are wrong");
                Self::new(status, codes::CREDENTIALS, Some(Reason::Credentials), title, detail)
            }
            Unverified::NotUtf8(why) => Self::malformed(StatusCode::BAD_REQUEST, title, why),
            Unverified::Malformed(malformed) => Self::malformed(StatusCode::BAD_REQUEST, title, malformed.to_string()),
        }
    }
}

impl From<Unmapped> for Refusal {
    fn from(unmapped: Unmapped) -> Self {
        match unmapped {
            Unmapped::Envelope(errors) => {
                let detail =
                    "It has the fields clientid, clientSecret, objectname, id, data and action; nothing was stored.";
                Self {
                    errors,
                    ..Self::malformed(StatusCode::BAD_REQUEST, "The fields of the envelope are wrong", detail)
                }
            }
            Unmapped::Malformed(malformed) => {
                Self::malformed(StatusCode::BAD_REQUEST, "The body is not a post in JSON", malformed.to_string())
            }
            Unmapped::UnknownObject { name, near } => {
                let detail = format!("The webhook has no object {}{near}", quote(&name));
                let (status, title) = (StatusCode::NOT_FOUND, "There is no such object");
                Self::new(status, codes::UNKNOWN_OBJECT, Some(Reason::UnknownObject), title, detail)
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
                Self { errors, ..Self::new(status, codes::SCHEMA, Some(Reason::Schema), &title, detail) }
            }
        }
    }
}

/// 202: the broker has the events for good.
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
    // Structs of strings and numbers always serialize.
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
