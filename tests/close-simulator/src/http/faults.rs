//! Faults by endpoint and share: which request meets which fault.
//!
//! Whether a fault hits a request depends on the seed and on the number of requests that it has seen, so the same
//! sequence of requests meets the same faults. Their effects are in `damage`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::group::Pattern;
use crate::world::change::draw;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The answer is delayed by `delay_ms`.
    Slow,
    /// `status` with a JSON error instead of the answer.
    Status,
    /// The content length exceeds the bytes sent before the connection ends.
    CutBody,
    /// The body ends in the middle of its JSON, with a matching content length.
    BadJson,
    /// No answer: the connection ends after `delay_ms`, or stays open until the client leaves.
    Hang,
    /// The connection is reset (RST).
    Reset,
    /// The cursor in the answer of a search or of the event log leads elsewhere.
    WrongCursor,
    /// 429 with a page of HTML, as a proxy sends it.
    #[serde(rename = "html_429")]
    Html429,
    /// 502 with a page of HTML.
    #[serde(rename = "html_502")]
    Html502,
    /// `status` (default 200) without a body.
    Empty,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Slow,
        Self::Status,
        Self::CutBody,
        Self::BadJson,
        Self::Hang,
        Self::Reset,
        Self::WrongCursor,
        Self::Html429,
        Self::Html502,
        Self::Empty,
    ];

    /// Returns true if the fault damages an answer, so that the request must be carried out.
    pub fn needs_answer(self) -> bool {
        matches!(self, Self::Slow | Self::CutBody | Self::BadJson | Self::WrongCursor)
    }
}

/// One fault as a test describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// `GET activity/call`, a prefix of paths as `activity`, or `*`.
    pub endpoint: String,
    pub kind: Kind,
    /// Share of the requests to hit, 0 to 1; absent means all.
    #[serde(default = "all")]
    pub share: f64,
    /// The status of `status` and `empty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds of the machine's time, for `slow` and `hang`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Maximum number of hits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Hits only requests with the key of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Carries out the request before the fault: the write happens, but its answer is lost.
    #[serde(default)]
    pub after: bool,
}

fn all() -> f64 {
    1.0
}

/// An active fault with its counts.
#[derive(Debug)]
pub struct Fault {
    pub spec: Spec,
    endpoint: Pattern,
    seen: AtomicU64,
    injected: AtomicU64,
}

impl Fault {
    /// The delay of the answer.
    pub fn delay(&self) -> Option<Duration> {
        self.spec.delay_ms.map(Duration::from_millis)
    }

    /// Returns true if the request is carried out.
    pub fn carries_out(&self) -> bool {
        self.spec.after || self.spec.kind.needs_answer()
    }
}

#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    list: RwLock<Vec<Arc<Fault>>>,
    /// The first cursor that a `wrong_cursor` fault saw.
    pub(super) cursor: parking_lot::Mutex<Option<String>>,
}

impl Faults {
    /// The first fault in the list that hits the request. `key` returns the name of the caller's key, and is called
    /// only if a fault depends on it.
    pub fn draw(&self, seed: u64, method: &str, path: &str, key: impl Fn() -> Option<String>) -> Option<Arc<Fault>> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let list = self.list.read();
        for (place, fault) in list.iter().enumerate() {
            if !fault.endpoint.matches(method, path) || fault.spec.key.is_some() && fault.spec.key != key() {
                continue;
            }
            let number = fault.seen.fetch_add(1, Ordering::Relaxed);
            if draw(seed ^ 0x0066_6175_6c74, number.wrapping_mul(64).wrapping_add(place as u64)) >= fault.spec.share {
                continue;
            }
            let times = fault.spec.times.unwrap_or(u64::MAX);
            let hit = fault.injected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |injected| {
                (injected < times).then_some(injected + 1)
            });
            if hit.is_ok() {
                return Some(Arc::clone(fault));
            }
        }
        None
    }

    /// Replaces all faults.
    ///
    /// # Errors
    /// The reason why a fault is invalid; nothing is changed.
    pub fn set(&self, specs: &[Json]) -> Result<(), String> {
        let mut list = Vec::with_capacity(specs.len());
        for (place, json) in specs.iter().enumerate() {
            let fault = read(json).map_err(|error| format!("fault {place}: {error}"))?;
            list.push(Arc::new(fault));
        }
        self.any.store(!list.is_empty(), Ordering::Relaxed);
        *self.list.write() = list;
        *self.cursor.lock() = None;
        Ok(())
    }

    /// The faults, each with the number of requests that it has seen (`seen`) and hit (`injected`).
    pub fn report(&self) -> Vec<Json> {
        let row = |fault: &Arc<Fault>| {
            let mut row = serde_json::to_value(&fault.spec).expect("a fault is JSON");
            row["seen"] = fault.seen.load(Ordering::Relaxed).into();
            row["injected"] = fault.injected.load(Ordering::Relaxed).into();
            row
        };
        self.list.read().iter().map(row).collect()
    }
}

fn read(json: &Json) -> Result<Fault, String> {
    let kinds =
        || Kind::ALL.iter().filter_map(|kind| Some(json!(kind).as_str()?.to_owned())).collect::<Vec<_>>().join(", ");
    let mut given = json.clone();
    if let Some(map) = given.as_object_mut() {
        // A client may send back the members that the report adds.
        map.remove("seen");
        map.remove("injected");
    }
    let spec: Spec =
        serde_json::from_value(given).map_err(|error| format!("{error} (kind must be one of {})", kinds()))?;
    if !(0.0..=1.0).contains(&spec.share) {
        return Err("share must be a number from 0 to 1".to_owned());
    }
    match (spec.kind, spec.status, spec.delay_ms) {
        (Kind::Status, None, _) => return Err("a status fault needs a status".to_owned()),
        (_, Some(status), _) if !(200..=599).contains(&status) => {
            return Err("status must be from 200 to 599".to_owned());
        }
        (Kind::Slow, _, None) => return Err("a slow fault needs delay_ms".to_owned()),
        _ => {}
    }
    Ok(Fault { endpoint: Pattern::parse(&spec.endpoint)?, spec, seen: AtomicU64::new(0), injected: AtomicU64::new(0) })
}
