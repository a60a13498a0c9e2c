//! `towpath preflight`: compares tables with their topics.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Output,
    exit::{self, Exit},
    files::Files,
};
use crate::plugin::{TableCheck, TopicCheck};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath preflight --worker worker.toml postgres.toml
  towpath preflight --worker worker.toml -o json postgres.toml

Compares the latest schemas of each topic that a sink reads with its table. Shows the changes that the sink would make,
and the problems that keep the sink from writing, with the statements that fix them. Changes nothing.
Exits with 0 if every table fits or would be made to fit, with 1 if a table does not fit. Topics without a schema in the
registry cannot be compared.")]
pub(super) struct PreflightArgs {
    /// The worker's file, for the addresses of Kafka and the registry
    #[arg(long, value_name = "WORKER.toml")]
    worker: PathBuf,
    /// The files of the sinks
    #[arg(required = true, value_name = "CONNECTOR.toml")]
    connectors: Vec<PathBuf>,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn preflight(args: PreflightArgs) -> Exit {
    let mut files = Files::default();
    files.worker(&args.worker);
    args.connectors.iter().for_each(|path| files.connector(path));
    let Some((worker, connectors)) = files.into_configs() else { return exit::CONFIG };
    let mut found = Vec::new();
    for connector in connectors {
        match connector.plugin.preflight(&connector.common, &worker).await {
            Ok(topics) => found.extend(topics),
            Err(error) => return exit::report(&error),
        }
    }
    match args.output {
        Output::Text => found.iter().for_each(|found| print!("{}", as_text(found))),
        Output::Json => println!("{:#}", found.iter().map(as_json).collect::<Value>()),
    }
    if found.is_empty() {
        eprintln!("no topic that these sinks read exists yet");
    }
    if found.iter().all(TopicCheck::fits) { exit::DONE } else { exit::FOUND }
}

fn as_text(found: &TopicCheck) -> String {
    let mut text = String::new();
    let tables = match &found.tables {
        Ok(tables) => tables,
        Err(why) => return format!("{} {}: cannot be compared: {why}\n", found.connector, found.topic),
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

fn as_json(found: &TopicCheck) -> Value {
    let table = |table: &TableCheck| {
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
