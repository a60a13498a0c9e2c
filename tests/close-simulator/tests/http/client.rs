//! A plain client: one simulator, one key, JSON in and out.

use close_simulator::{Options, Running, Simulator};
use reqwest::Method;
use serde_json::Value;

/// A simulator with a client.
pub struct Close {
    pub running: Running,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Close {
    /// An organization without leads, `/_control/` on.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// The foundation alone: no lead, and no other objects of a data set.
    pub async fn bare() -> Self {
        Self::with(Options { leads: 0, ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        let running = Simulator::start(options).await.expect("a free port");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self { running, http }
    }

    /// The URL of a path below the API's root, or of one that begins with a slash.
    pub fn url(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            Some(path) => format!("http://{}/{path}", self.running.address),
            None => format!("{}{path}", self.running.base_url()),
        }
    }

    /// A request as the key of this name; an empty name sends no credentials.
    pub fn request(&self, key: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path));
        if key.is_empty() {
            request
        } else {
            request.basic_auth(self.running.key(key).expect("a key of this name"), Some(""))
        }
    }

    pub async fn send(request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    pub async fn get(&self, path: &str) -> Reply {
        Self::send(self.request("admin", Method::GET, path)).await
    }

    pub async fn get_as(&self, key: &str, path: &str) -> Reply {
        Self::send(self.request(key, Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        Self::send(self.request("admin", Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        Self::send(self.request("admin", Method::PUT, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        Self::send(self.request("admin", Method::DELETE, path)).await
    }

    /// Creates an object, which must succeed, and returns it.
    pub async fn make(&self, path: &str, body: Value) -> Value {
        let reply = self.post(path, body).await;
        assert!(reply.status < 300, "POST {path}: {} {}", reply.status, reply.text);
        reply.body
    }

    /// Sets switches.
    pub async fn switch(&self, switches: Value) {
        let reply = self.post("/_control/switches/", switches).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// Moves the clock forward by seconds.
    pub async fn advance(&self, secs: f64) {
        let reply = self.post("/_control/clock/", serde_json::json!({ "advance_secs": secs })).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }

    /// The events of an object, newest first.
    pub async fn events_of(&self, id: &str, object_type: &str) -> Vec<Value> {
        let reply = self.get(&format!("event/?object_id={id}&object_type={object_type}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body["data"].as_array().expect("a list of events").clone()
    }
}

impl Reply {
    /// The rows of a list.
    pub fn rows(&self) -> &[Value] {
        self.body["data"].as_array().unwrap_or_else(|| panic!("no list: {} {}", self.status, self.text))
    }
}
