//! One exchange with Close: a request, its whole answer, and what it means. Repeats nothing.

use std::time::Duration;

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;
use towpath_keys::Secret;

use super::{
    digits,
    headers::{self, Announced},
    refusal::Refusal,
};
use crate::moment::Moment;

/// Answers from this size are parsed on a thread of their own.
const LARGE: usize = 128 * 1024;
/// The wait after a 429 that names no time.
const NO_TIME: Duration = Duration::from_secs(2);
/// The shortest wait after a 429: one that says that nothing is to be waited for contradicts itself.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A 2xx with a JSON object, or with nothing where nothing is expected.
    Answered { body: Map<String, Json>, bytes: usize, date: Option<Moment>, elapsed: Duration },
    /// A 429: wait for so long.
    Throttled(Duration),
    /// A status that waiting does not change.
    Refused(Refusal),
    /// An answer with more bytes than are taken.
    TooLarge,
    /// Something that is not an answer of Close's API to this request, and may be one later.
    Unavailable(Unavailable),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Unavailable {
    /// As in `it answered 503`.
    pub(super) why: String,
    /// True if it looks as if Close were not there at all: HTML, another JSON, a redirect to elsewhere.
    pub(super) elsewhere: bool,
    pub(super) timed_out: bool,
}

impl Unavailable {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), elsewhere: false, timed_out: false }
    }

    fn elsewhere(why: impl Into<String>) -> Self {
        Self { elsewhere: true, ..Self::new(why) }
    }
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The status, if there was one.
    pub(super) status: Option<u16>,
    /// What the answer announces of the allowance.
    pub(super) announced: Option<Announced>,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// A request that can be made again.
#[derive(Debug)]
pub(super) struct Request<'r> {
    pub(super) http: &'r reqwest::Client,
    pub(super) key: &'r Secret,
    pub(super) method: &'r Method,
    pub(super) url: Url,
    pub(super) body: Option<&'r Json>,
    /// Bytes of the answer at most.
    pub(super) largest: usize,
}

/// Sends a request and reads its whole answer. Follows one redirect of a `GET` to the same path with a slash.
pub(super) async fn exchange(request: &Request<'_>) -> Exchange {
    let began = Instant::now();
    let mut exchange = once(request, &request.url).await;
    if let Err(target) = &exchange {
        let target = target.clone();
        exchange = once(request, &target).await;
    }
    let elsewhere = |_| {
        let outcome = Outcome::Unavailable(Unavailable::elsewhere("it redirects again and again"));
        Exchange { status: None, announced: None, outcome, took: Duration::ZERO }
    };
    Exchange { took: began.elapsed(), ..exchange.unwrap_or_else(elsewhere) }
}

/// `Err` with the target of a redirect that may be followed.
async fn once(request: &Request<'_>, url: &Url) -> Result<Exchange, Url> {
    let (began, Request { http, key, method, body, largest, .. }) = (Instant::now(), request);
    // The key is the user, and there is no password.
    let mut request = http.request((*method).clone(), url.clone()).basic_auth(key.reveal(), Some(""));
    if let Some(body) = body {
        // From memory, so with a length: Close refuses chunked bodies.
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_string());
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(failed(None, None, &error)),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    if status.is_redirection() {
        if let Some(target) = may_follow(method, url, &headers) {
            return Err(target);
        }
        let why = format!("it redirects ({}) to another address", status.as_u16());
        return Ok(ended(status, None, Outcome::Unavailable(Unavailable::elsewhere(why))));
    }
    let announced = Announced::read(&headers);
    let bytes = match whole(response, *largest).await {
        Ok(bytes) => bytes,
        Err(Cut::Broken(error)) => return Ok(failed(Some(status), announced, &error)),
        Err(Cut::Endless) => return Ok(ended(status, announced, Outcome::TooLarge)),
    };
    let outcome = meaning(status, &headers, bytes, announced, method, began.elapsed()).await;
    Ok(ended(status, announced, outcome))
}

fn ended(status: StatusCode, announced: Option<Announced>, outcome: Outcome) -> Exchange {
    Exchange { status: Some(status.as_u16()), announced, outcome, took: Duration::ZERO }
}

fn failed(status: Option<StatusCode>, announced: Option<Announced>, error: &reqwest::Error) -> Exchange {
    let timed_out = error.is_timeout();
    let why = match status {
        _ if timed_out => "no whole answer in time".to_owned(),
        None if error.is_connect() => format!("cannot connect: {}", innermost(error)),
        None => format!("the connection broke before an answer: {}", innermost(error)),
        Some(status) => format!("its answer ({}) was cut off: {}", status.as_u16(), innermost(error)),
    };
    let outcome = Outcome::Unavailable(Unavailable { timed_out, ..Unavailable::new(why) });
    // A cut answer still has a status; it counts as no answer.
    Exchange { status: None, announced, outcome, took: Duration::ZERO }
}

/// The cause at the bottom, which names no address with its query.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

