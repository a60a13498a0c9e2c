//! The client of a running worker's management API.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;
use towpath_api::{Error, ErrorType, Result};

use super::codes;

/// The time that a worker has to answer. A request for a snapshot waits until it is stored in Kafka.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A running worker, reached over one of its `listeners`.
pub(super) struct Worker {
    client: Client,
    url: Url,
}

impl Worker {
    /// Connects to nothing.
    ///
    /// # Errors
    /// Fatal if `url` is not the URL of a worker.
    pub(super) fn new(url: &str) -> Result<Self> {
        let wrong = || Error::fatal(codes::WORKER_URL, ErrorType::Config, format!("use `{url}` as a worker's URL"));
        let url: Url = url.parse().map_err(|error| wrong().because(error))?;
        if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
            return Err(wrong().with_help("give one of its `listeners`, such as http://127.0.0.1:8083"));
        }
        // A proxy of the environment is for other hosts.
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(|error| wrong().because(error))?;
        Ok(Self { client, url })
    }

    /// `GET` of the path with these segments, to `doing`.
    pub(super) async fn get(&self, doing: &str, path: &[&str]) -> Result<Value> {
        self.ask(doing, Method::GET, path, None).await
    }

    /// `POST` of JSON to the path with these segments, to `doing`.
    pub(super) async fn post(&self, doing: &str, path: &[&str], body: &Value) -> Result<Value> {
        self.ask(doing, Method::POST, path, Some(body)).await
    }

    async fn ask(&self, doing: &str, method: Method, path: &[&str], body: Option<&Value>) -> Result<Value> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error: reqwest::Error| {
            Error::retry(codes::WORKER_UNREACHABLE, ErrorType::Unavailable, doing)
                .because(error.without_url())
                .with_help(format!("start the worker, or give another URL than {}", self.url))
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        let json = serde_json::from_str::<Value>(&text).ok();
        if let Some(json) = json.as_ref().filter(|_| status.is_success()) {
            return Ok(json.clone());
        }
        let detail = json.as_ref().and_then(|problem| problem["detail"].as_str());
        let reason = detail.map_or_else(|| format!("{} answers {status}", self.url), str::to_owned);
        Err(Error::fatal(codes::WORKER_REFUSED, error_type(status), doing).because(reason))
    }
}

fn error_type(status: StatusCode) -> ErrorType {
    match status {
        StatusCode::NOT_FOUND => ErrorType::NotFound,
        StatusCode::CONFLICT => ErrorType::Conflict,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorType::Auth,
        status if status.is_client_error() => ErrorType::BadRequest,
        _ => ErrorType::Unavailable,
    }
}
