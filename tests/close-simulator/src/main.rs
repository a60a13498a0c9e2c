//! Starts a simulator and says where it is.

use clap::Parser;
use close_simulator::{Options, Simulator};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let port = options.port;
    let running = match Simulator::start(options).await {
        Ok(running) => running,
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}\nChoose another with --port, or 0 for any free one.");
            return std::process::ExitCode::FAILURE;
        }
    };
    println!("{}", running.base_url());
    let _ = tokio::signal::ctrl_c().await;
    std::process::ExitCode::SUCCESS
}
