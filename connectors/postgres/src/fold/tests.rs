use std::collections::BTreeMap;

use proptest::prelude::*;
use towpath_api::{Payload, RecordKey, Version};

use super::*;

mod convergence;

/// The table. A row is its values, whether it is deleted, its version, and the offset that last wrote it.
type Table = BTreeMap<i64, (BTreeMap<String, Value>, bool, RowVersion, i64)>;

const RULES: Rules<'static> =
    Rules { keys: Keys::by_record(), delete_mode: DeleteMode::Soft, compares_versions: true, truncated: None };

/// What a table remembers of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Its version, also after a delete.
    Full,
    /// Its version until it is deleted: `delete.mode=hard`.
    UntilDeleted,
    /// Nothing: `delete.mode=hard` with `metadata.columns=none`.
    Nothing,
}

/// Applies one folded row, as the statements do.
fn act(table: &mut Table, memory: Memory, row: &Row<'_>) {
    let (offset, ends) = (row.record.offset, row.kind.ends());
    let before = table.get(&id(&row.key)).cloned();
    let mut version = row.version;
    if let Some((_, was_deleted, known, last)) = &before {
        let newer = if row.version.0 != 0 && row.version != *known { row.version > *known } else { offset > *last };
        if (!newer && memory != Memory::Nothing) || (row.kind == RowKind::Tombstone && *was_deleted) {
            return;
        }
        if row.version.0 == 0 && known.0 != 0 && memory != Memory::Nothing {
            version = *known;
        }
    }
    if ends && memory != Memory::Full {
        table.remove(&id(&row.key));
        return;
    }
    let (mut values, was_deleted, ..) = before.unwrap_or_default();
    // A record after a delete starts from an empty row.
    if was_deleted && !ends {
        values.clear();
    }
    let fields: BTreeMap<&str, Field<'_>> = match &row.content {
        Content::Nothing => BTreeMap::new(),
        Content::One(change) => carried(change).collect(),
        Content::Merged(merged) => merged.clone(),
    };
    values.extend(fields.into_iter().map(|(name, field)| (name.to_owned(), field.value.clone())));
    table.insert(id(&row.key), (values, ends, version, offset));
}

/// A row as the topic says: its values, the version that it has reached, and whether it is deleted.
type Said = (BTreeMap<String, Value>, Option<i64>, bool);

/// The rows after these records, by the order of the topic: each record changes its row, unless the row has reached a
/// greater version.
fn said(memory: Memory, records: &[Record]) -> BTreeMap<i64, Said> {
    let mut rows: BTreeMap<i64, Said> = BTreeMap::new();
    for record in records {
        let (key, change) = match &record.body {
            Body::Change(change) => (change.key.as_ref().expect("a key"), Some(change)),
            Body::Tombstone(key) => (key.as_ref().expect("a key"), None),
            _ => unreachable!("neither filtered nor undecodable"),
        };
        let (id, version) = (id(&key.identity), change.and_then(|change| change.version).map(|version| version.ts));
        let known = rows.get(&id).cloned();
        let reached = known.as_ref().and_then(|(_, reached, _)| *reached);
        if memory != Memory::Nothing && version.is_some() && version < reached {
            continue;
        }
        let (mut values, _, was_deleted) = known.unwrap_or_default();
        let change = change.filter(|change| change.op != RecordOp::Delete);
        if let Some(change) = change {
            if was_deleted {
                values.clear();
            }
            values.extend(carried(change).map(|(name, field)| (name.to_owned(), field.value.clone())));
        } else if memory != Memory::Full {
            rows.remove(&id);
            continue;
        }
        let version = if memory == Memory::Nothing { None } else { version.or(reached) };
        rows.insert(id, (values, version, change.is_none()));
    }
    rows.values_mut().for_each(|(values, ..)| values.retain(|_, value| *value != Value::Null));
    rows
}

/// The table without offsets and nulls: null and absent are the same in a table.
fn seen(table: Table) -> BTreeMap<i64, Said> {
    let seen = |(id, (mut values, deleted, version, _)): (_, (BTreeMap<String, Value>, _, RowVersion, _))| {
        values.retain(|_, value| *value != Value::Null);
        (id, (values, (version.0 != 0).then_some(version.0), deleted))
    };
    table.into_iter().map(seen).collect()
}

