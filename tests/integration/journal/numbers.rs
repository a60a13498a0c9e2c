//! A source of numbered events with a position, and its topics.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value as Json};
use towpath::{
    avro::registry::Registry,
    kafka::{
        client::KafkaSettings,
        publisher::{
            BrokerLimits, JournalSettings, KafkaJournal, OffsetStorage, SourceMetrics, TopicSettings, transactional_id,
        },
    },
};
use towpath_api::{
    ChangeEvent, Journal, Key, Lifecycle, Object, Op, OpenSource, Placement, Position, Reaction, Result, Source,
    Updates,
    apache_avro::{Schema, types::Value},
};

use super::raw::read;
use crate::stack::{env, unique};

const GROUP: &str = "lab";

/// Topics and a transactional id that are unique to the test.
#[derive(Clone)]
pub(super) struct Laboratory {
    pub(super) connector: String,
    pub(super) offsets: String,
    limits: BrokerLimits,
    compresses: bool,
}

impl Laboratory {
    pub(super) fn new(theme: &str) -> Self {
        Self::named(&unique(theme))
    }

    pub(super) fn named(connector: &str) -> Self {
        Self {
            connector: connector.to_owned(),
            offsets: format!("{connector}-offsets"),
            limits: BrokerLimits::default(),
            compresses: false,
        }
    }

    pub(super) fn topic(&self) -> String {
        format!("{}.numbers", self.connector)
    }

    pub(super) fn transactional_id(&self) -> String {
        transactional_id(GROUP, &self.connector, 0)
    }

    pub(super) fn kafka() -> KafkaSettings {
        KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), GROUP, [])
    }

    /// Compresses its batches, so that the journal cannot know which records are too large.
    pub(super) fn with_compression(self) -> Self {
        Self { compresses: true, ..self }
    }

    fn compressing() -> KafkaSettings {
        KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), GROUP, [("compression.type", "zstd")])
    }

    pub(super) async fn try_open(&self) -> Result<KafkaJournal> {
        let metrics = prometheus::Registry::new();
        let settings = JournalSettings {
            kafka: if self.compresses { Self::compressing() } else { Self::kafka() },
            registry: Registry::new(&env("SCHEMA_REGISTRY_URL"), &metrics).unwrap(),
            topics: TopicSettings { prefix: self.connector.clone(), partitions: 3, replication: None },
            offsets: OffsetStorage { topic: self.offsets.clone(), partitions: 3, replication: None },
            limits: self.limits.clone(),
            metrics: SourceMetrics::register(&metrics).unwrap(),
        };
        KafkaJournal::open(&settings, &self.connector, 0).await
    }

    pub(super) async fn open(&self) -> KafkaJournal {
        self.try_open().await.unwrap_or_else(|error| panic!("{}", error.chain()))
    }
}

pub(super) fn position(next: u64) -> Position {
    Position(Map::from_iter([("next".to_owned(), Json::from(next))]))
}

pub(super) fn event(number: u64) -> ChangeEvent {
    static OBJECT: std::sync::LazyLock<Arc<Object>> = std::sync::LazyLock::new(|| {
        let schema = r#"{"type":"record","name":"Number","fields":[{"name":"id","type":"string"},
            {"name":"text","type":["null","string"],"default":null}]}"#;
        Arc::new(Object::new("numbers", Schema::parse_str(schema).unwrap(), Updates::Whole).unwrap())
    });
    let id = format!("k{}", number % 7);
    ChangeEvent {
        object: Arc::clone(&OBJECT),
        key: Key::Text(id.clone()),
        op: Op::Update,
        after: Some(vec![("id".into(), Value::String(id)), ("text".into(), Value::String("x".repeat(50)))]),
        changed: None,
        version: None,
        event_id: number.to_string(),
        source_time_ms: None,
        traceparent: None,
    }
}

pub(super) fn events(numbers: Range<u64>) -> Vec<ChangeEvent> {
    numbers.map(event).collect()
}

/// Publishes the numbers from the stored position, in batches of 1 to 40, until it is stopped.
pub(super) struct Numbers {
    pause: Duration,
    published: Arc<AtomicU64>,
}

pub(super) struct OpenNumbers {
    pub(super) pause: Duration,
    /// The calls of `publish` that have returned, of all sources.
    pub(super) published: Arc<AtomicU64>,
}

impl OpenSource for OpenNumbers {
    type Source = Numbers;

    fn placement(&self) -> Placement {
        Placement::OneWorker
    }

    fn tasks(&self, _max: u32) -> u32 {
        1
    }

    async fn open(&self, _task: u32) -> Result<Numbers> {
        Ok(Numbers { pause: self.pause, published: Arc::clone(&self.published) })
    }
}

impl<J: Journal> Source<J> for Numbers {
    async fn run(&mut self, out: &mut J, life: Lifecycle) -> Result<()> {
        let stored = out.position().await?;
        let mut next = stored.map_or(0, |position| position.0["next"].as_u64().expect("a number"));
        while !life.stop().is_cancelled() {
            let to = next + rand::random_range(1..=40);
            out.publish(&events(next..to), position(to)).await?;
            next = to;
            self.published.fetch_add(1, Ordering::SeqCst);
            if !life.is_started() {
                life.has_started();
                println!("publishing");
            }
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }
}

/// Runs the source as a worker does: a new source and a new journal after each retry. Never returns.
pub(super) async fn run_until_killed(lab: &Laboratory) {
    let opener = OpenNumbers { pause: Duration::ZERO, published: Arc::default() };
    loop {
        let run = async {
            let mut source = opener.open(0).await?;
            let mut journal = lab.try_open().await?;
            source.run(&mut journal, Lifecycle::default()).await
        };
        let error = run.await.expect_err("the source ends only by an error");
        assert_eq!(error.reaction, Reaction::Retry, "{}", error.chain());
        eprintln!("retry: {}", error.chain());
    }
}

/// Asserts that readers see each number once and in order, and that the position agrees. Returns the next number.
pub(super) async fn agree(lab: &Laboratory) -> u64 {
    let Position(stored) = lab.open().await.position().await.unwrap().expect("a position");
    let next = stored["next"].as_u64().unwrap();
    let found = read(&lab.topic(), "read_committed");
    for partition in 0..3 {
        let numbers: Vec<_> =
            found.iter().filter(|record| record.partition == partition).map(|record| record.number).collect();
        assert!(numbers.is_sorted(), "in order: {numbers:?}");
    }
    let mut numbers: Vec<_> = found.iter().map(|record| record.number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..next), "each number up to {next} once: {} records", numbers.len());
    next
}
