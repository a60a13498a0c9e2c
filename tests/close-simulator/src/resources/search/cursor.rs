//! The cursor of a search: it holds the whole position, so the server keeps no state for it.

use std::hash::Hasher;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

use super::order::Place;
use crate::model::Moment;

/// Lifetime of a cursor in milliseconds (reference, section 2.6).
const LIFE_MS: i64 = 30_000;

/// The position of a search.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cursor {
    /// Time of creation.
    issued: Moment,
    /// Objects returned so far.
    pub seen: usize,
    /// Fingerprint of the query.
    query: u64,
    /// The last object returned.
    pub place: Place,
}

impl Cursor {
    /// A cursor after an object.
    pub fn new(issued: Moment, seen: usize, query: u64, place: Place) -> Self {
        Self { issued, seen, query, place }
    }

    /// The text of the cursor; `seed` makes it unknown to other organizations.
    pub fn write(&self, seed: u64) -> String {
        let json = serde_json::to_vec(self).expect("a cursor can be written");
        let mut bytes = checksum(seed, &json).to_le_bytes().to_vec();
        bytes.extend_from_slice(&json);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses a cursor; `None` if it belongs to another query or has expired.
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

/// A hash that distinguishes queries.
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
