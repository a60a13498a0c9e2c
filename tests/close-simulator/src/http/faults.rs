//! Faults that a test asks for, per endpoint and share: which request meets which.
//!
//! Whether a request is hit follows from the seed and from how many requests the fault has looked at, so that the same
//! sequence of requests meets the same faults. What a fault does to an answer is in `damage`.

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

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The answer comes after `delay_ms`.
    Slow,
    /// `status` with a JSON error, without the answer.
    Status,
    /// The content length promises more than what comes before the connection ends.
    CutBody,
    /// The body breaks off in the middle of its JSON, with a content length that fits.
    BadJson,
    /// No answer: the connection ends after `delay_ms`, or stays until the client leaves.
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
    /// `status` (200 if none is given) without a body.
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

    /// Whether the request must be carried out for there to be something to damage.
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
    /// What happens.
    pub kind: Kind,
    /// To which share of the requests, 0 to 1; all without one.
    #[serde(default = "all")]
    pub share: f64,
    /// The status of `status` and `empty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds of the machine's time, for `slow` and `hang`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How often at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Only requests with the key of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The request is carried out before the fault: the write has happened, but the answer is lost.
    #[serde(default)]
    pub after: bool,
}

fn all() -> f64 {
    1.0
}

/// A fault that is set.
#[derive(Debug)]
pub struct Fault {
    /// As it was described.
    pub spec: Spec,
    endpoint: Pattern,
    seen: AtomicU64,
    injected: AtomicU64,
}

impl Fault {
    /// How long the answer waits.
    pub fn delay(&self) -> Option<Duration> {
        self.spec.delay_ms.map(Duration::from_millis)
    }

    /// Whether the request is carried out.
    pub fn carries_out(&self) -> bool {
        self.spec.after || self.spec.kind.needs_answer()
    }
}

/// All faults.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    list: RwLock<Vec<Arc<Fault>>>,
    /// The first cursor that a `wrong_cursor` fault saw, to lead back to.
    pub(super) cursor: parking_lot::Mutex<Option<String>>,
}

impl Faults {
    /// The fault that a request meets: the first of the list that hits it. `key` names the caller's key, and is asked
    /// for only when a fault depends on it.
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

    /// Sets these faults instead of those before.
    ///
    /// # Errors
    /// What is wrong with one, in words; nothing is changed then.
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

    /// The faults, each with how many requests it looked at (`seen`) and how many it hit (`injected`).
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
        // What the report adds may come back.
        map.remove("seen");
        map.remove("injected");
    }
    let spec: Spec = serde_json::from_value(given).map_err(|error| format!("{error} (kinds are {})", kinds()))?;
    if !(0.0..=1.0).contains(&spec.share) {
        return Err("share is a number from 0 to 1".to_owned());
    }
    match (spec.kind, spec.status, spec.delay_ms) {
        (Kind::Status, None, _) => return Err("a status fault needs a status".to_owned()),
        (_, Some(status), _) if !(200..=599).contains(&status) => return Err("status is from 200 to 599".to_owned()),
        (Kind::Slow, _, None) => return Err("a slow fault needs delay_ms".to_owned()),
        _ => {}
    }
    Ok(Fault { endpoint: Pattern::parse(&spec.endpoint)?, spec, seen: AtomicU64::new(0), injected: AtomicU64::new(0) })
}
