//! A topic of a foreign producer: schemas as text in the registry, framing by hand, bytes by apache-avro.

use std::{process::Command, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;
use towpath_api::apache_avro::{Schema, types::Value, writer::datum::GenericDatumWriter};

use crate::stack::env;

/// A topic that is written to record by record, or in bulk.
pub(crate) struct Topic {
    name: String,
    producer: FutureProducer,
    key: Option<(u32, Schema)>,
    value: Option<(u32, Schema)>,
}

impl Topic {
    /// Creates a topic with a single partition, so that its records have one order.
    pub(super) async fn new(name: &str) -> Self {
        Self::with_partitions(name, 1).await
    }

    pub(crate) async fn with_partitions(name: &str, partitions: i32) -> Self {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", env("KAFKA_BOOTSTRAP")).set("enable.idempotence", "true");
        let admin: AdminClient<DefaultClientContext> = settings.create().expect("a client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        admin.create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers")[0]
            .as_ref()
            .expect("a new topic");
        Self { name: name.to_owned(), producer: settings.create().expect("a client"), key: None, value: None }
    }

    /// Registers the schemas of keys and values in exactly this form.
    pub(crate) async fn avro(mut self, key: &str, value: &str) -> Self {
        self.key = Some(self.register("key", key).await);
        self.value = Some(self.register("value", value).await);
        self
    }

    /// Registers a schema under its own subject, which belongs to the topic and which other schemas can refer to.
    pub(super) async fn part(&self, name: &str, schema: &str, references: &serde_json::Value) -> serde_json::Value {
        let subject = format!("{}-{name}", self.name);
        self.post(&subject, &json!({"schema": schema, "references": references})).await;
        json!({"name": name, "subject": subject, "version": 1})
    }

    /// Registers the schema of values, which refers to other schemas. `whole` is the same schema in one text.
    pub(super) async fn referring(&mut self, schema: &str, references: &serde_json::Value, whole: &str) {
        let id = self.post(&format!("{}-value", self.name), &json!({"schema": schema, "references": references})).await;
        self.value = Some((id, Schema::parse_str(whole).expect("a schema")));
    }

    async fn register(&self, part: &str, schema: &str) -> (u32, Schema) {
        let id = self.post(&format!("{}-{part}", self.name), &json!({"schema": schema})).await;
        (id, Schema::parse_str(schema).expect("a schema"))
    }

    async fn post(&self, subject: &str, schema: &serde_json::Value) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", env("SCHEMA_REGISTRY_URL"));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = http.post(url).json(schema).send().await.expect("the registry answers");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    /// The ids of the schemas of keys and values.
    pub(crate) fn schema_ids(&self) -> (u32, u32) {
        let id = |schema: &Option<(u32, Schema)>| schema.as_ref().expect("a registered schema").0;
        (id(&self.key), id(&self.value))
    }

    /// The table that the topic fills.
    pub(crate) fn table(&self) -> &str {
        &self.name
    }

    /// The query for the dead letters of the topic.
    pub(crate) fn dead_letters(&self) -> String {
        format!("SELECT \"offset\", error_code FROM towpath.dead_letter WHERE topic = '{}' ORDER BY 1", self.name)
    }

    /// Writes a record in Avro, and returns once the broker has acknowledged it.
    pub(crate) async fn send(&self, key: Option<Value>, value: Option<Value>) {
        let key = key.map(|key| framed(self.key.as_ref(), &key));
        let value = value.map(|value| framed(self.value.as_ref(), &value));
        self.produce(key.as_deref(), value.as_deref(), &[]).await;
    }

    /// Writes a record in Avro with a header that has the schema of its value, after other headers.
    pub(crate) async fn send_by_header(&self, key: Value, value: Value, headers: &[(&str, Option<&[u8]>)]) {
        let (key, value) = (framed(self.key.as_ref(), &key), framed(self.value.as_ref(), &value));
        let (id, datum) = value.split_at(5);
        let headers = [headers, &[("__value_schema_id", Some(id))]].concat();
        self.produce(Some(&key), Some(datum), &headers).await;
    }

    /// Writes records in Avro, in order, and returns once the broker has acknowledged them all at their offsets.
    pub(crate) async fn send_all(&self, records: Vec<Sent>) {
        let mut on_their_way = Vec::with_capacity(records.len());
        for Sent { partition, offset, key, value } in records {
            let key = key.map(|key| framed(self.key.as_ref(), &key));
            let value = value.map(|value| framed(self.value.as_ref(), &value));
            let record = FutureRecord::<[u8], [u8]> {
                topic: &self.name,
                partition: Some(partition),
                payload: value.as_deref(),
                key: key.as_deref(),
                timestamp: None,
                headers: None,
            };
            let delivery = self.producer.send_result(record).expect("there is room in the queue");
            on_their_way.push(((partition, offset), delivery));
        }
        for (place, delivery) in on_their_way {
            let delivered = delivery.await.expect("the producer answers").expect("the broker accepts the record");
            assert_eq!((delivered.partition, delivered.offset), place);
        }
    }

    /// Writes a record unchanged.
    pub(crate) async fn send_bytes(&self, key: &[u8], value: &[u8], headers: &[(&str, &[u8])]) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, Some(*value))).collect();
        self.produce(Some(key), Some(value), &headers).await;
    }

    async fn produce(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }));
        let record = FutureRecord::<[u8], [u8]> {
            topic: &self.name,
            partition: Some(0),
            payload: value,
            key,
            timestamp: None,
            headers: Some(headers),
        };
        self.producer.send(record, Duration::from_secs(10)).await.expect("the broker accepts the record");
    }
}

/// A record for [`Topic::send_all`], and its expected offset.
pub(crate) struct Sent {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Value>,
    pub(crate) value: Option<Value>,
}

fn framed(schema: Option<&(u32, Schema)>, value: &Value) -> Vec<u8> {
    let (id, schema) = schema.expect("a registered schema");
    let mut bytes = [&[0], &id.to_be_bytes()[..]].concat();
    GenericDatumWriter::builder(schema).build().unwrap().write_value_ref(&mut bytes, value).expect("a value that fits");
    bytes
}

/// The output of `psql`, in UTC.
pub(super) fn psql(sql: &str) -> String {
    let mut psql = Command::new("psql");
    let ran = psql.args(["-XAt", "-v", "ON_ERROR_STOP=1", "-c", sql, &env("DATABASE_URL")]).env("PGTZ", "UTC").output();
    let ran = ran.expect("psql can be run");
    assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text").trim_end_matches('\n').to_owned()
}

pub(crate) fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

pub(crate) fn null() -> Value {
    Value::Union(0, Box::new(Value::Null))
}
