//! The law of accounting: each record that was produced into a partition, up to the offset that the sink has reached,
//! is counted once by a living worker, or is found in the store that a dead worker has left.
//!
//! Compared with the topic, not with what the sink says it has read: a record that the sink skips is in none of its
//! counts. The topic is read only if the counts alone do not settle the question, because every test ends here. Nothing
//! in this module needs a runtime: it runs when a worker is dropped.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use serde_json::Value;
use towpath::kafka::client::KafkaSettings;

use crate::stack::{database, env, rows, unique};

/// No test has a topic with more.
const MOST_PARTITIONS: i32 = 32;
const TIMEOUT: Duration = Duration::from_secs(10);

/// The keys of a sink with which the last record of a key need not be the record that its row names.
const LEAVES_NO_TRACE: [&str; 9] = [
    "delete.mode",
    "pk.",
    "insert.mode",
    "metadata.columns",
    "fields.",
    "version.field",
    "transforms",
    "truncate.enabled",
    "table.name.format",
];

/// Checks the counts of a living process: the records of each topic, from the first claim of each partition to its next
/// offset, are the records that the process says it has read.
///
/// `log` is the log of this process, `connectors` its answer at `/towpath/v1/connectors`, and `read` the numbers of
/// records of a topic that it had counted before that answer, and after it.
pub(crate) fn of_process(
    log: &str,
    connectors: &Value,
    sink: &str,
    read: impl Fn(&str) -> [u64; 2],
) -> Result<(), String> {
    let mut ranges: BTreeMap<String, Vec<(i32, i64, i64)>> = BTreeMap::new();
    let sinks = connectors.as_array().into_iter().flatten().filter(|connector| connector["name"] == sink);
    let tasks = sinks.flat_map(|connector| connector["tasks"].as_array().into_iter().flatten());
    for partition in tasks.flat_map(|task| task["partitions"].as_array().into_iter().flatten()) {
        let topic = partition["topic"].as_str().expect("the name of a topic");
        let number = partition["partition"].as_i64().and_then(|number| i32::try_from(number).ok()).expect("a number");
        let Some(next) = partition["next_offset"].as_i64() else { continue };
        let claims: Vec<_> = claims(log, &format!("{topic}[{number}]")).collect();
        let first =
            claims.first().ok_or_else(|| format!("the log does not say where {topic}[{number}] was claimed"))?;
        let of_topic = ranges.entry(topic.to_owned()).or_default();
        of_topic.push((number, first.0, next));
        // The database was restored, or the offset set back: those records are read again.
        let again = claims.iter().filter_map(|(offset, before)| Some((*offset, before.filter(|from| from > offset)?)));
        of_topic.extend(again.map(|(offset, before)| (number, offset, before)));
    }
    for (topic, ranges) in ranges {
        // Records that waited before this process, and that it has counted if they no longer wait.
        let inherited = format!(" records of {topic}[");
        let inherited: u64 = log
            .lines()
            .filter(|line| line.contains("] wait since before"))
            .filter_map(|line| line.split_once(&inherited)?.0.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        let [before, after] = read(&topic);
        let mut offsets: u64 = inherited + ranges.iter().map(|(_, from, to)| to.abs_diff(*from)).sum::<u64>();
        if (before..=after).contains(&offsets) {
            continue;
        }
        // Compaction and retention may have removed records since.
        let found: Option<u64> = ranges
            .iter()
            .map(|(partition, from, to)| produced(&topic, *partition, *from, *to).map(|found| found.len() as u64))
            .sum();
        let Some(found) = found.map(|found| found + inherited) else { continue };
        // A task that has ended no longer shows its partitions, and has counted.
        let is_whole = |number: &i32| ranges.iter().any(|(shown, ..)| shown == number);
        if !(0..MOST_PARTITIONS)
            .all(|number| is_whole(&number) || claims(log, &format!("{topic}[{number}]")).count() == 0)
        {
            offsets = u64::MAX;
        }
        if before > offsets || after < found.saturating_sub(waiting(sink, &topic)) {
            return Err(format!(
                "{topic} has {found} records in the partitions and offsets {ranges:?} that the sink has passed, and \
                 the sink has counted {before} to {after}"
            ));
        }
    }
    Ok(())
}

/// The claims of a partition in a log: the offset, and the offset that the process had reached before, if it had.
fn claims(log: &str, partition: &str) -> impl Iterator<Item = (i64, Option<i64>)> {
    let message = format!("claimed {partition} from offset ");
    let lines = log.lines().filter_map(move |line| line.split_once(&message).map(|(_, rest)| rest));
    lines.filter_map(|rest| Some((number(rest)?, rest.split_once(" before=").and_then(|(_, before)| number(before)))))
}

/// The number at the beginning of a text.
fn number(text: &str) -> Option<i64> {
    text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The records of a topic that wait for others, which no count has yet.
fn waiting(sink: &str, topic: &str) -> u64 {
    let sql = format!("SELECT 1 FROM towpath.waiting WHERE sink = '{sink}' AND topic = '{topic}'");
    asked(async move { rows(&database().await, &sql).await.len() as u64 }).unwrap_or(0)
}

/// Asks a database from a thread of its own, because the caller may be inside a runtime; `None` after a time.
fn asked<T: Send + 'static>(question: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let answer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { tokio::time::timeout(TIMEOUT, question).await.ok() })
    });
    answer.join().expect("the store can be read")
}

/// A record as a consumer with `read_committed` sees it.
struct Produced {
    offset: i64,
    key: Option<Vec<u8>>,
    is_null: bool,
}

