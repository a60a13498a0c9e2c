//! The cursor of a search: where the walk stands, written into the cursor itself, so that nothing is kept for it.

use std::hash::Hasher;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

use super::order::Place;
use crate::model::Moment;

/// Milliseconds that a cursor can be used (reference, section 2.6).
const LIFE_MS: i64 = 30_000;

/// Where a walk stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cursor {
    /// When it was given out.
    issued: Moment,
    /// Objects returned so far.
    pub seen: usize,
    /// Of which query it is.
    query: u64,
    /// The last object returned.
    pub place: Place,
}

impl Cursor {
    /// A cursor behind an object.
    pub fn new(issued: Moment, seen: usize, query: u64, place: Place) -> Self {
        Self { issued, seen, query, place }
    }

    /// Its text; `seed` makes one of another organization unknown.
    pub fn write(&self, seed: u64) -> String {
        let json = serde_json::to_vec(self).expect("a cursor can be written");
        let mut bytes = checksum(seed, &json).to_le_bytes().to_vec();
        bytes.extend_from_slice(&json);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a text; `None` for one that was not given out for this query, or too long ago.
    pub fn read(text: &str, seed: u64, query: u64, now: Moment) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (sum, json) = bytes.split_first_chunk::<8>()?;
        if u64::from_le_bytes(*sum) != checksum(seed, json) {
            return None;
        }
        let cursor: Self = serde_json::from_slice(json).ok()?;
        (cursor.query == query && now.millis_since(cursor.issued) <= LIFE_MS).then_some(cursor)
    }
}

/// What tells one query from another.
pub fn fingerprint(parts: &[Option<&serde_json::Value>]) -> u64 {
    let mut hasher = FxHasher::default();
    for part in parts {
        hasher.write(part.map(ToString::to_string).unwrap_or_default().as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(seed ^ 0x7365_6172_6368);
    hasher.write(bytes);
    hasher.finish()
}
