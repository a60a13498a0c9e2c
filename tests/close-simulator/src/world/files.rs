//! Files beside the objects: what exports have written, and what was uploaded. Kept in memory and in snapshots.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Id;

/// The bytes of a file; base64 in snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob(pub Arc<[u8]>);

/// An uploaded file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// As `text/plain`.
    pub content_type: String,
    /// What was uploaded; `None` until then.
    pub bytes: Option<Blob>,
}

/// All files.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Files {
    /// Rows that running exports have read so far, each as JSON text.
    pub rows: BTreeMap<Id, Vec<String>>,
    /// Finished exports, compressed with gzip.
    pub exports: BTreeMap<Id, Blob>,
    /// Uploads by key: `<user>/<media>/<name>`.
    pub uploads: BTreeMap<String, Upload>,
}

/// What a link must carry to be one that the organization gave out: hexadecimal, from its seed.
pub fn signature(seed: u64, of: &str, expires: i64) -> String {
    let mut hasher = DefaultHasher::new();
    (seed, of, expires).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(|bytes| Self(bytes.into())).map_err(serde::de::Error::custom)
    }
}