fn numbered(id: i64) -> RecordKey {
    let schema = Schema::parse_str(r#"{"type":"record","name":"key","fields":[{"name":"id","type":"long"}]}"#);
    RecordKey { identity: Identity::Long(id), schema: Arc::new(schema.expect("a schema")) }
}

fn id(key: &Identity) -> i64 {
    match key {
        Identity::Long(id) => *id,
        _ => unreachable!("the model's keys are numbers"),
    }
}

fn schemas() -> [Arc<Schema>; 2] {
    let schema = |fields: &str| {
        let text = format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#);
        Arc::new(Schema::parse_str(&text).expect("a schema of the test"))
    };
    [
        schema(r#"{"name":"a","type":["null","long"]},{"name":"b","type":["null","long"]}"#),
        schema(
            r#"{"name":"a","type":["null","long"]},{"name":"b","type":["null","long"]},
            {"name":"c","type":["null","long"]}"#,
        ),
    ]
}

fn record(offset: i64, change: Change) -> Record {
    Record { offset, timestamp_ms: 0, body: Body::Change(Box::new(change)), payload: Payload::default() }
}

/// The operation, key, schema, mask of fields, and version (`None`: the offset).
type Step = (u8, i64, usize, u8, Option<i64>);

fn history(steps: &[Step]) -> Vec<Record> {
    let schemas = schemas();
    let make = |(offset, (what, key, schema, mask, ts)): (usize, &Step)| {
        let offset = i64::try_from(offset).expect("small");
        let schema = Arc::clone(&schemas[*schema]);
        let width = if schema == schemas[0] { 2 } else { 3 };
        let values = || {
            (0..width).map(|at| if offset % 5 == at { Value::Null } else { Value::Long(offset * 10 + at) }).collect()
        };
        let (op, after, changed) = match what {
            0 => (RecordOp::Delete, None, None),
            1 => (RecordOp::Create, Some(values()), None),
            _ => (
                RecordOp::Update,
                Some(values()),
                Some((0..u16::try_from(width).expect("small")).filter(|at| mask >> at & 1 == 1).collect()),
            ),
        };
        if *what == 3 {
            return Record {
                offset,
                timestamp_ms: 0,
                body: Body::Tombstone(Some(numbered(*key))),
                payload: Payload::default(),
            };
        }
        let version = ts.map(|ts| Version { ts, seq: 0, rank: 0 });
        record(offset, Change { key: Some(numbered(*key)), op, schema, after, changed, version, source_time_ms: None })
    };
    steps.iter().enumerate().map(make).collect()
}

/// Folds and applies records in batches of these sizes, and checks that each record is counted once.
fn run(table: &mut Table, memory: Memory, records: &[Record], sizes: &[usize]) {
    let (mut rest, mut sizes) = (records, sizes.iter().cycle());
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(sizes.next().copied().unwrap_or(1).min(rest.len()));
        let folded = fold(batch, Rules { compares_versions: memory != Memory::Nothing, ..RULES });
        let counted = folded.rows.iter().map(|row| 1 + row.absorbed.len()).sum::<usize>()
            + usize::try_from(folded.stale + folded.tombstones).expect("small")
            + folded.stale_partials.len();
        assert_eq!(counted, batch.len(), "each record is counted once");
        let ascend = |a: &Row<'_>, b: &Row<'_>| (&a.key, a.round) < (&b.key, b.round);
        assert!(folded.rows.windows(2).all(|pair| ascend(&pair[0], &pair[1])));
        for row in folded.rows {
            act(table, memory, &row);
        }
        rest = later;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn folded_batches_leave_the_rows_that_the_topic_says(
        steps in prop::collection::vec((0_u8..4, 0_i64..3, 0_usize..2, 0_u8..8, prop::option::of(1_i64..4)), 0..24),
        sizes in prop::collection::vec(1_usize..12, 1..4),
        again in prop::collection::vec(1_usize..12, 1..4),
        memory in prop::sample::select(vec![Memory::Full, Memory::UntilDeleted, Memory::Nothing]),
    ) {
        let history = history(&steps);
        let mut table = Table::new();
        run(&mut table, memory, &history, &sizes);
        prop_assert_eq!(seen(table.clone()), said(memory, &history));
        if memory == Memory::Full {
            let before = table.clone();
            run(&mut table, memory, &history, &again);
            prop_assert_eq!(table, before, "a replay changes no row, in whatever batches");
        }
    }
}

#[test]
fn a_delete_and_later_records_are_applied_in_rounds() {
    let history = history(&[
        (1, 1, 0, 0, None),
        (1, 1, 0, 0, None),
        (0, 1, 0, 0, None),
        (3, 1, 0, 0, None),
        (2, 1, 0, 0b10, None),
    ]);
    let folded = fold(&history, RULES);
    let rows: Vec<_> = folded.rows.iter().map(|row| (row.kind, row.round, row.absorbed.len())).collect();
    assert_eq!(rows, [(RowKind::Whole, 0, 1), (RowKind::Delete, 1, 1), (RowKind::Partial, 2, 0)]);
}

#[test]
fn an_older_partial_update_is_dead_lettered_but_an_older_record_is_not() {
    let history = history(&[(1, 1, 0, 0, Some(5)), (2, 1, 0, 1, Some(4)), (1, 1, 0, 0, Some(3))]);
    let folded = fold(&history, RULES);
    assert_eq!((folded.stale, folded.stale_partials.len()), (1, 1));
}
