//! A request, parsed as far as every handler needs it.

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::{
    model::{Moment, Refusal},
    world::change::Body,
};

/// A request with its complete body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
    /// The query in order, decoded.
    pub params: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As received.
    pub body: Bytes,
    /// From `x-tz-offset`: minutes from UTC, 0 if absent.
    pub offset_minutes: i32,
    /// The segments matched by the placeholders of the route, in order.
    pub segments: Vec<String>,
    /// Bytes of path and query as sent.
    pub url_length: usize,
    /// The client's address, if the request came over a connection.
    pub peer: Option<std::net::IpAddr>,
}

impl Request {
    pub fn new(method: &str, path: &str, query: &str, headers: Vec<(String, String)>, body: Bytes) -> Self {
        let params = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut request =
            Self { method: method.to_owned(), path: path.to_owned(), params, headers, body, ..Self::default() };
        request.url_length = path.len() + query.len();
        #[allow(clippy::cast_possible_truncation)]
        let offset = request
            .header("x-tz-offset")
            .and_then(|hours| hours.trim().parse::<f64>().ok())
            .map(|hours| (hours * 60.0).round() as i32);
        request.offset_minutes = offset.filter(|minutes| minutes.abs() <= 18 * 60).unwrap_or(0);
        request
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter; the last one if it is repeated.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a moment.
    pub fn moment(&self, name: &str) -> Result<Option<Moment>, Refusal> {
        let Some(text) = self.param(name) else { return Ok(None) };
        match Moment::parse(text, self.offset_minutes) {
            Some(at) => Ok(Some(at)),
            None => Err(Refusal::bad(format!("Invalid value for {name}: '{text}' is not a date or datetime."))),
        }
    }

    /// The body as a JSON object; an empty body is an empty object.
    ///
    /// # Errors
    /// 400 in the framework's words (reference, section 1.6).
    pub fn json(&self) -> Result<Body, Refusal> {
        if self.body.is_empty() {
            return Ok(Body { map: Map::new(), offset_minutes: self.offset_minutes });
        }
        if !self.has_json() {
            return Err(Refusal::bad("Invalid Content-Type: the request body must be application/json."));
        }
        match serde_json::from_slice::<Json>(&self.body) {
            Ok(Json::Object(map)) => Ok(Body { map, offset_minutes: self.offset_minutes }),
            Ok(_) => Err(Refusal::bad("The JSON request body must be an object.")),
            Err(_) => Err(Refusal::bad("The request contains invalid JSON.")),
        }
    }

    /// Returns true if the content type is JSON.
    pub fn has_json(&self) -> bool {
        let kind =
            self.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    }
}
