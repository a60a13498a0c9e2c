//! Counts and checksums of the truth, by object and by bucket of ids, so that one query compares tables of any size.
//!
//! An object's bucket is the first two hex digits of `md5(id)`. A checksum is the sum modulo 2^64 of the first 16 hex
//! digits of md5 over each line (`content`) or over `id|date_updated` (`versions`); a database can compute both.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use serde_json::{Value as Json, json};

use super::truth::{Walk, asked};
use crate::{
    Simulator,
    http::{Answer, Request},
    model::Refusal,
};

#[derive(Clone, Copy, Default)]
struct Sum {
    count: u64,
    content: u64,
    versions: u64,
}

impl Sum {
    fn add(&mut self, content: u64, version: u64) {
        self.count += 1;
        self.content = self.content.wrapping_add(content);
        self.versions = self.versions.wrapping_add(version);
    }

    fn json(self) -> Json {
        json!({
            "count": self.count, "content": format!("{:016x}", self.content),
            "versions": format!("{:016x}", self.versions)
        })
    }
}

/// `{"at": …, "objects": {"lead": {"count", "content", "versions", "buckets": {"00": {…}}}}}`; `buckets=true` adds the
/// buckets.
pub(super) fn get(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let question = asked(simulator, request)?;
    let with_buckets = request.param("buckets").is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    let at = question.at;
    let mut sums: BTreeMap<&'static str, (Sum, BTreeMap<u8, Sum>)> =
        question.kinds.iter().map(|kind| (kind.resource().name, Default::default())).collect();
    let (mut walk, seed) = {
        let world = simulator.read();
        (Walk::new(&world, &question), world.seed)
    };
    let mut take = |id: crate::model::Id, line: &[u8]| {
        let resource = id.kind().resource();
        let text = id.text(seed);
        let bucket = Md5::digest(text.as_bytes())[0];
        // The version comes from the line, because labels of the past are in the line; the date comes from the record.
        let updated = date_updated(line).unwrap_or_default();
        let (content, version) = (first_64(line), first_64(format!("{text}|{updated}").as_bytes()));
        let (all, buckets) = sums.entry(resource.name).or_default();
        all.add(content, version);
        buckets.entry(bucket).or_default().add(content, version);
    };
    // The lock is released between portions, so that waiting writers do not block everyone for the whole walk.
    while walk.portion(&simulator.world.read(), 2_000, &mut take) {}
    let objects: serde_json::Map<String, Json> = sums
        .into_iter()
        .map(|(name, (all, buckets))| {
            let mut object = all.json();
            if with_buckets {
                object["buckets"] =
                    buckets.into_iter().map(|(bucket, sum)| (format!("{bucket:02x}"), sum.json())).collect();
            }
            (name.to_owned(), object)
        })
        .collect();
    Ok(Answer::json(200, &json!({ "at": at.text(crate::model::Stamps::Offset), "objects": objects })))
}

fn first_64(bytes: &[u8]) -> u64 {
    let digest = Md5::digest(bytes);
    u64::from_be_bytes(digest[..8].try_into().expect("md5 has 16 bytes"))
}

fn date_updated(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Json>(line).ok()?.get("date_updated")?.as_str().map(str::to_owned)
}
