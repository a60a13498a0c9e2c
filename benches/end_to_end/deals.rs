//! The records of the benchmarks: 12 columns of the usual types.

use std::sync::Arc;

use towpath_api::{
    ChangeEvent, Key, Object, Op, Updates,
    apache_avro::{Decimal, Schema, types::Value},
};

/// Rows in one pass.
pub(crate) const ROWS: i64 = 300_000;

/// The columns of the table, without the key and Towpath's own columns.
pub(crate) const COLUMNS: &str =
    "agent_id bigint, title text, amount numeric(12,2), currency text, rate double precision, won boolean,
    booked_on date, closed_at timestamptz, stage text, seats integer, note text";

/// The object, whose updates are whole records.
pub(crate) fn object() -> Arc<Object> {
    let schema = Schema::parse_str(
        r#"{"type":"record","name":"deals","fields":[
            {"name":"id","type":"string"},
            {"name":"agent_id","type":["null","long"],"default":null},
            {"name":"title","type":["null","string"],"default":null},
            {"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],
            "default":null},
            {"name":"currency","type":["null","string"],"default":null},
            {"name":"rate","type":["null","double"],"default":null},
            {"name":"won","type":["null","boolean"],"default":null},
            {"name":"booked_on","type":["null",{"type":"int","logicalType":"date"}],"default":null},
            {"name":"closed_at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
            {"name":"stage","type":["null",{"type":"enum","name":"stage","symbols":["open","won","lost"]}],
            "default":null},
            {"name":"seats","type":["null","int"],"default":null},
            {"name":"note","type":["null","string"],"default":null}]}"#,
    );
    Arc::new(Object::new("deals", schema.expect("a schema"), Updates::Whole).expect("an object"))
}

/// The key of row `number`; unordered, as the keys of a CRM are.
pub(crate) fn id(number: i64) -> String {
    format!("deal_{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()))
}

/// Unscaled amount of row `number` in pass `pass`.
pub(crate) fn amount(number: i64, pass: i64) -> i64 {
    number * 7 % 1_000_000 + pass
}

/// Event `number` of pass `pass`: pass 0 creates the rows, pass 1 updates each of them.
pub(crate) fn event(object: &Arc<Object>, number: i64, pass: i64) -> ChangeEvent {
    let id = id(number);
    let some = |value| Value::Union(1, Box::new(value));
    let amount = Decimal::from(amount(number, pass).to_be_bytes());
    let stage = u32::try_from(number % 3).expect("small");
    let after = [
        ("id", Value::String(id.clone())),
        ("agent_id", some(Value::Long(number % 500))),
        ("title", some(Value::String(format!("Deal number {number}")))),
        ("amount", some(Value::Decimal(amount))),
        ("currency", some(Value::String("EUR".into()))),
        ("rate", some(Value::Double(0.05))),
        ("won", some(Value::Boolean(number % 2 == 0))),
        ("booked_on", some(Value::Date(20_000 + i32::try_from(number % 365).expect("small")))),
        ("closed_at", some(Value::TimestampMillis(1_760_000_000_000 + number * 1_000))),
        ("stage", some(Value::Enum(stage, ["open", "won", "lost"][stage as usize].into()))),
        ("seats", some(Value::Int(i32::try_from(number % 100).expect("small")))),
        ("note", Value::Union(0, Box::new(Value::Null))),
    ];
    ChangeEvent {
        object: Arc::clone(object),
        key: Key::Text(id),
        op: if pass == 0 { Op::Create } else { Op::Update },
        after: Some(after.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        changed: None,
        version: None,
        event_id: format!("{pass}-{number}"),
        source_time_ms: None,
        traceparent: None,
    }
}

/// Event `number` of pass `pass`, with a note that brings its record to 450 bytes.
pub(crate) fn wide_event(object: &Arc<Object>, number: i64, pass: i64) -> ChangeEvent {
    let mut event = event(object, number, pass);
    let note = Value::Union(1, Box::new(Value::String(format!("{number:0270}"))));
    if let Some((_, value)) = event.after.iter_mut().flatten().find(|(name, _)| *name == "note") {
        *value = note;
    }
    event
}