/// The records of a partition in a range of offsets; `None` if the topic is gone or is another.
fn produced(topic: &str, partition: i32, from: i64, to: i64) -> Option<Vec<Produced>> {
    let consumer: BaseConsumer = KafkaSettings::new(&env("KAFKA_BOOTSTRAP"), "lab", [])
        .client("test")
        .set("group.id", unique("accounting"))
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).ok()?;
    let exists = metadata.topics()[0].partitions().iter().any(|found| found.id() == partition);
    let (low, high) = exists.then(|| consumer.fetch_watermarks(topic, partition, TIMEOUT).ok()).flatten()?;
    if high < to {
        return None;
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(from.max(low))).expect("an offset");
    consumer.assign(&assignment).expect("the assignment");
    let mut found = Vec::new();
    while from.max(low) < to {
        match consumer.poll(TIMEOUT)? {
            Err(KafkaError::PartitionEOF(_)) => break,
            Err(_) => return None,
            Ok(message) if message.offset() >= to => break,
            Ok(message) => found.push(Produced {
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                is_null: message.payload().is_none(),
            }),
        }
    }
    Some(found)
}

/// Checks what a dead worker has left in the store: the last record of each key, before the stored offset of its
/// partition, is the record of a row or a dead letter. Of earlier records the store says nothing.
pub(crate) fn of_store(sink: &str, config: &str) -> Result<(), String> {
    if LEAVES_NO_TRACE.iter().any(|key| config.contains(key)) {
        return Ok(());
    }
    let Some(url) = config.lines().find_map(|line| line.strip_prefix("connection.url = ")) else { return Ok(()) };
    // The same database without a proxy and without the role, which the test may have broken.
    let database = url.trim_matches('"').rsplit('/').next().and_then(|rest| rest.split('?').next()).unwrap_or_default();
    let server = env("DATABASE_URL");
    let url = format!("{}/{database}", server.rsplit_once('/').expect("a URL with a database").0);
    let sink = sink.to_owned();
    // Without a database there is no store to compare with.
    let Some(stored) = asked(async move { Stored::read(&url, &sink).await }).flatten() else { return Ok(()) };
    stored.into_iter().try_for_each(|(topic, stored)| stored.has_every_key(&topic))
}

/// What the store has of one topic.
#[derive(Default)]
struct Stored {
    next: BTreeMap<i32, i64>,
    places: HashSet<(i32, i64)>,
    has_versions: bool,
}

impl Stored {
    /// One snapshot of all topics of a sink; `None` if there is no such database.
    async fn read(url: &str, sink: &str) -> Option<BTreeMap<String, Self>> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.ok()?;
        let offsets = "SELECT topic, partition, next_offset FROM towpath.sink_partition WHERE sink = $1";
        let mut topics: BTreeMap<String, Self> = BTreeMap::new();
        for row in client.query(offsets, &[&sink]).await.ok()? {
            topics.entry(row.get(0)).or_default().next.insert(row.get(1), row.get(2));
        }
        for (topic, stored) in &mut topics {
            // A record that waits is in neither yet.
            let letters = r#"SELECT partition, "offset" FROM towpath.dead_letter WHERE sink = $1 AND topic = $2
                             UNION ALL SELECT partition, "offset" FROM towpath.waiting WHERE sink = $1 AND topic = $2"#;
            let found = client.query(letters, &[&sink, topic]).await.expect("the dead letters");
            stored.places.extend(found.iter().map(|row| (row.get::<_, i32>(0), row.get::<_, i64>(1))));
            let tables = format!(
                "SELECT format('%I.%I', table_schema, table_name) FROM towpath.tables
                 JOIN pg_attribute ON attrelid = to_regclass(format('%I.%I', table_schema, table_name))
                 JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p')
                 WHERE topic = '{topic}' AND attname = '_towpath_offset' AND NOT attisdropped"
            );
            for table in rows(&client, &tables).await {
                let places = format!("SELECT _towpath_partition, _towpath_offset, _towpath_ts <> 0 FROM {table}");
                for row in client.query(&places, &[]).await.expect("the rows") {
                    let (partition, offset, has_version): (Option<i32>, Option<i64>, Option<bool>) =
                        (row.get(0), row.get(1), row.get(2));
                    stored.places.extend(partition.zip(offset));
                    stored.has_versions |= has_version == Some(true);
                }
            }
        }
        Some(topics)
    }

    fn has_every_key(&self, topic: &str) -> Result<(), String> {
        if self.has_versions {
            return Ok(());
        }
        // A key that moved when partitions were added has a last record in each.
        let mut last: HashMap<Vec<u8>, Vec<(i32, i64, bool)>> = HashMap::new();
        let wrong = |partition, offset| {
            format!("{topic}[{partition}] has a record at {offset} that is neither in a row nor in a dead letter")
        };
        for (&partition, &next) in &self.next {
            let Some(found) = produced(topic, partition, 0, next) else { return Ok(()) };
            for Produced { offset, key, is_null } in found {
                let Some(key) = key else {
                    if !is_null && !self.places.contains(&(partition, offset)) {
                        return Err(wrong(partition, offset));
                    }
                    continue;
                };
                let of_key = last.entry(key).or_default();
                of_key.retain(|(other, ..)| *other != partition);
                of_key.push((partition, offset, is_null));
            }
        }
        for of_key in last.into_values() {
            let is_told = |&(partition, offset, is_null): &_| is_null || self.places.contains(&(partition, offset));
            if let (false, Some((partition, offset, _))) = (of_key.iter().any(is_told), of_key.first()) {
                return Err(wrong(*partition, *offset));
            }
        }
        Ok(())
    }
}
