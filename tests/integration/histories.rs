//! Histories of many keys, in any order and with duplicates, against the real table: the result is the same as in
//! order.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apache_avro::types::Value;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use towpath_api::{Body, OpenSink as _, Record, RecordOp, Sink as _};

use crate::{
    edges::Feed,
    laboratory::{Laboratory, claim},
    stack::{rows, seed},
};

#[tokio::test]
async fn any_permutation_of_histories_with_duplicates_ends_in_the_same_table() {
    /// The number of keys, each with its own history, which is one case.
    const KEYS: i64 = 400;
    let mut random = StdRng::seed_from_u64(seed("permuted histories"));
    let lab = Laboratory::new("histories").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;

    // The key, its version, and the value, or `None` for a delete.
    let (mut arrivals, mut expected) = (Vec::new(), BTreeMap::new());
    for key in 0..KEYS {
        for version in 1..=random.random_range(1..7) {
            let value = random.random_bool(0.7).then(|| random.random_range(0..1_000_i64));
            expected.insert(key, (version, value));
            let times = if random.random_bool(0.3) { random.random_range(2..4) } else { 1 };
            arrivals.extend(std::iter::repeat_n((key, version, value), times));
        }
    }
    arrivals.shuffle(&mut random);

    let (mut from, mut rest, mut accounted) = (0, arrivals.as_slice(), 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.random_range(1..300).min(rest.len()));
        let records = (from..)
            .zip(now)
            .map(|(offset, &(key, version, value))| match value {
                Some(value) => lab.change(offset, key, RecordOp::Update, Some((value, "x")), None, Some(version)),
                None => lab.change(offset, key, RecordOp::Delete, None, None, Some(version)),
            })
            .collect();
        let batch = lab.batch(from, records);
        accounted += sink.apply(&claim, &batch).await.unwrap().total();
        (from, rest) = (batch.to, later);
    }
    assert_eq!(accounted, u64::try_from(arrivals.len()).unwrap(), "each record is counted once");

    // The values that a deleted row keeps depend on the records before the delete.
    let table = format!(
        "SELECT id, _towpath_ts, _towpath_deleted, CASE WHEN _towpath_deleted THEN NULL ELSE a END FROM {}.deals
         ORDER BY id",
        lab.name
    );
    let expected: Vec<String> = expected
        .into_iter()
        .map(|(key, (version, value))| match value {
            Some(value) => format!("{key}|{version}|f|{value}"),
            None => format!("{key}|{version}|t|"),
        })
        .collect();
    assert_eq!(rows(&lab.client, &table).await, expected);
    let letters = format!("SELECT * FROM towpath.dead_letter WHERE sink = '{}'", lab.name);
    assert_eq!(rows(&lab.client, &letters).await, [""; 0]);
}

/// The keys of a sink, and the records that it gets.
#[derive(Debug, Clone, Copy)]
struct Mix {
    delete_mode: &'static str,
    metadata: &'static str,
    /// The share of records that have a version; few versions differ.
    versions: f64,
    /// Field `a` refers to another row of the table.
    refers: bool,
}

/// A row as the topic says: `a`, `b`, the version that it has reached, and whether it is deleted.
type Said = (Option<i64>, Option<String>, Option<i64>, bool);

#[tokio::test]
async fn histories_of_two_partitions_end_as_the_topic_says_or_in_the_dead_letters() {
    let mix = |delete_mode, metadata, versions, refers| Mix { delete_mode, metadata, versions, refers };
    let mut random = StdRng::seed_from_u64(seed("histories of two partitions"));
    for mix in [
        mix("soft", "full", 0.0, false),
        mix("soft", "full", 1.0, false),
        mix("soft", "full", 0.7, false),
        mix("soft", "version", 1.0, false),
        mix("hard", "full", 0.0, false),
        mix("hard", "full", 0.5, true),
        mix("hard", "none", 1.0, false),
        mix("hard", "none", 0.0, true),
        mix("soft", "full", 0.0, true),
    ] {
        ends_as_the_topic_says(mix, &mut random).await;
    }
}

