//! The comparison of topics with the tables that a sink would write.

use std::{collections::BTreeSet, sync::Arc};

use apache_avro::Schema;
use towpath_api::{Error, Result};

use crate::{
    avro::registry::{Registry, latest_schemas},
    config::{ConnectorConfig, Converter, SinkConfig, WorkerConfig},
    kafka::{client::KafkaSettings, consumer::TopicConsumer},
};

/// One topic of a sink, compared with its tables.
#[derive(Debug)]
pub struct TopicCheck {
    pub connector: String,
    pub topic: String,
    /// Its tables, or the reason why they cannot be compared.
    pub tables: Result<Vec<TableCheck>, String>,
}

impl TopicCheck {
    /// Returns false if a table is known not to fit.
    pub fn fits(&self) -> bool {
        self.tables.as_ref().ok().is_none_or(|tables| tables.iter().all(|table| table.lacks.is_empty()))
    }
}

/// One table, compared with the schema of its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCheck {
    pub table: String,
    /// The statements that the sink would run by itself.
    pub makes: Vec<String>,
    /// The reasons why it could not write.
    pub lacks: Vec<String>,
    /// The statements that remove these reasons.
    pub mends: Vec<String>,
}

/// Compares each topic of a sink by its newest schemas, key and value, with `compare`.
pub(super) async fn topics<F>(
    common: &ConnectorConfig,
    sink: &SinkConfig,
    worker: &WorkerConfig,
    compare: impl Fn(String, Option<Arc<Schema>>, Arc<Schema>) -> F,
) -> Result<Vec<TopicCheck>>
where
    F: Future<Output = Result<Vec<TableCheck>>>,
{
    let kafka = KafkaSettings::new(&worker.bootstrap_servers, &worker.group_id, worker.kafka.iter());
    let registry = Registry::new(&worker.schema_registry_url, &prometheus::Registry::new())?;
    let consumer = TopicConsumer::new(kafka.client("preflight"), &common.name)?;
    let partitions = consumer.partitions(&sink.selection()?).await?;
    let topics: BTreeSet<String> = partitions.into_iter().map(|partition| partition.topic.to_string()).collect();
    let mut checks = Vec::new();
    for topic in topics {
        let tables = match latest_schemas(&registry, &topic, &sink.reading.delete_field).await? {
            _ if sink.reading.value_converter != Converter::Avro => {
                Err("the registry has no schema of values that are not Avro".to_owned())
            }
            Ok(schemas) => match compare(topic.clone(), schemas.key, schemas.value).await {
                // It says nothing about the tables of other topics.
                Err(error) if error.needs_action() => Ok(vec![impossible(&topic, &error)]),
                compared => Ok(compared?),
            },
            Err(why) => Err(why),
        };
        checks.push(TopicCheck { connector: common.name.clone(), topic, tables });
    }
    Ok(checks)
}

/// The topic cannot have a table.
fn impossible(topic: &str, error: &Error) -> TableCheck {
    let lack = error.help().map_or_else(|| error.chain(), |help| format!("{}; {help}", error.chain()));
    TableCheck { table: topic.to_owned(), makes: Vec::new(), lacks: vec![lack], mends: Vec::new() }
}
