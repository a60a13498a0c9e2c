//! A topic as one of our sources writes it, through the publisher: whole records, partial updates, deletes, and late
//! records.

use std::{collections::BTreeMap, sync::Arc};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use towpath::{
    avro::registry::Registry,
    kafka::{
        client::KafkaSettings,
        publisher::{KafkaPublisher, SourceMetrics, TopicSettings},
    },
};
use towpath_api::{
    ChangeEvent, Key, Object, Op, Publisher as _, Updates, Version,
    apache_avro::{Schema, types::Value},
};

use super::model::{Act, Model};
use crate::stack::env;

pub(super) const COLUMNS: [&str; 3] = ["title", "amount", "won"];
/// Keys of the topic.
const IDS: i64 = 6_000;

/// The source, and the model of its events.
pub(super) struct Deals {
    random: StdRng,
    publisher: KafkaPublisher,
    object: Arc<Object>,
    clock: i64,
    pub(super) model: Model,
}

impl Deals {
    pub(super) fn new(prefix: &str, partitions: i32, seed: u64) -> Self {
        let metrics = prometheus::Registry::new();
        let registry = Registry::new(&env("SCHEMA_REGISTRY_URL"), &metrics).unwrap();
        let topics = TopicSettings { prefix: prefix.to_owned(), partitions, replication: None };
        let kafka = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "closing", []);
        let source_metrics = SourceMetrics::register(&metrics).unwrap();
        let publisher = KafkaPublisher::new(&kafka, registry, topics, "closing", source_metrics).unwrap();
        let schema = Schema::parse_str(
            r#"{"type":"record","name":"Deal","fields":[{"name":"id","type":"long"},
                {"name":"title","type":["null","string"],"default":null},
                {"name":"amount","type":["null","long"],"default":null},
                {"name":"won","type":["null","boolean"],"default":null}]}"#,
        );
        let object = Arc::new(Object::new("deals", schema.unwrap(), Updates::Partial).unwrap());
        let random = StdRng::seed_from_u64(seed);
        Self { random, publisher, object, clock: 1_000_000, model: Model::new(&COLUMNS) }
    }

    /// Publishes a whole record for each of these ids.
    pub(super) async fn fill(&mut self, ids: std::ops::Range<i64>) {
        let events = ids.map(|id| self.event(Op::Create, id, &COLUMNS, 0)).collect();
        self.publish(events).await;
    }

    /// Publishes `count` changes.
    pub(super) async fn change(&mut self, changes: usize) {
        let events = (0..changes)
            .map(|_| {
                let id = self.random.random_range(0..IDS);
                match self.random.random_range(0..20) {
                    0..3 => self.event(Op::Delete, id, &[], 0),
                    3..5 => self.event(Op::Create, id, &COLUMNS, 0),
                    // A late record: the row may be newer by now.
                    5..7 => self.event(Op::Update, id, &COLUMNS, 2_000),
                    7..12 => self.event(Op::Update, id, &["amount"], 0),
                    _ => self.event(Op::Update, id, &["title", "won"], 0),
                }
            })
            .collect();
        self.publish(events).await;
    }

    fn event(&mut self, op: Op, id: i64, fields: &[&'static str], late_by: i64) -> (ChangeEvent, Act) {
        self.clock += 1;
        let number = self.random.random_range(0..1_000_000_i64);
        let values = [
            ("title", Value::String(format!("deal {number}")), format!("deal {number}")),
            ("amount", Value::Long(number), number.to_string()),
            ("won", Value::Boolean(number % 2 == 0), if number % 2 == 0 { "t" } else { "f" }.to_owned()),
        ];
        let carried = |name: &str| fields.contains(&name);
        let others = values
            .iter()
            .map(|(name, value, _)| ((*name).to_owned(), if carried(name) { value.clone() } else { Value::Null }));
        let after = std::iter::once(("id".to_owned(), Value::Long(id))).chain(others).collect();
        let is_partial = op != Op::Delete && fields.len() < COLUMNS.len();
        let version = self.clock - late_by;
        let event = ChangeEvent {
            object: Arc::clone(&self.object),
            key: Key::Long(id),
            op,
            after: (op != Op::Delete).then_some(after),
            changed: is_partial.then(|| fields.iter().map(|name| (*name).to_owned()).collect()),
            version: Some(Version { ts: version, seq: 0, rank: 0 }),
            event_id: format!("event-{}", self.clock),
            source_time_ms: None,
            traceparent: None,
        };
        let values =
            values.into_iter().filter(|(name, ..)| carried(name)).map(|(name, _, text)| (name, text)).collect();
        let act = Act { partition: -1, offset: -1, id, op: op.as_str(), version: Some(version), is_partial, values };
        (event, act)
    }

    async fn publish(&mut self, events: Vec<(ChangeEvent, Act)>) {
        let (events, acts): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let places = self.publisher.publish(events).await.unwrap();
        for (place, mut act) in places.iter().zip(acts) {
            (act.partition, act.offset) = (place.partition, place.offset);
            self.model.take(&act);
            if act.op == "delete" {
                let values = BTreeMap::new();
                self.model.take(&Act { offset: act.offset + 1, op: "tombstone", version: None, values, ..act });
            }
        }
    }
}