/// Applies random batches. Afterwards each live row must be that of its records in the order of arrival, without the
/// dead letters, and without those that are older than a version which the row had reached.
async fn ends_as_the_topic_says(mix: Mix, random: &mut StdRng) {
    const KEYS: i64 = 30;
    let lab = Laboratory::new("mixed_histories").await;
    if mix.refers {
        let create =
            "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint REFERENCES $.deals, b text)";
        lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    }
    let keys = [("delete.mode", mix.delete_mode), ("metadata.columns", mix.metadata)];
    let mut feeds = Vec::new();
    for partition in 0..2 {
        let mut feed = Feed::of_partition(&lab, partition, &keys).await;
        feed.sink = lab.opener_with("test", Duration::ZERO, &keys).open().await.unwrap();
        feeds.push((feed, 0));
    }
    let mut arrived = Vec::new();
    let later = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() + 3_600_000;
    for _ in 0..60 {
        let partition = random.random_range(0..2);
        let (feed, next) = &mut feeds[partition];
        let time = if random.random_bool(0.5) { later } else { 1 };
        let mut records = Vec::new();
        for _ in 0..random.random_range(1..40) {
            let offset = *next;
            *next += random.random_range(1..3);
            let id = random.random_range(0..KEYS);
            let version = random.random_bool(mix.versions).then(|| random.random_range(1..6));
            let a = random.random_range(0..KEYS);
            let b = random.random_range(0..1_000).to_string();
            let change = |op, after, changed| lab.change(offset, id, op, after, changed, version);
            let mut record = match random.random_range(0..10) {
                0 => change(RecordOp::Delete, None, None),
                1 => lab.tombstone(offset, id),
                2..4 => change(RecordOp::Update, Some((a, b.as_str())), Some(vec![1])),
                4..6 => change(RecordOp::Update, Some((a, b.as_str())), Some(vec![2])),
                _ => change(RecordOp::Update, Some((a, b.as_str())), None),
            };
            record.timestamp_ms = time;
            arrived.push((partition, offset, id, said(&record)));
            records.push(record);
        }
        feed.apply(records).await;
    }

    let letters = lab.ask("SELECT partition, \"offset\" FROM towpath.dead_letter WHERE sink = '$'").await;
    let letters: HashSet<String> = letters.into_iter().collect();
    assert!(letters.len() * 2 < arrived.len(), "{mix:?}: {} of {} are dead letters", letters.len(), arrived.len());
    let remembers = mix.metadata != "none";
    let mut expected: BTreeMap<i64, Said> = BTreeMap::new();
    for (partition, offset, id, (values, version)) in arrived {
        let row = expected.entry(id).or_insert((None, None, None, true));
        if letters.contains(&format!("{partition}|{offset}")) || (remembers && version.is_some() && version < row.2) {
            continue;
        }
        match values {
            Some((a, b)) => {
                let (kept_a, kept_b) = if row.3 { (None, None) } else { (row.0, row.1.clone()) };
                *row = (a.or(kept_a), b.or(kept_b), version.or(row.2), false);
            }
            None if mix.delete_mode == "hard" => *row = (None, None, None, true),
            // A tombstone of a deleted row says nothing new.
            None => *row = (row.0, row.1.clone(), version.or(row.2), true),
        }
    }
    let live = expected.into_iter().filter(|(_, row)| !row.3).map(|(id, (a, b, ..))| {
        format!("{id}|{}|{}", a.map_or_else(String::new, |a| a.to_string()), b.unwrap_or_default())
    });
    let table = if mix.delete_mode == "soft" { "$.deals_live" } else { "$.deals" };
    let table = lab.ask(&format!("SELECT id, a, b FROM {table} ORDER BY id")).await;
    assert_eq!(table, live.collect::<Vec<_>>(), "{mix:?}");
}

/// The fields that a record carries, `None` for a delete, and its version.
type Carried = (Option<(Option<i64>, Option<String>)>, Option<i64>);

fn said(record: &Record) -> Carried {
    let Body::Change(change) = &record.body else { return (None, None) };
    let carries = |at| change.changed.as_ref().is_none_or(|changed| changed.contains(&at));
    let values = change.after.as_ref().map(|after| match &after[..] {
        [_, Value::Long(a), Value::String(b)] => (carries(1).then_some(*a), carries(2).then(|| b.clone())),
        _ => unreachable!("the fields of a deal"),
    });
    (values, change.version.map(|version| version.ts))
}
