//! The allowance of one key, shared by all who use the key in this process: connectors, loops, requests.
//!
//! One budget for each key and address, found by their hash; one pace for each endpoint group. Close counts requests by
//! method and path without ids, and announces the count in each answer, so a coarser group of Close than ours is seen
//! in what is left.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{
    Lane,
    clock::Clock,
    headers::Announced,
    pace::{Pace, Shares, Turn},
    standing::Standing,
};

/// What all users of one key in this process share.
#[derive(Debug, Default)]
pub(super) struct Budget {
    groups: Mutex<HashMap<String, Arc<Group>>>,
    /// Close's clock.
    pub(super) clock: Clock,
    /// What fails while Close answers.
    pub(super) standing: Standing,
    /// True once Close has accepted the key.
    accepted: AtomicBool,
}

type Shared = HashMap<[u8; 32], Weak<Budget>>;

static BUDGETS: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

impl Budget {
    /// The budget of a key at an address.
    pub(super) fn of(address: &str, key: &str) -> Arc<Self> {
        let digest = Sha256::new().chain_update(address).chain_update([0]).chain_update(key).finalize();
        let mut budgets = lock(&BUDGETS);
        budgets.retain(|_, budget| budget.strong_count() > 0);
        let entry = budgets.entry(digest.into()).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let budget = Arc::<Self>::default();
            *entry = Arc::downgrade(&budget);
            budget
        })
    }

    /// The endpoint group with this name.
    pub(super) fn group(&self, name: &str) -> Arc<Group> {
        let mut groups = lock(&self.groups);
        if let Some(group) = groups.get(name) {
            return Arc::clone(group);
        }
        let group = Arc::new(Group::new());
        groups.insert(name.to_owned(), Arc::clone(&group));
        group
    }

    /// Returns true if Close has accepted the key before.
    pub(super) fn was_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn accept(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }
}

/// The name of the endpoint group of a request: `GET activity/call` for all calls and each of them.
pub(super) fn group_name(method: &reqwest::Method, path: &str) -> String {
    let is_id = |segment: &str| segment.contains(|c: char| !c.is_ascii_lowercase() && c != '_');
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let mut named: Vec<&str> = segments.take_while(|segment| !is_id(segment)).take(3).collect();
    // Built-in roles have words for ids.
    if named.first() == Some(&"role") {
        named.truncate(1);
    }
    format!("{method} {}", named.join("/"))
}

/// An endpoint group: its pace, and those who wait for it.
#[derive(Debug)]
pub(super) struct Group {
    pace: Mutex<Pace>,
    changed: Notify,
    /// In each lane the first one waits for its turn, and the others for it, in order.
    changes: tokio::sync::Mutex<()>,
    snapshot: tokio::sync::Mutex<()>,
}

/// The time that a request has waited for its turn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waited {
    /// Within the budget.
    pub(super) budget: Duration,
    /// After a 429.
    pub(super) throttled: Duration,
}

impl Group {
    fn new() -> Self {
        let (changes, snapshot) = (tokio::sync::Mutex::new(()), tokio::sync::Mutex::new(()));
        Self { pace: Mutex::new(Pace::new()), changed: Notify::new(), changes, snapshot }
    }

    /// Waits until a request of this lane may go.
    ///
    /// # Cancel safety
    /// Safe; the place in the lane is lost.
    pub(super) async fn turn(self: &Arc<Self>, lane: Lane, shares: Shares) -> (UnderWay, Waited) {
        let began = Instant::now();
        let mut waited = Waited::default();
        let gate = match lane {
            Lane::Changes => &self.changes,
            Lane::Snapshot => &self.snapshot,
        };
        let _first = gate.lock().await;
        waited.budget = began.elapsed();
        loop {
            // Registered before the question, so that no answer in between is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let (turn, paused, number) = {
                let mut pace = lock(&self.pace);
                let turn = pace.ask(lane, shares, now);
                (turn, pace.is_paused(now), pace.number())
            };
            match turn {
                Turn::Go => return (UnderWay { group: Arc::clone(self), number }, waited),
                Turn::AfterAnswer => changed.await,
                Turn::At(at) => {
                    tokio::select! {
                        () = tokio::time::sleep(at.saturating_duration_since(now)) => {}
                        () = changed => {}
                    }
                }
            }
            let time = now.elapsed();
            if paused { waited.throttled += time } else { waited.budget += time }
        }
    }
}

/// A request under way. Dropped when it has ended, with an answer or without.
#[derive(Debug)]
pub(super) struct UnderWay {
    group: Arc<Group>,
    number: u64,
}

impl UnderWay {
    /// Close has answered, and announces this.
    pub(super) fn answered(&self, announced: Option<Announced>) {
        lock(&self.group.pace).answered(self.number, announced, Instant::now());
    }

    /// Close has answered 429: the group pauses for `wait` and a little more, so that those who were refused together
    /// do not come back together. Returns the pause.
    pub(super) fn throttled(&self, announced: Option<Announced>, wait: Duration) -> Duration {
        let pause = wait + wait.mul_f64(rand::rng().random_range(0.0..0.25)) + Duration::from_millis(5);
        let mut pace = lock(&self.group.pace);
        if announced.is_some() {
            pace.answered(self.number, announced, Instant::now());
        }
        pace.pause(Instant::now() + pause);
        pause
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.group.pace).ended(self.number);
        self.group.changed.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::*;

    #[test]
    fn a_group_is_the_method_and_the_path_without_ids() {
        let id = "acti_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
        for (path, name) in [
            ("activity/call/", "GET activity/call"),
            (&format!("activity/call/{id}/"), "GET activity/call"),
            ("/activity/status_change/opportunity/", "GET activity/status_change/opportunity"),
            (
                "custom_field_schema/custom_object/cotype_4uScHgkLnoEpPxjmLcS0kT/",
                "GET custom_field_schema/custom_object",
            ),
            ("custom_field/custom_object_type/", "GET custom_field/custom_object_type"),
            ("role/restricteduser/", "GET role"),
            ("me/", "GET me"),
        ] {
            assert_eq!(group_name(&Method::GET, path), name);
        }
        assert_eq!(group_name(&Method::POST, "data/search/"), "POST data/search");
    }

    #[test]
    fn one_key_has_one_budget_for_as_long_as_it_is_used() {
        let first = Budget::of("https://api.example/", "api_one");
        assert!(Arc::ptr_eq(&first, &Budget::of("https://api.example/", "api_one")));
        assert!(!Arc::ptr_eq(&first, &Budget::of("https://api.example/", "api_two")));
        assert!(!Arc::ptr_eq(&first, &Budget::of("https://other.example/", "api_one")));
    }
}
