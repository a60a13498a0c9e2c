//! `towpath tap`: prints the records of a topic, decoded.

mod bounded;
mod shown;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use towpath_api::Error;

use super::{
    exit::{self, Exit},
    files::Files,
};
use crate::{
    avro::{codec::display::Readable, registry::Registry},
    config::WorkerConfig,
    kafka::client::KafkaSettings,
};
pub(super) use bounded::{BoundedReader, Range};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath tap --worker worker.toml --topic acme.transactions
  towpath tap --worker worker.toml --topic acme.transactions --partition 3 --offset 17 --limit 1

Reads the records that the topic has now, then ends. Joins no consumer group and commits nothing.
Without --partition, all partitions are read, each in its order.")]
pub(super) struct TapArgs {
    /// The worker's file, for the addresses of Kafka and the registry
    #[arg(long, value_name = "WORKER.toml")]
    worker: PathBuf,
    /// The topic to read
    #[arg(long)]
    topic: String,
    /// Read this partition only
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Start at this offset instead of the earliest
    #[arg(long, requires = "partition", value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// End after this number of records
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Format of a record
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// The format of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// An indented JSON object per record
    Json,
    /// A line with a JSON object per record
    Ndjson,
}

/// A reason to stop early.
enum Stop {
    Failed(Error),
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

pub(super) async fn tap(args: TapArgs) -> Exit {
    let mut files = Files::default();
    files.worker(&args.worker);
    let Some((config, _)) = files.into_configs() else { return exit::CONFIG };
    match print(&config, args).await {
        Ok(()) => exit::DONE,
        Err(Stop::Failed(error)) => exit::report(&error),
        // `towpath tap … | head` closes the pipe when it is done.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::DONE,
        Err(Stop::Output(error)) => {
            eprintln!("error: cannot write the output: {error}");
            exit::CANNOT_WRITE
        }
    }
}

async fn print(config: &WorkerConfig, args: TapArgs) -> Result<(), Stop> {
    let kafka = KafkaSettings::new(&config.bootstrap_servers, &config.group_id, config.kafka.iter());
    let registry = Registry::new(&config.schema_registry_url, &prometheus::Registry::new())?;
    let mut readable = Readable::new(registry);
    let range = Range { topic: args.topic, partition: args.partition, offset: args.offset };
    let mut reader = BoundedReader::open(kafka.client("tap"), range).await?;
    let mut out = io::BufWriter::new(io::stdout());
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0
        && let Some(message) = reader.next().await?
    {
        let record = shown::record(&message, &mut readable).await?;
        match args.output {
            Form::Text => write!(out, "{}", shown::as_text(&record))?,
            Form::Json => writeln!(out, "{record:#}")?,
            Form::Ndjson => writeln!(out, "{record}")?,
        }
        left -= 1;
    }
    out.flush()?;
    Ok(())
}
