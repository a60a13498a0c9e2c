//! Counts of requests by endpoint group, key and answer.
//!
//! A request takes one of sixteen locks for one addition, and allocates only if it is the first of its group, key and
//! status.

use std::hash::{BuildHasher, Hash};

use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde_json::{Value as Json, json};

use super::group::{self, Group, Who};
use crate::world::people::Caller;

/// Number of locks.
const SHARDS: usize = 16;

/// A table spread over several locks by endpoint group.
#[derive(Debug)]
pub(super) struct Shards<K, V>([Mutex<FxHashMap<K, V>>; SHARDS]);

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl<K: Hash + Eq, V> Shards<K, V> {
    /// The shard of a group.
    pub(super) fn of(&self, group: Group) -> &Mutex<FxHashMap<K, V>> {
        &self.0[FxBuildHasher.hash_one(group) as usize % SHARDS]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mutex<FxHashMap<K, V>>> {
        self.0.iter()
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|shard| shard.lock().clear());
    }
}

/// Requests by group, caller and status.
#[derive(Debug, Default)]
pub struct Counters {
    requests: Shards<(Group, Who, u16), Count>,
}

#[derive(Debug)]
struct Count {
    key: Json,
    requests: u64,
}

impl Counters {
    /// Counts a request; status 0 means no answer.
    pub fn count(&self, group: Group, who: Who, caller: Option<&Caller>, status: u16) {
        self.requests
            .of(group)
            .lock()
            .entry((group, who, status))
            .or_insert_with(|| Count { key: group::name(caller), requests: 0 })
            .requests += 1;
    }

    /// `[{"endpoint": "GET lead", "key": "admin", "status": 200, "requests": 12}, …]`, by endpoint, key and status.
    pub fn report(&self) -> Vec<Json> {
        let mut rows = Vec::new();
        for shard in self.requests.iter() {
            for ((group, _, status), count) in shard.lock().iter() {
                rows.push((*group, count.key.as_str().map(str::to_owned), *status, count.requests));
            }
        }
        rows.sort();
        rows.into_iter()
            .map(|(group, key, status, requests)| {
                json!({ "endpoint": group.name(), "key": key, "status": status, "requests": requests })
            })
            .collect()
    }

    pub fn reset(&self) {
        self.requests.clear();
    }
}
