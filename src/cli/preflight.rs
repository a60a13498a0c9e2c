//! `towpath preflight`: do the tables fit the topics?

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};
use towpath_api::Result;
use towpath_postgres::{PostgresSinkConfig, Preflight, preflight as compare};

use super::{
    Output,
    exit::{self, Exit},
    files::Files,
};
use crate::{
    avro::registry::{Registry, latest_schemas},
    config::{Converter, SinkConfig, WorkerConfig},
    kafka::{client::KafkaSettings, consumer::TopicConsumer},
    worker::OwnConfig,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath preflight --worker worker.toml postgres.toml
  towpath preflight --worker worker.toml -o json postgres.toml

Compares the newest schemas of each topic that a sink reads with its table: what the sink would make by itself, and what
keeps it from writing, with the statements that mend it. Changes nothing.
Exits with 0 when every table fits or would be made to, with 1 when one does not. Of topics that have no schema in the
registry nothing can be told.")]
pub(super) struct PreflightArgs {
    /// The worker's file: where Kafka and the registry are
    #[arg(long, value_name = "WORKER.toml")]
    worker: PathBuf,
    /// Files of sinks
    #[arg(required = true, value_name = "CONNECTOR.toml")]
    connectors: Vec<PathBuf>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What was found about one topic of a sink.
struct Found {
    connector: String,
    topic: String,
    /// Its tables, or why nothing can be said of them.
    tables: Result<Vec<Preflight>, String>,
}

impl Found {
    /// Whether no table is known not to fit.
    fn fits(&self) -> bool {
        self.tables.as_ref().ok().is_none_or(|tables| tables.iter().all(|table| table.lacks.is_empty()))
    }
}

pub(super) async fn preflight(args: PreflightArgs) -> Exit {
    let mut files = Files::default();
    files.worker(&args.worker);
    args.connectors.iter().for_each(|path| files.connector(path));
    let Some((worker, connectors)) = files.into_configs() else { return exit::CONFIG };
    let mut found = Vec::new();
    for connector in connectors {
        let OwnConfig::Postgres(sink, own) = connector.own else { continue };
        match look(&worker, &connector.common.name, &sink, &own).await {
            Ok(topics) => found.extend(topics),
            Err(error) => return exit::report(&error),
        }
    }
    match args.output {
        Output::Text => found.iter().for_each(|found| print!("{}", as_text(found))),
        Output::Json => println!("{:#}", found.iter().map(as_json).collect::<Value>()),
    }
    if found.is_empty() {
        eprintln!("no topic that a sink of these files reads is there yet");
    }
    if found.iter().all(Found::fits) { exit::DONE } else { exit::FOUND }
}

async fn look(
    worker: &WorkerConfig,
    connector: &str,
    sink: &SinkConfig,
    own: &PostgresSinkConfig,
) -> Result<Vec<Found>> {
    let kafka = KafkaSettings::new(&worker.bootstrap_servers, &worker.group_id, worker.kafka.iter());
    let registry = Registry::new(&worker.schema_registry_url, &prometheus::Registry::new())?;
    let consumer = TopicConsumer::new(kafka.client("preflight"), connector)?;
    let selected = sink.topics.selection()?;
    let topics: BTreeSet<String> =
        consumer.partitions(&selected).await?.into_iter().map(|partition| partition.topic.to_string()).collect();
    let mut found = Vec::new();
    for topic in topics {
        let tables = match latest_schemas(&registry, &topic).await? {
            _ if sink.reading.value_converter != Converter::Avro => {
                Err("its values bring their schema along, if they have one".to_owned())
            }
            Ok(schemas) => Ok(compare(own, &topic, schemas.key, schemas.value).await?),
            Err(why) => Err(why),
        };
        found.push(Found { connector: connector.to_owned(), topic, tables });
    }
    Ok(found)
}

fn as_text(found: &Found) -> String {
    let mut text = String::new();
    let tables = match &found.tables {
        Ok(tables) => tables,
        Err(why) => return format!("{} {}: cannot be told: {why}\n", found.connector, found.topic),
    };
    for table in tables {
        let verdict = match (table.lacks.is_empty(), table.makes.is_empty()) {
            (true, true) => "fits",
            (true, false) => "will be made to fit",
            (false, _) => "does not fit",
        };
        text.push_str(&format!("{} {} -> {}: {verdict}\n", found.connector, found.topic, table.table));
        text.extend(table.lacks.iter().map(|lack| format!("  - {lack}\n")));
        text.extend(table.mends.iter().map(|statement| format!("  ! {statement};\n")));
        text.extend(table.makes.iter().map(|statement| format!("  + {statement}\n")));
    }
    text
}

fn as_json(found: &Found) -> Value {
    let table = |table: &Preflight| {
        let fits = table.lacks.is_empty();
        json!({ "table": table.table, "fits": fits, "makes": table.makes, "lacks": table.lacks, "mends": table.mends })
    };
    json!({
        "connector": found.connector,
        "topic": found.topic,
        "fits": found.fits(),
        "tables": found.tables.as_ref().ok().map(|tables| tables.iter().map(table).collect::<Vec<_>>()),
        "unknown": found.tables.as_ref().err(),
    })
}
