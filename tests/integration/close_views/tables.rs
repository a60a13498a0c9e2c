//! Tables of Close, filled through the real sink from rows as Close shows them, with the columns that the views read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use apache_avro::{Schema, types::Value};
use serde_json::Value as Json;
use tokio_postgres::Client;
use towpath_api::{
    Arena, Batch, Body, Change, Claim, Error, Identity, OpenSink as _, Payload, Record, RecordKey, RecordOp, Sink as _,
    StandardView, TopicPartition,
};
use towpath_keys::{Flat, read};
use towpath_postgres::{
    OpenPostgresSink, PostgresSink, PostgresSinkConfig, SinkSettings, StandingView, standing_views,
};

use crate::{
    laboratory::claim,
    stack::{Shared, database, env, rows, shared, unique},
};

/// A sink that is offered views, and one partition for each table.
pub(crate) struct Tables {
    pub(crate) name: String,
    pub(crate) client: Client,
    views: &'static [StandardView],
    keys: Vec<(&'static str, &'static str)>,
    sink: PostgresSink,
    topics: HashMap<String, Topic>,
    further: Vec<(&'static str, String, &'static str)>,
    key_schema: Arc<Schema>,
    _stack: Shared,
}

struct Topic {
    claim: Claim,
    schema: Arc<Schema>,
    columns: Vec<(String, &'static str)>,
    next: i64,
}

impl Tables {
    pub(crate) async fn new(theme: &str) -> Self {
        Self::of(theme, towpath_close::standard_views(), &[]).await
    }

    pub(crate) async fn of(theme: &str, views: &'static [StandardView], keys: &[(&'static str, &'static str)]) -> Self {
        let stack = shared().await;
        let name = unique(theme);
        let sink = open(&name, views, keys).await;
        let key = r#"{"type":"record","name":"key","fields":[{"name":"id","type":"string"}]}"#;
        Self {
            name,
            client: database().await,
            views,
            keys: keys.to_vec(),
            sink,
            topics: HashMap::new(),
            further: Vec::new(),
            key_schema: Arc::new(Schema::parse_str(key).unwrap()),
            _stack: stack,
        }
    }

    /// As after the process was started again: with a new connection, nothing remembered, and partitions claimed.
    pub(crate) async fn restart(&mut self) {
        self.sink = open(&self.name, self.views, &self.keys).await;
        for topic in self.topics.values_mut() {
            topic.claim = claim(&mut self.sink, &topic.claim.partition).await;
        }
    }

    /// A further column of a table that has no rows yet: a custom field.
    pub(crate) fn also(&mut self, table: &'static str, column: &str, ty: &'static str) {
        self.further.push((table, column.to_owned(), ty));
    }

    /// Another type of a column, from the next row on.
    pub(crate) fn retype(&mut self, table: &str, column: &str, ty: &'static str) {
        let topic = self.topics.get_mut(table).expect("the table has rows");
        topic.columns.iter_mut().filter(|(name, _)| name == column).for_each(|(_, of)| *of = ty);
        topic.schema = schema(table, &topic.columns);
    }

    /// Inserts or updates rows, in one batch.
    pub(crate) async fn put(&mut self, table: &str, rows: &[Json]) {
        let changes = rows.iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), Some(row))).collect();
        self.apply(table, changes).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    /// Tries to insert or update rows that cannot be stored at present. The partition is claimed again afterwards.
    pub(crate) async fn refused(&mut self, table: &str, rows: &[Json]) -> Error {
        let changes = rows.iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), Some(row))).collect();
        let error = self.apply(table, changes).await.expect_err("the rows are refused");
        self.topics.get_mut(table).expect("the table has rows").next -= i64::try_from(rows.len()).expect("few rows");
        self.restart().await;
        error
    }

    /// Deletes rows: they stay as deleted ones.
    pub(crate) async fn delete(&mut self, table: &str, ids: &[&str]) {
        let changes = ids.iter().map(|id| ((*id).to_owned(), None)).collect();
        self.apply(table, changes).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    async fn apply(&mut self, table: &str, changes: Vec<(String, Option<&Json>)>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        if !self.topics.contains_key(table) {
            let partition = TopicPartition { topic: format!("{}.{table}", self.name).into(), partition: 0 };
            let mut columns = columns(self.views, table);
            assert!(!columns.is_empty(), "no view reads {table}");
            let further = self.further.iter().filter(|(of, ..)| *of == table);
            columns.extend(further.map(|(_, column, ty)| (column.clone(), *ty)));
            let schema = schema(table, &columns);
            let claim = claim(&mut self.sink, &partition).await;
            let topic = Topic { next: claim.next_offset, claim, schema, columns };
            self.topics.insert(table.to_owned(), topic);
        }
        let topic = self.topics.get_mut(table).expect("just inserted");
        let records: Vec<Record> = changes
            .iter()
            .zip(topic.next..)
            .map(|((id, row), offset)| {
                let key = RecordKey { identity: Identity::Text(id.clone()), schema: Arc::clone(&self.key_schema) };
                let fields = |row: &Json| {
                    let others = topic.columns.iter().map(|(name, ty)| value(&row[name.as_str()], ty));
                    [Value::String(id.clone())].into_iter().chain(others).collect()
                };
                let after = row.map(fields);
                let op = if row.is_some() { RecordOp::Update } else { RecordOp::Delete };
                let schema = Arc::clone(&topic.schema);
                let change =
                    Change { key: Some(key), op, schema, after, changed: None, version: None, source_time_ms: None };
                Record { offset, timestamp_ms: 1, body: Body::Change(Box::new(change)), payload: Payload::default() }
            })
            .collect();
        let (from, count) = (topic.next, records.len());
        topic.next += i64::try_from(count).expect("few rows");
        let partition = topic.claim.partition.clone();
        let batch = Batch { partition, from, to: topic.next, anchor: None, records, arena: Arena::default() };
        let applied = self.sink.apply(&topic.claim, &batch).await.map_err(|failed| failed.error)?;
        assert_eq!(applied.dead_letters().map(|(_, count)| count).sum::<u64>(), 0, "{table}");
        Ok(())
    }

    /// The rows of a query; `$` is the schema.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        rows(&self.client, &sql.replace('$', &self.name)).await
    }

    /// Runs statements; `$` is the schema.
    pub(crate) async fn run(&self, sql: &str) {
        let sql = sql.replace('$', &self.name);
        self.client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Each view with its state, as `towpath views` shows it.
    pub(crate) async fn standing(&self) -> Vec<StandingView> {
        let (_, config) = settings(&self.name, &self.keys);
        standing_views(&config, &self.name, self.views).await.unwrap()
    }

    /// Fails unless all views are installed whose required tables exist.
    pub(crate) async fn all_stand(&self) {
        let standing = self.standing().await;
        let missing: Vec<_> = standing.iter().filter(|view| view.why_not.is_some()).collect();
        assert!(
            missing.iter().all(|view| view.why_not.as_ref().is_some_and(|why| why.contains("does not exist)"))),
            "{missing:#?}"
        );
    }

    /// The standard views that exist in the schema.
    pub(crate) async fn views(&self) -> Vec<String> {
        self.ask("SELECT viewname FROM pg_views WHERE schemaname = '$' AND viewname NOT LIKE '%\\_live' ORDER BY 1")
            .await
    }
}

