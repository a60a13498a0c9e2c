//! Records that are read back, at both depths.

use proptest::prelude::*;
use towpath_api::Depth;

use super::{KEY_ID, Topic, bare, events};
use crate::avro::codec::published::{PublishedContent, PublishedDecoder, ReadBack};

fn record(decoder: &PublishedDecoder, key: &[u8], value: &[u8], depth: Depth) -> PublishedContent {
    match decoder.decode(key, value, depth) {
        ReadBack::Record(content) => content,
        other => panic!("expected a record, got {other:?}"),
    }
}

proptest! {
    #[test]
    fn an_event_is_read_back_as_it_was_published(event in events()) {
        let topic = Topic::new(&event.object);
        let encoded = topic.encoder.encode(&event).unwrap();
        let decoder = PublishedDecoder::of(topic.decoder);
        let fields = event.object.fields();
        let after = event.after.as_ref().map(|after| {
            let named = fields.iter().zip(after);
            named.map(|(field, (name, value))| (name.clone(), bare(&field.schema, value.clone()))).collect::<Vec<_>>()
        });
        let whole = record(&decoder, &encoded.key, &encoded.value, Depth::Whole);
        prop_assert_eq!((&whole.key, whole.op, whole.version), (&event.key, Some(event.op), event.version));
        if event.op != towpath_api::Op::Delete {
            prop_assert_eq!(&whole.after, &after);
        }
        // The value is not looked at.
        let ids = record(&decoder, &encoded.key, b"", Depth::Ids);
        prop_assert_eq!(ids, PublishedContent { key: event.key, op: None, after: None, version: None });
    }

    #[test]
    fn any_bytes_are_a_record_or_foreign_or_need_a_schema(
        event in events(),
        key in prop::collection::vec(any::<u8>(), 0..32),
        value in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let topic = Topic::new(&event.object);
        let encoded = topic.encoder.encode(&event).unwrap();
        let decoder = PublishedDecoder::of(topic.decoder);
        for depth in [Depth::Ids, Depth::Whole] {
            for (key, value) in [(&key, &value), (&encoded.key, &value), (&key, &encoded.value)] {
                decoder.decode(key, value, depth);
            }
        }
        let framed = [&[0][..], &KEY_ID.to_be_bytes(), &[200]].concat();
        let is_foreign = matches!(decoder.decode(&framed, &encoded.value, Depth::Ids), ReadBack::Foreign { .. });
        prop_assert!(is_foreign);
        let unknown = [&[0][..], &9_999_u32.to_be_bytes(), &[2, b'a']].concat();
        let is_unknown = matches!(decoder.decode(&unknown, &encoded.value, Depth::Ids), ReadBack::NeedsSchema(_));
        prop_assert!(is_unknown);
    }
}
