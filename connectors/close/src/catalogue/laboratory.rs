//! A simulated Close, read plainly, for tests of pure code: no limits, no faults, one request after the other.

use std::collections::HashMap;

use close_simulator::{Options, Running, Simulator};
use reqwest::{Client, Method};
use serde_json::{Map, Value as Json};

use super::{KINDS, Kind, Listing, kind};
use crate::{
    record::LogEvent,
    structure::{Definitions, Structure},
};

pub(crate) type Row = Map<String, Json>;

pub(crate) struct Laboratory {
    running: Running,
    client: Client,
    host: String,
    key: String,
}

impl Laboratory {
    pub(crate) async fn new(leads: usize) -> Self {
        let running = Simulator::start(Options { leads, ..Options::default() }).await.unwrap();
        let key = running.key("admin").unwrap();
        let host = format!("http://{}", running.address);
        Self { running, client: Client::new(), host, key }
    }

    pub(crate) fn url(&self) -> String {
        self.running.base_url()
    }

    /// The secret of a key: `admin`, or another that the simulator's README names.
    pub(crate) fn key(&self, name: &str) -> String {
        self.running.key(name).unwrap()
    }

    async fn request(&self, method: Method, url: String, body: Option<&Json>) -> (u16, String) {
        let mut request = self.client.request(method, url).basic_auth(&self.key, Some(""));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.request(Method::GET, format!("{}{path}", self.running.base_url()), None).await.0
    }

    pub(crate) async fn get(&self, path: &str) -> Row {
        let (status, body) = self.request(Method::GET, format!("{}{path}", self.running.base_url()), None).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn write(&self, method: Method, path: &str, body: Json) -> Row {
        let (status, answer) = self.request(method, format!("{}{path}", self.running.base_url()), Some(&body)).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Option<Json>) -> String {
        let (status, answer) = self.request(method, format!("{}/_control/{path}", self.host), body.as_ref()).await;
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    pub(crate) async fn switch(&self, name: &str, value: Json) {
        let switches = Json::Object([(name.to_owned(), value)].into_iter().collect());
        self.control(Method::PUT, "switches/", Some(switches)).await;
    }

    /// The rows of the truth, of these objects.
    pub(crate) async fn truth(&self, objects: &str) -> Vec<Row> {
        let lines = self.control(Method::GET, &format!("truth/?object={objects}"), None).await;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn list(&self, path: &str, query: &str) -> Vec<Row> {
        let (mut rows, mut skip) = (Vec::new(), 0);
        loop {
            let mut body = self.get(&format!("{path}?_limit=100&_skip={skip}&{query}")).await;
            let Some(Json::Array(data)) = body.remove("data") else { panic!("{path} has no data") };
            skip += data.len();
            rows.extend(data.into_iter().map(|row| if let Json::Object(row) = row { row } else { panic!("{path}") }));
            if body.get("has_more").and_then(Json::as_bool) != Some(true) {
                return rows;
            }
        }
    }

    pub(crate) async fn organization(&self) -> Row {
        let me = self.get("me/").await;
        self.get(&format!("organization/{}/", me["organizations"][0]["id"].as_str().unwrap())).await
    }

    /// All rows of an object, read as the catalogue says.
    pub(crate) async fn rows(&self, kind: &Kind) -> Vec<Row> {
        let query = |parameters: &[(&str, &str)]| {
            parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        match kind.listing {
            Listing::Searched => self.list(kind.path, "").await,
            Listing::Dated(parameters) | Listing::Full(parameters) => self.list(kind.path, &query(parameters)).await,
            Listing::FullThenSingle(parameters) => {
                let mut rows = Vec::new();
                for row in self.list(kind.path, &query(parameters)).await {
                    rows.push(self.get(&format!("{}{}/", kind.path, row["id"].as_str().unwrap())).await);
                }
                rows
            }
            Listing::PerParent { parent, parameter } => {
                let mut rows = Vec::new();
                for parent in Box::pin(self.rows(super::kind(parent).unwrap())).await {
                    let query = format!("{parameter}={}", parent["id"].as_str().unwrap());
                    rows.extend(self.list(kind.path, &query).await);
                }
                rows
            }
            Listing::Organization => {
                let organization = self.organization().await;
                if kind.name == "organization" {
                    return vec![organization];
                }
                let mut rows = Vec::new();
                for (name, active) in [("memberships", true), ("inactive_memberships", false)] {
                    for row in organization[name].as_array().unwrap() {
                        let mut row = row.as_object().unwrap().clone();
                        row.insert("is_active".into(), active.into());
                        rows.push(row);
                    }
                }
                rows
            }
        }
    }

    /// The schemas, without any that are known before.
    pub(crate) async fn structure(&self) -> Structure {
        Structure::combine(&KINDS.iter().collect::<Vec<_>>(), self.definitions().await, &HashMap::new()).unwrap()
    }

    pub(crate) async fn definitions(&self) -> Definitions {
        let mut definitions = Definitions::default();
        for custom in ["lead", "contact", "opportunity", "activity", "custom_object"] {
            for row in self.rows(kind(&format!("custom_field_{custom}")).unwrap()).await {
                definitions.add(custom, &row);
            }
        }
        for row in self.rows(kind("custom_field_shared").unwrap()).await {
            definitions.add_shared(&row);
        }
        definitions
    }

    /// All events, newest first.
    pub(crate) async fn events(&self) -> Vec<LogEvent> {
        let (mut events, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("event/?_cursor={cursor}")).await;
            let data: Vec<LogEvent> = serde_json::from_value(page["data"].clone()).unwrap();
            events.extend(data);
            match &page["cursor_next"] {
                Json::String(next) => cursor.clone_from(next),
                _ => return events,
            }
        }
    }
}