async fn open(name: &str, views: &'static [StandardView], keys: &[(&str, &str)]) -> PostgresSink {
    let (settings, config) = settings(name, keys);
    OpenPostgresSink::with_views(settings, config, views).open().await.unwrap()
}

fn settings(name: &str, keys: &[(&str, &str)]) -> (SinkSettings, PostgresSinkConfig) {
    let url = env("DATABASE_URL");
    let keys = [("connection.url", url.as_str())].into_iter().chain(keys.iter().copied());
    let (config, _) = read::<PostgresSinkConfig>(&Flat::from_strings(keys)).unwrap();
    let settings = SinkSettings {
        name: name.to_owned(),
        owner: "test".to_owned(),
        tolerate_poison: true,
        retry_timeout: Some(Duration::from_mins(1)),
    };
    (settings, config)
}

/// The columns of a table that some view reads, beside the key.
fn columns(views: &[StandardView], table: &str) -> Vec<(String, &'static str)> {
    let tables = views.iter().flat_map(|view| view.tables).filter(|read| read.name == table);
    let mut columns: BTreeMap<String, &'static str> = BTreeMap::new();
    for (name, ty) in tables.flat_map(|read| read.columns).filter(|(name, _)| *name != "id") {
        assert!(columns.insert((*name).to_owned(), ty).is_none_or(|before| before == *ty), "{table}.{name}");
    }
    columns.into_iter().collect()
}

fn schema(table: &str, columns: &[(String, &'static str)]) -> Arc<Schema> {
    let field = |(name, ty): &(String, &'static str)| {
        let (avro, more) = match *ty {
            "text" => (r#""string""#, ""),
            "bigint" => (r#""long""#, ""),
            "integer" => (r#""int""#, ""),
            "boolean" => (r#""boolean""#, ""),
            "double precision" => (r#""double""#, ""),
            "date" => (r#"{"type":"int","logicalType":"date"}"#, ""),
            "timestamptz" => (r#"{"type":"long","logicalType":"timestamp-micros"}"#, ""),
            "jsonb" => (r#""string""#, r#","connect.name":"io.debezium.data.Json""#),
            other => panic!("no schema for {other}"),
        };
        format!(r#"{{"name":"{name}","type":["null",{avro}],"default":null{more}}}"#)
    };
    let id = r#"{"name":"id","type":"string"}"#.to_owned();
    let fields: Vec<String> = [id].into_iter().chain(columns.iter().map(field)).collect();
    let text = format!(r#"{{"type":"record","name":"{table}","fields":[{}]}}"#, fields.join(","));
    Arc::new(Schema::parse_str(&text).unwrap())
}

fn value(json: &Json, ty: &str) -> Value {
    let text = || json.as_str().unwrap_or_else(|| panic!("{json} is {ty}"));
    match (json, ty) {
        (Json::Null, _) => Value::Null,
        (_, "text") => Value::String(text().to_owned()),
        (_, "bigint") => Value::Long(json.as_i64().expect("a number")),
        (_, "integer") => Value::Int(json.as_i64().and_then(|number| number.try_into().ok()).expect("a small number")),
        (_, "double precision") => Value::Double(json.as_f64().expect("a number")),
        (_, "boolean") => Value::Boolean(json.as_bool().expect("a boolean")),
        (_, "date") => {
            let day: jiff::civil::Date = text().parse().expect("a date");
            let days = day.since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1))).expect("days").get_days();
            Value::Date(days)
        }
        (_, "timestamptz") => Value::TimestampMicros(micros(text())),
        (_, "jsonb") => Value::String(json.to_string()),
        _ => panic!("no value for {ty}"),
    }
}

/// A moment of Close, with or without an offset, in microseconds.
pub(crate) fn micros(text: &str) -> i64 {
    let zoned = if text.ends_with("+00:00") || text.ends_with('Z') { text.to_owned() } else { format!("{text}Z") };
    zoned.parse::<jiff::Timestamp>().expect("a moment").as_microsecond()
}
