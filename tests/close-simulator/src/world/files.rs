//! Files beside the objects: exports and uploads. Kept in memory and in snapshots.

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

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// As `text/plain`.
    pub content_type: String,
    /// `None` until the upload.
    pub bytes: Option<Blob>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Files {
    /// Rows that running exports have read so far, each as JSON text.
    pub rows: BTreeMap<Id, Vec<String>>,
    /// Finished exports, compressed with gzip.
    pub exports: BTreeMap<Id, Blob>,
    /// Uploads by key: `<user>/<media>/<name>`.
    pub uploads: BTreeMap<String, Upload>,
}

/// The signature of a link, in hexadecimal, derived from the organization's seed.
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
