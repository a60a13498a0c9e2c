//! Records and topics that can never be stored, beside a topic with load, under kill −9: the good topic's table equals
//! the model, each bad record is a dead letter once and as it came, and nothing else stops.

mod raw;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_postgres::Client;

use self::raw::{Raw, produce, put_number};
use crate::{
    crash::{Load, rows_are_right, watch},
    stack::{database, env, eventually, rows, rows_become, seed, shared},
    types::foreign::Topic,
    worker::Worker,
};

/// A reason why a record can never be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The value is not Avro.
    Undecodable,
    /// An old record with a schema that the registry does not have.
    UnknownSchema,
    /// A text that holds NUL.
    NulText,
    /// A row that a check of the table refuses.
    Check,
    /// A row that a trigger refuses with a SQLSTATE of its own.
    OwnSqlstate,
    /// A name of a header that is not UTF-8. The value is undecodable as well, so that there is a dead letter.
    HeaderName,
    /// A name of a header that holds NUL; likewise.
    HeaderNul,
    /// A number whose scale would take gigabytes to print.
    AbsurdScale,
    /// A few bytes that decode to a billion elements.
    NullBomb,
    /// A row that does not fit into a page.
    TooWide,
}

const KINDS: [Kind; 10] = [
    Kind::Undecodable,
    Kind::UnknownSchema,
    Kind::NulText,
    Kind::Check,
    Kind::OwnSqlstate,
    Kind::HeaderName,
    Kind::HeaderNul,
    Kind::AbsurdScale,
    Kind::NullBomb,
    Kind::TooWide,
];

/// Topics that can have no table: a reserved schema, and the table of another topic.
const TOPICS: [&str; 2] = ["pg_{n}.notes", "{n}.Deals"];

const KEY: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"int"}]}"#;
const VALUE: &str = r#"{"type":"record","name":"Value","fields":[
    {"name":"note","type":["null","string"]},{"name":"n","type":["null","int"]},
    {"name":"big","type":["null",{"type":"bytes","logicalType":"big-decimal"}]},
    {"name":"nulls","type":["null",{"type":"array","items":"null"}]}]}"#;
/// The fields of a wide record. Numbers of eight bytes each, which Postgres keeps in the row's page.
const WIDE: usize = 1_100;

/// The topic of bad records, and what was sent.
struct Poisons {
    notes: String,
    wide: String,
    ids: [u32; 4],
    next_id: i64,
    /// The bad records by topic and offset.
    bad: BTreeMap<(String, i64), (Kind, Raw)>,
    /// The ids of the good records between them, by topic.
    good: BTreeMap<String, Vec<i64>>,
}

