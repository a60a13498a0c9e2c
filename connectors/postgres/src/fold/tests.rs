use std::collections::BTreeMap;

use proptest::prelude::*;
use towpath_api::{Payload, RecordKey, Version};

use super::*;

mod convergence;

/// The model table. A row is its values, whether it is deleted, its version, and the offset that last wrote it.
type Model = BTreeMap<i64, (BTreeMap<String, Value>, bool, RowVersion, i64)>;

const RULES: Rules<'static> = Rules { keys: Keys::by_record(), delete_mode: DeleteMode::Soft };

/// Applies one row to the model, as the sink must apply it to the table.
fn act(model: &mut Model, row: &Row<'_>) {
    let offset = row.record.offset;
    let before = model.get(&id(&row.key)).cloned();
    let mut version = row.version;
    if let Some((_, was_deleted, known, last)) = &before {
        let without_version = row.kind.ends() && row.version.0 == 0 && known.0 != 0;
        let newer = match row.kind {
            _ if without_version => offset > *last,
            RowKind::Partial => row.version >= *known,
            _ => row.version > *known,
        };
        if !newer || (row.kind == RowKind::Tombstone && *was_deleted) {
            return;
        }
        if without_version {
            version = *known;
        }
    } else if row.kind == RowKind::Tombstone {
        return;
    }
    let (mut values, was_deleted, ..) = before.unwrap_or_default();
    // A record after a delete starts from an empty row.
    if was_deleted && !row.kind.ends() {
        values.clear();
    }
    let fields: BTreeMap<&str, Field<'_>> = match &row.content {
        Content::Nothing => BTreeMap::new(),
        Content::One(change) => carried(change).collect(),
        Content::Merged(merged) => merged.clone(),
    };
    values.extend(fields.into_iter().map(|(name, field)| (name.to_owned(), field.value.clone())));
    model.insert(id(&row.key), (values, row.kind.ends(), version, offset));
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

/// Drops nulls: null and absent are the same in a table.
fn visible(model: Model) -> Model {
    let drop_null = |(id, (mut values, deleted, version, offset)): (_, (BTreeMap<String, Value>, _, _, _))| {
        values.retain(|_, value| *value != Value::Null);
        (id, (values, deleted, version, offset))
    };
    model.into_iter().map(drop_null).collect()
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn folding_leaves_the_same_rows_as_one_by_one(
        steps in prop::collection::vec((0_u8..4, 0_i64..3, 0_usize..2, 0_u8..8, prop::option::of(1_i64..6)), 0..24),
        cut in 0_usize..24,
    ) {
        let history = history(&steps);
        let mut singly = Model::new();
        for record in &history {
            for row in fold(std::slice::from_ref(record), RULES).rows {
                act(&mut singly, &row);
            }
        }
        let mut batched = Model::new();
        let (first, second) = history.split_at(cut.min(history.len()));
        for part in [first, second] {
            let folded = fold(part, RULES);
            let counted = folded.rows.iter().map(|row| 1 + row.folded).sum::<u64>()
                + folded.stale + folded.tombstones + u64::try_from(folded.stale_partials.len()).expect("small");
            prop_assert_eq!(counted, u64::try_from(part.len()).expect("small"), "each record is counted once");
            let ascend = |a: &Row<'_>, b: &Row<'_>| (&a.key, a.round) < (&b.key, b.round);
            prop_assert!(folded.rows.windows(2).all(|pair| ascend(&pair[0], &pair[1])));
            for row in folded.rows {
                act(&mut batched, &row);
            }
        }
        prop_assert_eq!(visible(batched), visible(singly));
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
    let rows: Vec<_> = folded.rows.iter().map(|row| (row.kind, row.round, row.folded)).collect();
    assert_eq!(rows, [(RowKind::Whole, 0, 1), (RowKind::Delete, 1, 0), (RowKind::Partial, 2, 0)]);
    assert_eq!(folded.tombstones, 1);
}

#[test]
fn an_older_partial_update_is_dead_lettered_but_an_older_record_is_not() {
    let history = history(&[(1, 1, 0, 0, Some(5)), (2, 1, 0, 1, Some(4)), (1, 1, 0, 0, Some(3))]);
    let folded = fold(&history, RULES);
    assert_eq!((folded.stale, folded.stale_partials.len()), (1, 1));
}
