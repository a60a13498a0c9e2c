//! `towpath run`: reads all files, then runs the worker until it ends.

use std::{path::PathBuf, pin::pin, time::Duration};

use clap::Args;
use tokio_util::sync::CancellationToken;
use towpath_api::Result;

use super::{
    codes,
    exit::{self, Exit},
    files::Files,
    signals::Signals,
    supervise::{Ended, supervise},
};
use crate::{
    config::{LogFormat, WorkerConfig},
    plugin::ConnectorDefinition,
    rest,
    telemetry::{REVISION, VERSION, logs},
    worker::{self, Shown},
};

/// The maximum duration of a drain. Process managers kill after 10 s (Docker) or 30 s (Kubernetes).
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towpath run worker.toml webhook.toml postgres.toml

All files are checked before anything is started. SIGTERM or Ctrl-C stops the intake and finishes the work in flight,
within 10 seconds. A second signal ends the process at once.")]
pub(super) struct RunArgs {
    /// The worker's file
    worker: PathBuf,
    /// The files of its connectors
    #[arg(value_name = "CONNECTOR")]
    connectors: Vec<PathBuf>,
}

pub(super) async fn run(args: RunArgs) -> Exit {
    let mut files = Files::default();
    files.worker(&args.worker);
    args.connectors.iter().for_each(|path| files.connector(path));
    let Some((config, connectors)) = files.into_configs() else { return exit::CONFIG };
    let format = match config.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    if let Err(error) = logs::init(format, &config.log_level) {
        eprintln!(
            "error: cannot {error}: {}",
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        );
        return exit::CONFIG;
    }
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("error: cannot catch signals: {error}");
            return exit::BUG;
        }
    };
    start(config, connectors, signals).await
}

async fn start(config: WorkerConfig, connectors: Vec<ConnectorDefinition>, mut signals: Signals) -> Exit {
    let names: Vec<String> = connectors.iter().map(|connector| connector.common.name.clone()).collect();
    let names = names.join(", ");
    tracing::info!(version = VERSION, revision = REVISION, connectors = %names,
        "towpath {VERSION} starts with connectors: {names}");
    let stop = CancellationToken::new();
    let mut work = pin!(serve(config, connectors, stop.clone()));
    // Lazy: the limit starts with the first signal.
    let limit = async { tokio::time::sleep(DRAIN_LIMIT).await };
    match supervise(work.as_mut(), &stop, async || signals.next().await, limit).await {
        Ended::Finished(Ok(())) => {
            tracing::info!("towpath has stopped");
            exit::DONE
        }
        Ended::Finished(Err(error)) => {
            tracing::error!(
                code = error.code, error_type = %error.error_type, error = %error.chain(), help = error.help(),
                "towpath cannot continue");
            exit::of(&error)
        }
        Ended::Killed(signal) => {
            tracing::warn!(signal = %signal,
                "{signal}, the second signal: ending at once; uncommitted work is repeated after the next start");
            leave(signal.exit())
        }
        Ended::OutOfTime => {
            tracing::error!(
                code = codes::DRAIN_TIMEOUT, connectors = %names,
                "the drain took longer than {} s: ending with unfinished work of connectors {names}; no data is lost, \
                 and uncommitted work is repeated after the next start", DRAIN_LIMIT.as_secs()
            );
            leave(exit::TRY_LATER)
        }
    }
}

/// Runs the worker beside the management listener, which starts first and stops last, so that probes see the start and
/// the drain.
async fn serve(config: WorkerConfig, connectors: Vec<ConnectorDefinition>, stop: CancellationToken) -> Result<()> {
    let shown = Shown::new();
    let api = rest::Api::new(shown.metrics.clone(), shown.readiness.clone(), shown.board.clone())
        .with_snapshots(shown.snapshots.clone());
    let server = rest::Server::bind(&config.listeners, api).await?;
    let closed = CancellationToken::new();
    let serving = tokio::spawn(server.serve(closed.clone()));
    let ended = worker::run(config, connectors, shown, stop).await;
    closed.cancel();
    // A panic of the listener changes nothing about how the worker ended.
    let _ = serving.await;
    ended
}

/// Ends the process without dropping running work: closing a client takes time while its broker is unavailable.
fn leave(exit: Exit) -> ! {
    std::process::exit(exit.0.into())
}
