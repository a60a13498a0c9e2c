//! `towpath offsets`: the offsets from which a sink resumes.

mod set;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{
    Output,
    exit::{self, Exit},
    files::Files,
};
use crate::{
    config::WorkerConfig,
    kafka::{client::KafkaSettings, consumer::TopicConsumer},
    plugin::ConnectorDefinition,
};

#[derive(Debug, Subcommand)]
pub(super) enum OffsetsCommand {
    /// List the stored offset of each partition of a sink, and its lag
    Show(ShowArgs),
    /// Set the stored offset of a partition, to read records again or to skip them
    Set(SetArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath offsets show --worker worker.toml postgres.toml
  towpath offsets show --worker worker.toml postgres.toml -o json

Lists the partitions that the store has an offset of. The lag counts offsets, so records at most. Changes no offset; the
worker may run.")]
pub(super) struct ShowArgs {
    /// The worker's file, for the address of Kafka
    #[arg(long, value_name = "WORKER.toml")]
    worker: PathBuf,
    /// The file of the sink
    #[arg(value_name = "CONNECTOR.toml")]
    connector: PathBuf,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath offsets set --worker worker.toml postgres.toml acme.deals 3 17
  towpath offsets set --worker worker.toml postgres.toml acme.deals 3 earliest --yes
  towpath offsets set --worker worker.toml postgres.toml acme.deals 3 end
  towpath offsets set --worker worker.toml postgres.toml acme.deals 3 earliest --new-records

Stop the worker first: the command is refused while the connector runs. Records that are read again do not turn a row
back, unless `metadata.columns=none`. Skipped records are never stored.

A topic that was truncated, or deleted and re-created, needs --new-records: otherwise its records would be compared with
those that were applied at the same offsets. Rows, changes and dead letters of the earlier records stay.")]
pub(super) struct SetArgs {
    /// The worker's file, for the address of Kafka
    #[arg(long, value_name = "WORKER.toml")]
    worker: PathBuf,
    /// The file of the sink
    #[arg(value_name = "CONNECTOR.toml")]
    connector: PathBuf,
    /// The topic
    topic: String,
    /// The partition
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// The next offset to read: a number, `earliest` or `end`
    #[arg(value_parser = set::Target::parse)]
    offset: set::Target,
    /// The records from OFFSET on are not those that were applied: the topic was truncated or re-created
    #[arg(long)]
    new_records: bool,
    /// Print the plan, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn offsets(command: OffsetsCommand) -> Exit {
    let done = match command {
        OffsetsCommand::Show(args) => match read(&args.worker, &args.connector) {
            Ok((worker, connector)) => show::show(&worker, &connector, args.output).await,
            Err(exit) => return exit,
        },
        OffsetsCommand::Set(args) => match read(&args.worker, &args.connector) {
            Ok((worker, connector)) => set::set(&worker, &connector, args).await,
            Err(exit) => return exit,
        },
    };
    done.unwrap_or_else(|error| exit::report(&error))
}

fn read(worker: &Path, connector: &Path) -> Result<(WorkerConfig, ConnectorDefinition), Exit> {
    let mut files = Files::default();
    files.worker(worker);
    files.connector(connector);
    let (worker, connectors) = files.into_configs().ok_or(exit::CONFIG)?;
    let connector = connectors.into_iter().next().ok_or(exit::CONFIG)?;
    Ok((worker, connector))
}

/// Reports that the connector is a source.
fn no_sink(connector: &ConnectorDefinition) -> Exit {
    eprintln!("error: connector `{}` is a source; only sinks store offsets of topics", connector.common.name);
    exit::USAGE
}

fn kafka(worker: &WorkerConfig) -> KafkaSettings {
    KafkaSettings::new(&worker.bootstrap_servers, &worker.group_id, worker.kafka.iter())
}

fn consumer(worker: &WorkerConfig, connector: &ConnectorDefinition) -> towpath_api::Result<TopicConsumer> {
    TopicConsumer::new(kafka(worker).client("offsets"), &connector.common.name)
}

/// The owner of partitions whose offset this process sets.
fn owner(worker: &WorkerConfig) -> String {
    format!("{}@towpath-offsets:{}", worker.group_id, std::process::id())
}
