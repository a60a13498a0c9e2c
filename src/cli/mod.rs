//! The command line.
//!
//! Each command has a file, which connects parts of other modules. Data goes to standard output, everything else to
//! standard error. Exit codes: [`exit`].

mod api;
mod codes;
mod config;
pub mod exit;
mod files;
mod healthcheck;
mod offsets;
mod preflight;
mod run;
mod signals;
mod snapshot;
mod supervise;
mod table;
mod tap;
mod version;
mod views;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
Exit codes:
  0 done, or drained after the first signal    1 a check found something    2 wrong usage
  65 bad input    69 a service cannot be reached    70 a bug    73 cannot write the output    75 retry later
  77 not permitted    78 the configuration is wrong    130, 143 ended at once by a second signal";

/// Moves changes into Kafka and from Kafka into Postgres.
#[derive(Debug, Parser)]
#[command(name = "towpath", version = crate::telemetry::VERSION, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the worker with the given connectors until SIGTERM or Ctrl-C
    Run(run::RunArgs),
    /// Work with config files
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Compare the tables of sinks with their topics, before anything is written
    Preflight(preflight::PreflightArgs),
    /// Show or set the offsets from which sinks resume
    #[command(subcommand)]
    Offsets(offsets::OffsetsCommand),
    /// Show the snapshots of a source, ask for one, or approve its deletes
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// List the standard views, and show which of them a sink has installed
    Views(views::ViewsArgs),
    /// Print records of a topic, decoded
    Tap(tap::TapArgs),
    /// Check that a worker is alive, for health checks of containers
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print the version
    Version(version::VersionArgs),
}

/// The format of standard output, for commands that print one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Only the worker needs more than one thread.
    let builder = match &cli.command {
        Command::Run(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = { builder }.enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return exit::BUG.into();
        }
    };
    let code = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args).await,
            Command::Config(command) => config::config(&command),
            Command::Preflight(args) => preflight::preflight(args).await,
            Command::Offsets(command) => offsets::offsets(command).await,
            Command::Snapshot(command) => snapshot::snapshot(command).await,
            Command::Views(args) => views::views(args).await,
            Command::Tap(args) => tap::tap(args).await,
            Command::Healthcheck(args) => healthcheck::healthcheck(&args).await,
            Command::Version(args) => version::version(&args),
        }
    });
    // A request to a broker that does not answer may still block a thread.
    runtime.shutdown_background();
    code.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_the_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            for command in command.get_subcommands() {
                if command.has_subcommands() {
                    check(command);
                } else {
                    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(help.contains("Example"), "{} has no example", command.get_name());
                }
            }
        }
        check(&Cli::command());
    }
}
