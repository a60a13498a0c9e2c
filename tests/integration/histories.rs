//! Histories of many keys, in any order and with duplicates, against the real table: the result is the same as in
//! order.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use towpath_api::{RecordOp, Sink as _};

use crate::{
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
