//! Against the simulator: faults, limits, the check of the key.

mod faults;
mod limits;
mod probing;
mod transport;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use close_simulator::{Options, Running, Simulator};
use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use towpath_api::{Error, Lifecycle, Parts};
use towpath_keys::{Flat, read};

use super::{Close, Lane};
use crate::{config::CloseConfig, metrics::CloseMetrics};

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn simulator(leads: usize) -> Running {
    Simulator::start(Options { seed: 7, leads, ..Options::default() }).await.unwrap()
}

impl Close {
    /// The same client, whose requests may fail for this long while Close answers others.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same client, which takes answers of at most this size.
    pub(crate) fn with_largest(self, largest: usize) -> Self {
        Self { largest, ..self }
    }
}

/// The config of a connector that reads a simulator, with these further keys.
pub(crate) fn config(url: &str, key: &str, keys: &[(&str, &str)]) -> CloseConfig {
    let usual = [("close.api.url", url), ("close.api.key", key)];
    read(&Flat::from_strings(usual.iter().chain(keys).copied())).unwrap().0
}

pub(crate) fn client_with(running: &Running, keys: &[(&str, &str)]) -> Close {
    let config = config(&running.base_url(), &running.key("admin").unwrap(), keys);
    Close::new("close", &config, &CloseMetrics::unregistered()).unwrap()
}

pub(crate) fn client(running: &Running) -> Close {
    client_with(running, &[])
}

pub(crate) fn set_faults(running: &Running, faults: &[Json]) {
    running.simulator.faults.set(faults).unwrap();
}

pub(crate) fn set_limits(running: &Running, limits: &Json) {
    running.simulator.limits.set(limits.as_object().unwrap()).unwrap();
}

pub(crate) fn set_switches(running: &Running, switches: &Json) {
    let mut world = running.simulator.world.write();
    world.switches = world.switches.with(switches.as_object().unwrap()).unwrap();
}

/// The most requests in one window, and those that were refused, of an endpoint and scope.
fn peak(running: &Running, endpoint: &str, scope: &str) -> (u64, u64) {
    let peaks = running.simulator.limits.peaks();
    let row = peaks.iter().find(|row| row["endpoint"] == endpoint && row["scope"] == scope && row["key"] != "second");
    row.map_or((0, 0), |row| (row["peak"].as_u64().unwrap(), row["refused"].as_u64().unwrap()))
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the test does not hang")
}

/// The parts of a source that wait, as the worker would see them.
#[derive(Default)]
pub(crate) struct Seen {
    waits: Mutex<Vec<(String, &'static str, u32, String)>>,
    works: Mutex<Vec<String>>,
    changed: Notify,
}

impl Parts for Seen {
    fn waits(&self, part: &str, error: &Error, attempt: u32, _: Duration) {
        self.waits.lock().unwrap().push((part.to_owned(), error.code, attempt, error.chain()));
        self.changed.notify_waiters();
    }

    fn works(&self, part: &str) {
        self.works.lock().unwrap().push(part.to_owned());
        self.changed.notify_waiters();
    }
}

impl Seen {
    pub(crate) fn life() -> (Arc<Self>, Lifecycle) {
        let seen = Arc::<Self>::default();
        let life = Lifecycle::default().with_parts(Arc::clone(&seen) as Arc<dyn Parts>);
        (seen, life)
    }

    /// Waits until a part with this name waits; its code and text.
    pub(crate) async fn wait_of(&self, part: &str) -> (&'static str, String) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some((_, code, _, chain)) = self.waits.lock().unwrap().iter().find(|(waits, ..)| waits == part) {
                return (code, chain.clone());
            }
            changed.await;
        }
    }

    /// Waits until a part with this name works.
    pub(crate) async fn works_again(&self, part: &str) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.works.lock().unwrap().iter().any(|works| works == part) {
                return;
            }
            changed.await;
        }
    }

    /// Waits for the first report of a wait; its part, code and text.
    pub(crate) async fn first_wait(&self) -> (String, &'static str, String) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some((part, code, _, chain)) = self.waits.lock().unwrap().first() {
                return (part.clone(), code, chain.clone());
            }
            changed.await;
        }
    }
}

/// Requests all pages of a list of notes side by side, `count` in all.
async fn requests(close: &Close, lane: Lane, path: &str, count: usize) {
    let all = (0..count).map(|_| close.get(lane, path, &[("_limit", "1"), ("_fields", "id")]));
    for answer in futures::future::join_all(all).await {
        answer.unwrap();
    }
}

fn group(limit: u64, window_secs: f64) -> Json {
    json!({ "limit": limit, "window_secs": window_secs })
}