impl Poisons {
    async fn new(worker: &Worker) -> Self {
        let (notes, wide) = (format!("{}.notes", worker.name), format!("{}.wide", worker.name));
        let fields: Vec<_> = (0..WIDE).map(|at| format!(r#"{{"name":"f{at}","type":["null","long"]}}"#)).collect();
        let fields = format!(r#"{{"type":"record","name":"Wide","fields":[{}]}}"#, fields.join(","));
        let of_notes = Topic::with_partitions(&notes, 1).await.avro(KEY, VALUE).await.schema_ids();
        let of_wide = Topic::with_partitions(&wide, 1).await.avro(KEY, &fields).await.schema_ids();
        let ids = [of_notes.0, of_notes.1, of_wide.0, of_wide.1];
        Self { notes, wide, ids, next_id: 0, bad: BTreeMap::new(), good: BTreeMap::new() }
    }

    /// Writes one record of each kind, each followed by a good record of the same topic.
    fn send_each(&mut self) {
        for kind in KINDS {
            let record = self.bad(kind);
            let topic = if kind == Kind::TooWide { self.wide.clone() } else { self.notes.clone() };
            let offset = produce(&topic, &record);
            self.bad.insert((topic.clone(), offset), (kind, record));
            self.send_good(&topic);
        }
    }

    fn send_good(&mut self, topic: &str) {
        let record = if topic == self.wide {
            self.wide(&[0x00; WIDE])
        } else {
            self.note(&[0x02, 0x02, b'g', 0x00, 0x00, 0x00])
        };
        self.good.entry(topic.to_owned()).or_default().push(self.next_id);
        produce(topic, &record);
    }

    fn bad(&mut self, kind: Kind) -> Raw {
        // Fields in order: note, n, big, nulls. The number 0 stands for null, 2 for the other branch.
        let mut record = match kind {
            Kind::TooWide => self.wide(&[0x02; 2 * WIDE]),
            Kind::Undecodable | Kind::HeaderName | Kind::HeaderNul | Kind::UnknownSchema => self.note(b""),
            Kind::NulText => self.note(&[0x02, 0x06, b'a', 0, b'b', 0x00, 0x00, 0x00]),
            Kind::Check => self.note(&[0x00, 0x02, 0x01, 0x00, 0x00]),
            Kind::OwnSqlstate => self.note(&[0x00, 0x02, 0x1a, 0x00, 0x00]),
            Kind::AbsurdScale => {
                let mut number = vec![0x02, 0x07];
                put_number(&mut number, 2_000_000_000);
                let mut fields = vec![0x00, 0x00, 0x02];
                put_number(&mut fields, i64::try_from(number.len()).unwrap());
                self.note(&[fields, number, vec![0x00]].concat())
            }
            Kind::NullBomb => {
                let mut fields = vec![0x00, 0x00, 0x00, 0x02];
                put_number(&mut fields, 1 << 40);
                self.note(&[fields, vec![0x00]].concat())
            }
        };
        match kind {
            Kind::Undecodable => record.value = Some(b"no Avro \xff\0".to_vec()),
            Kind::UnknownSchema => {
                record.value = Some(framed(1_999_999_999, b"x"));
                record.timestamp_ms -= 3_600_000;
            }
            Kind::HeaderName | Kind::HeaderNul => {
                record.value = Some(b"no Avro either".to_vec());
                let name = if kind == Kind::HeaderName { b"a\xffb" } else { b"a\0b" };
                record.headers.push((name.to_vec(), Some(b"v".to_vec())));
            }
            _ => {}
        }
        record
    }

    /// A record of the wide topic with the next id.
    fn wide(&mut self, fields: &[u8]) -> Raw {
        let note = self.note(b"");
        let (key, value) = (framed(self.ids[2], &id(self.next_id)), framed(self.ids[3], fields));
        Raw { key: Some(key), value: Some(value), ..note }
    }

    /// A record of the topic of notes with the next id.
    fn note(&mut self, fields: &[u8]) -> Raw {
        self.next_id += 1;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Raw {
            key: Some(framed(self.ids[0], &id(self.next_id))),
            value: Some(framed(self.ids[1], fields)),
            headers: vec![(b"trace".to_vec(), Some(b"\xfe\0".to_vec())), (b"none".to_vec(), None)],
            timestamp_ms: i64::try_from(now.as_millis()).expect("a date"),
        }
    }

    /// Asserts that exactly the bad records are dead letters, with their bytes, and the good ones are rows.
    async fn are_set_aside(&self, database: &Client, worker: &Worker) {
        for (topic, good) in &self.good {
            let good: Vec<String> = good.iter().map(ToString::to_string).collect();
            let good: Vec<&str> = good.iter().map(String::as_str).collect();
            rows_become(database, &format!("SELECT id FROM {topic} ORDER BY id"), &good).await;
        }
        let places = format!(
            "SELECT topic || ':' || \"offset\" FROM towpath.dead_letter WHERE sink = 'pg-{}'
             ORDER BY topic COLLATE \"C\", \"offset\"",
            worker.name
        );
        let expected: Vec<String> = self.bad.keys().map(|(topic, offset)| format!("{topic}:{offset}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        rows_become(database, &places, &expected).await;
        for ((topic, offset), (kind, record)) in &self.bad {
            let sql = "SELECT key, value, headers::text FROM towpath.dead_letter WHERE topic = $1 AND \"offset\" = $2";
            let letter = database.query_one(sql, &[topic, offset]).await.unwrap();
            assert_eq!(letter.get::<_, Option<Vec<u8>>>(0), record.key, "the key of {kind:?} as it came");
            assert_eq!(letter.get::<_, Option<Vec<u8>>>(1), record.value, "the value of {kind:?} as it came");
            let headers = r#"[["trace", {"hex": "\\xfe00"}], ["none", null]"#;
            let found: String = letter.get(2);
            assert!(found.starts_with(headers), "the headers of {kind:?} as they came: {found}");
        }
    }
}

fn id(id: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, id);
    bytes
}

/// A datum after the id of its schema.
fn framed(schema: u32, datum: &[u8]) -> Vec<u8> {
    [&[0], &schema.to_be_bytes()[..], datum].concat()
}

/// A worker with a webhook for the good topic, and one task for all topics.
fn worker() -> Worker {
    let worker = Worker::new("poison").webhook("");
    let sink = format!(
        "name = \"pg-${{NAME}}\"\nconnector.class = \"PostgresSink\"\ntasks.max = 1\n\
         topics.regex = \"(pg_)?${{NAME}}\\\\..*\"\nconnection.url = \"{}\"\n\
         errors.retry.delay.max.ms = 1000\nschema.unknown.wait.ms = 1000\n",
        env("DATABASE_URL")
    );
    worker.file("postgres.toml", &sink)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_beside_topics_full_of_poison_loses_and_duplicates_nothing() {
    let _stack = shared().await;
    let mut random = StdRng::seed_from_u64(seed("kills beside poison"));
    let (mut worker, database) = (worker().start().await, database().await);
    watch(&database, &worker).await;
    let mut poisons = Poisons::new(&worker).await;
    // The tables exist before their first bad record.
    for topic in [poisons.notes.clone(), poisons.wide.clone()] {
        poisons.send_good(&topic);
        rows_become(&database, &format!("SELECT count(*) FROM {topic}"), &["1"]).await;
    }
    let refuse = format!(
        "ALTER TABLE {0}.notes ADD CHECK (n >= 0);
         CREATE FUNCTION {0}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'no %', NEW.n USING ERRCODE = 'UE001'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {0}.notes FOR EACH ROW WHEN (NEW.n = 13)
         EXECUTE FUNCTION {0}.refuse()",
        worker.name
    );
    database.batch_execute(&refuse).await.unwrap();
    let mut waiting = Vec::new();
    for topic in TOPICS {
        let topic = topic.replace("{n}", &worker.name);
        let _topic = Topic::with_partitions(&topic, 1).await;
        produce(&topic, &poisons.note(b""));
        waiting.push(topic);
    }

    let load = Load::start(&worker);
    let go_on = Arc::new(AtomicBool::new(true));
    let sending = tokio::task::spawn_blocking({
        let go_on = Arc::clone(&go_on);
        move || {
            while go_on.load(Ordering::Relaxed) && poisons.bad.len() < 300 {
                poisons.send_each();
            }
            poisons
        }
    });
    for _ in 0..8 {
        load.more(random.random_range(1..100)).await;
        let pause = Duration::from_micros(random.random_range(0..200_000));
        tokio::time::timeout(pause, std::future::pending::<()>()).await.unwrap_err();
        worker.kill();
        worker.spawn();
    }
    worker.is_ready().await;
    load.more(50).await;
    go_on.store(false, Ordering::Relaxed);
    let poisons = sending.await.unwrap();
    assert!(poisons.bad.len() >= KINDS.len(), "each kind was sent");
    let expected = load.end().await;
    rows_are_right(&database, &worker, expected).await;
    poisons.are_set_aside(&database, &worker).await;
    for topic in waiting {
        eventually(&format!("{topic} waits, visibly"), || async {
            let (_, text) = worker.get("/towpath/v1/connectors").await;
            let connectors: serde_json::Value = serde_json::from_str(&text).ok()?;
            let mut tasks =
                connectors.as_array()?.iter().filter_map(|connector| connector["tasks"].as_array()).flatten();
            let waits = tasks.any(|task| {
                let partitions = task["partitions"].as_array().into_iter().flatten();
                partitions.clone().any(|partition| partition["topic"] == topic && !partition["waiting_for"].is_null())
            });
            waits.then_some(())
        })
        .await;
        let letters = format!("SELECT count(*) FROM towpath.dead_letter WHERE topic = '{topic}'");
        assert_eq!(rows(&database, &letters).await, ["0"], "a topic that waits dead-letters nothing");
    }
    worker.must_account_for_each_record();
}
