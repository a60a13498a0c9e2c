//! Compares the codec with apache-avro's reader and writer, and decodes invalid bytes.

use std::sync::Arc;

use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use proptest::prelude::*;
use towpath_api::{Body, ChangeEvent, Key, Object, Op, Reaction, RecordOp, Updates, Version};

use super::*;
use crate::avro::{
    binary::{read::Reader, write::write},
    registry::Registry,
    schema::{envelope::TopicSchemas, shape::Prepared},
    tests::generate::{bare, fields as field_values, records, schemas, values},
};

mod foreign;
mod headers;
mod json;
mod keys;
mod published;
mod semantic;
mod values;
mod wild;

const KEY_ID: u32 = 7;
const VALUE_ID: u32 = 0x0102_0304;

/// Encodes with apache-avro; the value names the branch of each union.
fn reference_bytes(schema: &Schema, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    GenericDatumWriter::builder(schema).build().unwrap().write_value_ref(&mut bytes, value).unwrap();
    bytes
}

fn reference_value(schema: &Schema, mut bytes: &[u8]) -> Result<Value, apache_avro::Error> {
    GenericDatumReader::builder(schema).build()?.read_value(&mut bytes)
}

fn schema_and_value() -> impl Strategy<Value = (Schema, Value)> {
    schemas().prop_flat_map(|schema| {
        let value = values(&schema);
        (Just(schema), value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn values_are_read_as_apache_avro_reads_them((schema, value) in schema_and_value()) {
        let bytes = reference_bytes(&schema, &value);
        let mut reader = Reader::new(&bytes);
        let read = reader.value(&schema).unwrap();
        prop_assert_eq!(reader.left(), 0);
        prop_assert_eq!(&read, &bare(&schema, reference_value(&schema, &bytes).unwrap()));
        prop_assert_eq!(&read, &bare(&schema, value));
        let mut reader = Reader::new(&bytes);
        reader.skip(&schema).unwrap();
        prop_assert_eq!(reader.left(), 0);
    }

    #[test]
    fn values_are_written_as_apache_avro_writes_them((schema, value) in schema_and_value()) {
        let expected = reference_bytes(&schema, &value);
        let mut bytes = Vec::new();
        write(&mut bytes, &schema, &value).unwrap();
        prop_assert_eq!(&bytes, &expected);
    }

    #[test]
    fn a_bare_value_is_written_as_a_value_with_its_branch((schema, value) in schema_and_value()) {
        let mut bytes = Vec::new();
        let value = bare(&schema, value);
        write(&mut bytes, &schema, &value).unwrap();
        // Rebuilding a map may change its order, so values are compared instead of bytes.
        prop_assert_eq!(bare(&schema, reference_value(&schema, &bytes).unwrap()), value);
    }

    #[test]
    fn bytes_that_end_early_are_always_an_error(
        (schema, value) in schema_and_value(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = reference_bytes(&schema, &value);
        prop_assume!(!bytes.is_empty());
        prop_assert!(Reader::new(&bytes[..cut.index(bytes.len())]).value(&schema).is_err());
    }

    #[test]
    fn random_bytes_are_refused_or_read_as_apache_avro_reads_them(
        schema in schemas(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Ok(value) = Reader::new(&bytes).value(&schema) {
            let expected = bare(&schema, reference_value(&schema, &bytes).unwrap());
            prop_assert_eq!(format!("{value:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn an_event_is_decoded_as_the_same_change(event in events()) {
        let topic = Topic::new(&event.object);
        let encoded = topic.encoder.encode(&event).unwrap();
        let Decoded::Body(Body::Change(change)) = topic.decoder.decode(Some(&encoded.key), Some(&encoded.value)) else {
            panic!("not a change: {event:?}");
        };
        prop_assert_eq!(change.key.as_ref().map(|key| key.identity.clone()), Some(event.key.clone().into()));
        prop_assert_eq!(change.op, RecordOp::from(event.op));
        prop_assert_eq!(change.version, event.version);
        prop_assert_eq!(change.source_time_ms, event.source_time_ms);
        let fields = event.object.fields();
        let expected = event.after.as_ref().map(|after| {
            fields.iter().zip(after).map(|(field, (_, value))| bare(&field.schema, value.clone())).collect::<Vec<_>>()
        });
        prop_assert_eq!(&change.after, &expected);
        let positions = |names: &Vec<String>| {
            let changed = (0..fields.len()).filter(|position| names.contains(&fields[*position].name));
            changed.map(|position| u16::try_from(position).unwrap()).collect()
        };
        prop_assert_eq!(change.changed, event.changed.as_ref().map(positions));
        let Schema::Record(record) = &*change.schema else { panic!("not a record") };
        prop_assert_eq!(record.fields.len(), fields.len());
    }

    #[test]
    fn a_broken_record_never_panics_the_decoder(
        event in events(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let topic = Topic::new(&event.object);
        let mut encoded = topic.encoder.encode(&event).unwrap();
        let at = at.index(encoded.value.len());
        let cut = topic.decoder.decode(Some(&encoded.key), Some(&encoded.value[..at]));
        prop_assert!(matches!(cut, Decoded::Body(Body::Undecodable { .. })), "{cut:?}");
        encoded.value[at] = byte;
        topic.decoder.decode(Some(&encoded.key), Some(&encoded.value));
    }
}

/// A topic of one object, with its schemas cached in encoder and decoder.
struct Topic {
    encoder: Encoder,
    decoder: Decoder,
    envelope: Schema,
}

impl Topic {
    fn new(object: &Object) -> Self {
        let schemas = TopicSchemas::new(object, "acme.deals").unwrap();
        let envelope = Schema::parse_str(&schemas.value).unwrap();
        let registry = Registry::new("http://127.0.0.1:1", &prometheus::Registry::new()).unwrap();
        let mut decoder = Decoder::new(registry);
        decoder.insert(KEY_ID, Arc::new(Prepared::new(&Schema::parse_str(&schemas.key).unwrap())));
        decoder.insert(VALUE_ID, Arc::new(Prepared::new(&envelope)));
        Self { encoder: Encoder::new("webhook", object, &schemas, KEY_ID, VALUE_ID), decoder, envelope }
    }

    fn undecodable(&self, key: Option<&[u8]>, value: &[u8]) -> &'static str {
        match self.decoder.decode(key, Some(value)) {
            Decoded::Body(Body::Undecodable { code, .. }) => code,
            other => panic!("expected an undecodable record, got {other:?}"),
        }
    }
}

fn events() -> impl Strategy<Value = ChangeEvent> {
    (records(), any::<bool>())
        .prop_flat_map(|(schema, partial)| {
            let updates = if partial { Updates::Partial } else { Updates::Whole };
            // A union without null cannot become nullable, so such an object cannot be partial.
            let object =
                Object::new("deals", schema.clone(), updates).or_else(|_| Object::new("deals", schema, Updates::Whole));
            let object = Arc::new(object.unwrap());
            let names: Vec<_> = object.fields().iter().map(|field| field.name.clone()).collect();
            let version = (any::<i64>(), any::<i64>(), 0_i8..=3).prop_map(|(ts, seq, rank)| Version { ts, seq, rank });
            let count = names.len();
            (
                (
                    Just(object.clone()),
                    any::<String>(),
                    prop::sample::select(vec![Op::Create, Op::Update, Op::Read, Op::Delete]),
                ),
                (
                    field_values(object.fields()),
                    prop::option::of(prop::sample::subsequence(names, 0..=count).prop_shuffle()),
                ),
                (prop::option::of(version), any::<String>(), prop::option::of(any::<i64>())),
            )
        })
        .prop_map(|((object, id, op), (after, changed), (version, event_id, source_time_ms))| ChangeEvent {
            object,
            key: Key::Text(id),
            op,
            after: (op != Op::Delete).then_some(after),
            changed,
            version,
            event_id,
            source_time_ms,
            traceparent: None,
        })
}

fn deal() -> ChangeEvent {
    let schema = r#"{"type":"record","name":"Deal","fields":[
        {"name":"id","type":"long"},{"name":"title","type":["null","string"],"default":null},
        {"name":"won","type":"boolean"}]}"#;
    let object = Object::new("deals", Schema::parse_str(schema).unwrap(), Updates::Whole).unwrap();
    let after = [("id", Value::Long(1)), ("title", Value::String("x".into())), ("won", Value::Boolean(true))];
    ChangeEvent {
        object: Arc::new(object),
        key: Key::Long(1),
        op: Op::Update,
        after: Some(after.map(|(name, value)| (name.to_owned(), value)).into()),
        changed: Some(vec!["won".into(), "title".into()]),
        version: Some(Version { ts: 3, seq: 2, rank: 1 }),
        event_id: "e-1".into(),
        source_time_ms: None,
        traceparent: None,
    }
}

#[test]
fn apache_avro_reads_the_envelope() {
    let event = deal();
    let topic = Topic::new(&event.object);
    let encoded = topic.encoder.encode(&event).unwrap();
    assert_eq!(encoded.key, [0, 0, 0, 0, 7, 2]);
    assert_eq!(encoded.value[..5], [0, 1, 2, 3, 4]);
    let Value::Record(envelope) = reference_value(&topic.envelope, &encoded.value[5..]).unwrap() else {
        panic!("a record")
    };
    let field = |name: &str| &envelope.iter().find(|(field, _)| field == name).unwrap().1;
    let text = |text: &str| Value::String(text.to_owned());
    let some = |value: Value| Value::Union(1, Box::new(value));
    assert_eq!(field("op"), &text("u"));
    assert_eq!(field("before"), &Value::Union(0, Box::new(Value::Null)));
    assert_eq!(field("changed"), &some(Value::Array(vec![text("won"), text("title")])));
    let Value::Record(source) = field("source") else { panic!("a record") };
    let source: Vec<_> = source.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        source,
        [
            ("connector", text("webhook")),
            ("object", text("deals")),
            ("event_id", text("e-1")),
            ("ts_ms", Value::Union(0, Box::new(Value::Null))),
            ("v_ts", some(Value::Long(3))),
            ("v_seq", some(Value::Long(2))),
            ("v_rank", some(Value::Int(1))),
        ]
    );
}

#[test]
fn records_of_one_schema_share_it() {
    let event = deal();
    let topic = Topic::new(&event.object);
    let encoded = topic.encoder.encode(&event).unwrap();
    let schema = || match topic.decoder.decode(Some(&encoded.key), Some(&encoded.value)) {
        Decoded::Body(Body::Change(change)) => change.schema,
        other => panic!("expected a change, got {other:?}"),
    };
    assert!(Arc::ptr_eq(&schema(), &schema()));
}

#[test]
fn each_defect_has_its_code() {
    let event = deal();
    let topic = Topic::new(&event.object);
    let Encoded { key, value } = topic.encoder.encode(&event).unwrap();
    let code = |value: &[u8]| topic.undecodable(Some(&key), value);
    assert_eq!(topic.undecodable(Some(&[]), &value), "decode.framing");
    assert_eq!(topic.undecodable(Some(&[&key[..], &[0]].concat()), &value), "decode.trailing_bytes");
    assert_eq!(topic.undecodable(Some(&value), &value), "decode.key_type");
    assert_eq!(code(&value[..4]), "decode.framing");
    assert_eq!(code(b"{\"json\":1}"), "decode.framing");
    assert_eq!(code(&value[..5]), "decode.truncated");
    assert_eq!(code(&[&value[..], &[0]].concat()), "decode.trailing_bytes");

    let replaced = |from: &[u8], to: &[u8]| {
        let at = value.windows(from.len()).position(|window| window == from).expect("the bytes are there");
        [&value[..at], to, &value[at + from.len()..]].concat()
    };
    assert_eq!(code(&replaced(b"\x06won", b"\x06wox")), "decode.unknown_field");
    assert_eq!(code(&replaced(b"\x02u", b"\x02q")), "decode.unknown_op");
    assert_eq!(code(&replaced(b"\x02u", b"\x02\xff")), "decode.utf8");
    // The title announces a billion bytes.
    assert_eq!(code(&replaced(b"\x02\x02x", b"\x02\x80\xa8\xd6\xb9\x07x")), "decode.length");
}

#[test]
fn a_null_value_is_a_tombstone_and_an_unknown_schema_is_requested() {
    let event = deal();
    let topic = Topic::new(&event.object);
    let encoded = topic.encoder.encode(&event).unwrap();
    assert!(matches!(topic.decoder.decode(None, None), Decoded::Body(Body::Tombstone(_))));
    let strange = [0, 0, 0, 0, 99, 0];
    assert!(matches!(
        topic.decoder.decode(Some(&strange), Some(&encoded.value)),
        Decoded::NeedsSchema(SchemaId::Number(99))
    ));
    assert!(matches!(
        topic.decoder.decode(Some(&encoded.key), Some(&strange)),
        Decoded::NeedsSchema(SchemaId::Number(99))
    ));
}

#[test]
fn a_mismatching_event_is_poison_and_names_only_the_field() {
    let encode = |event: &ChangeEvent| Topic::new(&event.object).encoder.encode(event).unwrap_err();
    let mut event = deal();
    event.after.as_mut().unwrap()[2].1 = Value::String("canary".into());
    let error = encode(&event);
    assert_eq!((error.reaction, error.code), (Reaction::Poison, "encode.misfit"));
    assert!(error.chain().contains("field `won`") && !error.chain().contains("canary"), "{}", error.chain());
    for spoil in [
        |event: &mut ChangeEvent| event.key = Key::Text("1".into()),
        |event: &mut ChangeEvent| event.after = None,
        |event: &mut ChangeEvent| drop(event.after.as_mut().unwrap().pop()),
        |event: &mut ChangeEvent| event.after.as_mut().unwrap().swap(0, 1),
    ] {
        let mut event = deal();
        spoil(&mut event);
        assert_eq!(encode(&event).code, "encode.misfit");
    }
}

#[test]
fn blocks_with_a_size_are_read() {
    let schema = Schema::parse_str(r#"{"type":"array","items":"int"}"#).unwrap();
    // Two items in a block with its size of two bytes, then one item in a block without a size.
    let bytes = [0x03, 0x04, 0x02, 0x04, 0x02, 0x06, 0x00];
    let read = Reader::new(&bytes).value(&schema).unwrap();
    assert_eq!(read, Value::Array(vec![Value::Int(1), Value::Int(2), Value::Int(3)]));
    assert_eq!(read, reference_value(&schema, &bytes).unwrap());
}
