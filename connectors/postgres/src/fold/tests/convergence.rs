//! Records with versions of their source may arrive in any order and any number of times.

use super::*;

/// The rows without what depends on order: a delete that arrived before its record has no values to keep.
fn settled(records: &[Record], sizes: &[usize]) -> BTreeMap<i64, Said> {
    let mut table = Table::new();
    run(&mut table, Memory::Full, records, sizes);
    let mut rows = seen(table);
    rows.values_mut().filter(|(_, _, deleted)| *deleted).for_each(|(values, ..)| values.clear());
    rows
}

/// A copy of a change, as redelivered.
fn again(change: &Change) -> Change {
    let Change { key, op, schema, after, changed, version, source_time_ms } = change;
    let key = key.as_ref().map(|key| RecordKey { identity: key.identity.clone(), schema: Arc::clone(&key.schema) });
    Change {
        key,
        op: *op,
        schema: Arc::clone(schema),
        after: after.clone(),
        changed: changed.clone(),
        version: *version,
        source_time_ms: *source_time_ms,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_order_with_duplicates_in_any_batches_converges_to_the_history(
        deletes in prop::collection::vec(prop::bool::weighted(0.3), 1..10),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
        shuffle in Just(()).prop_perturb(|(), mut random| {
            std::iter::repeat_with(move || random.random::<u64>()).take(32).collect::<Vec<_>>()
        }),
        sizes in prop::collection::vec(1_usize..8, 1..4),
    ) {
        let steps: Vec<Step> = deletes
            .iter()
            .zip(1..)
            .map(|(deletes, version)| (u8::from(!deletes), 1, 0, 0, Some(version)))
            .collect();
        let in_order = history(&steps);
        let expected = settled(&in_order, &[1]);

        // Each record at least once, some several times, in any order.
        let repeated = order.iter().map(|index| index.index(steps.len()));
        let mut places: Vec<usize> = (0..steps.len()).chain(repeated).collect();
        let mut keys = shuffle.iter();
        places.sort_by_cached_key(|_| keys.next().copied());
        let mut arrived = Vec::new();
        for (offset, place) in places.into_iter().enumerate() {
            let Body::Change(change) = &in_order[place].body else { unreachable!("a change") };
            arrived.push(record(i64::try_from(offset).expect("small"), again(change)));
        }
        prop_assert_eq!(settled(&arrived, &sizes), expected);
    }
}
