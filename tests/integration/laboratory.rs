//! The sink against the real database, called as the worker calls it, with batches made here, without Kafka.

use std::{sync::Arc, time::Duration};

use apache_avro::{Schema, types::Value};
use tokio_postgres::Client;
use towpath::config::SinkConfig;
use towpath_api::{
    Arena, Batch, Beginning, Body, Change, Claim, Identity, OpenSink as _, Payload, Record, RecordKey, RecordOp,
    Sink as _, TopicPartition, Version,
};
use towpath_keys::{Flat, read};
use towpath_postgres::{OpenPostgresSink, PostgresSink, PostgresSinkConfig, SinkSettings};

use crate::stack::{Shared, database, env, rows, shared, unique};

/// A sink of one topic, its partitions, and its table.
pub(crate) struct Laboratory {
    pub(crate) name: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) key_schema: Arc<Schema>,
    pub(crate) client: Client,
    _stack: Shared,
}

impl Laboratory {
    pub(crate) async fn new(theme: &str) -> Self {
        let schema = Schema::parse_str(
            r#"{"type":"record","name":"deal","fields":[
                {"name":"id","type":"long"},{"name":"a","type":["null","long"]},
                {"name":"b","type":["null","string"]}]}"#,
        );
        let key_schema =
            Schema::parse_str(r#"{"type":"record","name":"key","fields":[{"name":"id","type":"long"}]}"#).unwrap();
        // Before connecting: the database may be away while another test is alone.
        let stack = shared().await;
        Self {
            name: unique(theme),
            schema: Arc::new(schema.unwrap()),
            key_schema: Arc::new(key_schema),
            client: database().await,
            _stack: stack,
        }
    }

    pub(crate) fn opener(&self, more: &[(&str, &str)]) -> OpenPostgresSink {
        self.opener_of("test", more)
    }

    /// Like [`Laboratory::opener`], for a process with another name.
    pub(crate) fn opener_of(&self, owner: &str, more: &[(&str, &str)]) -> OpenPostgresSink {
        self.opener_with(owner, Duration::from_mins(1), more)
    }

    /// Like [`Laboratory::opener`], with this limit on waiting for rows that others refer to.
    pub(crate) fn opener_with_patience(&self, patience: Duration) -> OpenPostgresSink {
        self.opener_with("test", patience, &[])
    }

    /// Like [`Laboratory::opener_of`], with another URL of the database or another role.
    pub(crate) fn opener_at(&self, url: &str, owner: &str, more: &[(&str, &str)]) -> OpenPostgresSink {
        self.opener_to(url, owner, Duration::from_mins(1), more)
    }

    pub(crate) fn opener_with(&self, owner: &str, patience: Duration, more: &[(&str, &str)]) -> OpenPostgresSink {
        self.opener_to(&env("DATABASE_URL"), owner, patience, more)
    }

    fn opener_to(&self, url: &str, owner: &str, patience: Duration, more: &[(&str, &str)]) -> OpenPostgresSink {
        let keys = [("connection.url", url), ("topics", "deals")].into_iter().chain(more.iter().copied());
        let ((_, config), _) = read::<(SinkConfig, PostgresSinkConfig)>(&Flat::from_strings(keys)).unwrap();
        let settings = SinkSettings {
            name: self.name.clone(),
            owner: owner.to_owned(),
            tolerate_poison: true,
            retry_timeout: Some(patience),
        };
        OpenPostgresSink::new(settings, config)
    }

    pub(crate) async fn open(&self) -> PostgresSink {
        self.opener(&[]).open().await.unwrap()
    }

    pub(crate) fn partition(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: format!("{}.deals", self.name).into(), partition }
    }

    pub(crate) fn batch(&self, from: i64, records: Vec<Record>) -> Batch {
        let to = records.last().map_or(from, |record| record.offset + 1);
        Batch { partition: self.partition(0), from, to, anchor: None, records, arena: Arena::default() }
    }

    pub(crate) fn change(
        &self,
        offset: i64,
        id: i64,
        op: RecordOp,
        after: Option<(i64, &str)>,
        changed: Option<Vec<u16>>,
        version: Option<i64>,
    ) -> Record {
        let after = after.map(|(a, b)| vec![Value::Long(id), Value::Long(a), Value::String(b.to_owned())]);
        let version = version.map(|ts| Version { ts, seq: 0, rank: 0 });
        let schema = Arc::clone(&self.schema);
        let key = Some(RecordKey { identity: Identity::Long(id), schema: Arc::clone(&self.key_schema) });
        let change = Change { key, op, schema, after, changed, version, source_time_ms: None };
        Record { offset, timestamp_ms: 1, body: Body::Change(Box::new(change)), payload: Payload::default() }
    }

    /// A change of any record: its key with the key's schema, and the values of `schema`, `None` for a delete.
    pub(crate) fn record(
        offset: i64,
        key: &RecordKey,
        op: RecordOp,
        schema: &Arc<Schema>,
        after: Option<Vec<Value>>,
    ) -> Record {
        let (key, schema) = (Some(key.clone()), Arc::clone(schema));
        let change = Change { key, op, schema, after, changed: None, version: None, source_time_ms: None };
        Record { offset, timestamp_ms: 1, body: Body::Change(Box::new(change)), payload: Payload::default() }
    }

    /// A null value for record `id`.
    pub(crate) fn tombstone(&self, offset: i64, id: i64) -> Record {
        let key = RecordKey { identity: Identity::Long(id), schema: Arc::clone(&self.key_schema) };
        Record { offset, timestamp_ms: 1, body: Body::Tombstone(Some(key)), payload: Payload::default() }
    }

    /// The rows of a query about schema `$` (the laboratory's own).
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        rows(&self.client, &sql.replace('$', &self.name)).await
    }

    pub(crate) fn whole(&self, offset: i64, id: i64, a: i64) -> Record {
        self.change(offset, id, RecordOp::Create, Some((a, "x")), None, None)
    }

    pub(crate) async fn table(&self) -> Vec<String> {
        let sql = format!("SELECT id, a, b, _towpath_deleted, _towpath_offset FROM {}.deals ORDER BY id", self.name);
        rows(&self.client, &sql).await
    }

    pub(crate) async fn next_offset(&self) -> Vec<String> {
        let sql =
            format!("SELECT next_offset FROM towpath.sink_partition WHERE sink = '{}' ORDER BY partition", self.name);
        rows(&self.client, &sql).await
    }
}

pub(crate) fn beginning() -> Beginning {
    Beginning { earliest: 0, cluster_id: Some("laboratory".into()) }
}

pub(crate) async fn claim(sink: &mut PostgresSink, partition: &TopicPartition) -> Claim {
    sink.claim(partition, &beginning(), None).await.unwrap()
}

/// The id of a record that [`Laboratory::change`] made.
pub(crate) fn id_of(record: &Record) -> i64 {
    let key = match &record.body {
        Body::Change(change) => change.key.as_ref(),
        _ => None,
    };
    match key.map(|key| &key.identity) {
        Some(Identity::Long(id)) => *id,
        _ => unreachable!("a change of a numbered record"),
    }
}

/// A record schema with these fields.
pub(crate) fn record_schema(fields: &str) -> Arc<Schema> {
    Arc::new(
        Schema::parse_str(&format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#))
            .expect("a schema of the test"),
    )
}