enum Cut {
    Broken(reqwest::Error),
    Endless,
}

async fn whole(mut response: Response, largest: usize) -> Result<Vec<u8>, Cut> {
    let promised = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if promised > largest {
        return Err(Cut::Endless);
    }
    let mut bytes = Vec::with_capacity(promised.min(LARGE));
    while let Some(chunk) = response.chunk().await.map_err(Cut::Broken)? {
        if bytes.len() + chunk.len() > largest {
            return Err(Cut::Endless);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn meaning(
    status: StatusCode,
    headers: &HeaderMap,
    bytes: Vec<u8>,
    announced: Option<Announced>,
    method: &Method,
    elapsed: Duration,
) -> Outcome {
    let number = status.as_u16();
    let is_page = is_html(headers, &bytes);
    match number {
        // A write may be answered with nothing.
        200..300 if bytes.is_empty() && *method != Method::GET => {
            Outcome::Answered { body: Map::new(), bytes: 0, date: headers::date(headers), elapsed }
        }
        200..300 => match (bytes.len(), parsed(bytes).await) {
            (bytes, Ok(body)) => Outcome::Answered { body, bytes, date: headers::date(headers), elapsed },
            (_, Err(_)) if is_page => Outcome::Unavailable(Unavailable::elsewhere("its answer is a web page")),
            (_, Err(why)) => Outcome::Unavailable(Unavailable::new(why)),
        },
        429 => {
            let reset = announced.and_then(|announced| announced.reset);
            let told = reset.max(headers::retry_after(headers)).max(headers::rate_reset(&bytes));
            Outcome::Throttled(told.unwrap_or(NO_TIME).max(SHORTEST_WAIT))
        }
        // A gateway may refuse with a page of its own, and let the same request pass later. That something does not
        // exist is believed of Close alone: a record may be deleted for it.
        400..500 if is_page || number == 404 && !is_error_of_close(&bytes) => {
            Outcome::Unavailable(Unavailable::elsewhere(format!("it answered {number}, and not as Close does")))
        }
        408 | 425 => Outcome::Unavailable(Unavailable::new(format!("it answered {number}"))),
        400..500 => Outcome::Refused(Refusal::read(status, &bytes)),
        _ => Outcome::Unavailable(Unavailable::new(format!("it answered {number}"))),
    }
}

fn is_error_of_close(bytes: &[u8]) -> bool {
    parse(bytes).is_ok_and(|body| body.contains_key("error") || body.contains_key("errors"))
}

fn is_html(headers: &HeaderMap, bytes: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html") || bytes.trim_ascii_start().starts_with(b"<")
}

async fn parsed(bytes: Vec<u8>) -> Result<Map<String, Json>, &'static str> {
    if bytes.len() < LARGE {
        return parse(&bytes);
    }
    tokio::task::spawn_blocking(move || parse(&bytes)).await.unwrap_or(Err("its answer could not be parsed in time"))
}

fn parse(bytes: &[u8]) -> Result<Map<String, Json>, &'static str> {
    match serde_json::from_slice(&digits::kept(bytes)) {
        Ok(Json::Object(body)) => Ok(body),
        Ok(_) => Err("its answer is not a JSON object"),
        Err(_) if bytes.is_empty() => Err("its answer is empty"),
        Err(_) => Err("its answer is not JSON"),
    }
}

/// A redirect that adds the missing slash to a `GET`, on the same host.
fn may_follow(method: &Method, url: &Url, headers: &HeaderMap) -> Option<Url> {
    let target = url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    let same =
        target.origin() == url.origin() && target.path().trim_end_matches('/') == url.path().trim_end_matches('/');
    (*method == Method::GET && same && target != *url).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wait after a 429 with these headers and this body.
    async fn wait(pairs: &[(&'static str, &'static str)], body: &str) -> Duration {
        let value = |(name, value): &(&'static str, &'static str)| {
            (reqwest::header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = pairs.iter().map(value).collect();
        let (status, announced) = (StatusCode::TOO_MANY_REQUESTS, Announced::read(&headers));
        let bytes = body.as_bytes().to_vec();
        match meaning(status, &headers, bytes, announced, &Method::GET, Duration::ZERO).await {
            Outcome::Throttled(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_longest_wait_that_a_429_tells_of_is_obeyed() {
        let secs = Duration::from_secs;
        let reset = ("ratelimit", "limit=10, remaining=0, reset=0");
        assert_eq!(wait(&[reset, ("retry-after", "20")], "").await, secs(20));
        assert_eq!(wait(&[reset, ("retry-after", "1")], r#"{"error": {"rate_reset": 30}}"#).await, secs(30));
        assert_eq!(wait(&[("retry-after", "5400")], "").await, secs(5_400), "longer than a window");
        assert_eq!(wait(&[reset], "").await, SHORTEST_WAIT);
        assert_eq!(wait(&[], "<html>").await, NO_TIME);
    }
}
