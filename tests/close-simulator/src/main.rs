//! Starts a simulator and prints its addresses and keys, or describes the served API.

use std::{
    io::Write,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use close_simulator::{Options, Running, Simulator, describe};
use serde_json::{Map, json};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(
    name = "close-simulator",
    version,
    about = "A Close API on this machine.",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Output format: text, or one line of JSON with `base_url`, `control` (a URL or null) and `keys`.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Print the endpoints, each with its section of the reference, its exactness and its parameters, and the switches.
    #[command(after_help = "Examples:\n  close-simulator describe | grep /lead/\n\
                      \x20 close-simulator describe -o json > openapi.json")]
    Describe(Describe),
}

#[derive(Args)]
struct Describe {
    /// Tables, or an `OpenAPI` 3.1 document.
    #[arg(short, long, value_enum, default_value_t = Form::Markdown)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Markdown,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    if let Some(Command::Describe(Describe { output })) = cli.command {
        let text = match output {
            Form::Markdown => describe::markdown(),
            Form::Json => format!("{:#}\n", describe::openapi()),
        };
        // A reader that closes the pipe early, such as `head`, is not an error.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    // Both handlers are installed before the first request, so that no signal is missed.
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        eprintln!("close-simulator: cannot install signal handlers");
        return ExitCode::FAILURE;
    };
    let control = cli.options.control;
    let started = tokio::select! {
        started = tokio::spawn(start(cli.options)) => started.expect("starting does not panic"),
        // Returning would wait for the threads that generate the data set.
        _ = interrupt.recv() => std::process::exit(0),
        _ = terminate.recv() => std::process::exit(0),
    };
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            eprintln!("close-simulator: {error}");
            return ExitCode::FAILURE;
        }
    };
    tell(&running, control, cli.output);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    running.stop();
    ExitCode::SUCCESS
}

/// Prints addresses and keys on stdout. A closed pipe is not an error: the simulator keeps serving.
fn tell(running: &Running, control: bool, output: Output) {
    let controls = control.then(|| format!("http://{}/_control/", running.address));
    let text = match output {
        Output::Json => {
            let keys: Map<String, serde_json::Value> =
                running.keys().into_iter().map(|(name, secret)| (name, secret.into())).collect();
            format!("{}\n", json!({ "base_url": running.base_url(), "control": controls, "keys": keys }))
        }
        Output::Text => {
            let mut text = format!("{}\n\nAPI keys (for this simulator only):\n", running.base_url());
            text.extend(running.keys().into_iter().map(|(name, secret)| format!("  {name:<12} {secret}\n")));
            text.extend(controls.map(|url| format!("\nControls (no credentials needed): {url}\n")));
            text
        }
    };
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Starts the simulator, and reports progress on stderr if the data set takes longer than a second.
async fn start(options: Options) -> std::io::Result<Running> {
    let (leads, begun, told) = (options.leads, Instant::now(), AtomicU64::new(0));
    let progress = |so_far: usize| {
        let secs = begun.elapsed().as_secs();
        if secs > told.fetch_max(secs, Ordering::Relaxed) {
            eprintln!("{} of {} leads", grouped(so_far), grouped(leads));
        }
    };
    Simulator::start_telling(options, &progress).await
}

/// `10,000` for 10000.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}
