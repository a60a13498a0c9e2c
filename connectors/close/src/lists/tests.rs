mod failing;

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use towpath_api::{ChangeEvent, Key, Object, Op, Updates, Version};

use super::{known::Known, *};
use crate::catalogue::{KINDS, kind};

fn event(op: Op, name: Option<&str>, version: (i64, i64, i8)) -> ChangeEvent {
    let schema = r#"{"type": "record", "name": "role", "fields": [{"name": "id", "type": "string"}]}"#;
    let object = Object::new("role", Schema::parse_str(schema).unwrap(), Updates::Whole).unwrap();
    let (ts, seq, rank) = version;
    ChangeEvent {
        object: Arc::new(object),
        key: Key::Text("role_1".to_owned()),
        op,
        after: name.map(|name| vec![("name".to_owned(), Value::String(name.to_owned()))]),
        changed: None,
        version: Some(Version { ts, seq, rank }),
        event_id: "role/role_1@1".to_owned(),
        source_time_ms: None,
        traceparent: None,
    }
}

#[test]
fn what_has_no_events_is_read_by_the_lists_and_all_else_by_the_snapshot() {
    let owned: Vec<&str> = KINDS.iter().filter(|kind| kind.is_read_by_lists()).map(|kind| kind.name).collect();
    for name in ["user", "organization", "membership", "role", "pipeline", "integration_link", "outcome", "send_as"] {
        assert!(owned.contains(&name), "{name} is not in {owned:?}");
    }
    for name in ["lead", "group", "lead_status", "custom_object", "note", "created", "import_update"] {
        assert!(!owned.contains(&name), "{name} is in {owned:?}");
    }
}

#[test]
fn only_what_differs_is_published_and_wins_over_what_is_there() {
    let mut known = Known::default();
    let first = known.differing(event(Op::Read, Some("Agent"), (5, 10, 1))).unwrap();
    assert_eq!(first.op, Op::Read);
    known.published(&first);
    assert!(known.differing(event(Op::Read, Some("Agent"), (5, 20, 1))).is_none());
    let renamed = known.differing(event(Op::Read, Some("Seller"), (4, 30, 1))).unwrap();
    assert_eq!((renamed.op, renamed.version), (Op::Update, Some(Version { ts: 5, seq: 30, rank: 1 })));
    known.published(&renamed);
    known.published(&event(Op::Delete, None, (5, 31, 3)));
    assert_eq!(known.live().count(), 0);
    let back = known.differing(event(Op::Read, Some("Seller"), (5, 40, 1))).unwrap();
    assert!(back.version > Some(Version { ts: 5, seq: 31, rank: 3 }), "a row that came back is there");
}
