//! `towpath healthcheck`: asks a worker for its health, so that an image needs neither a shell nor curl.

use std::time::Duration;

use clap::Args;

use super::exit::{self, Exit};

/// Shorter than the usual timeout of container runtimes for a health check.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath healthcheck
  towpath healthcheck --ready --url http://127.0.0.1:8083

Exits with 0 if the worker is alive (with --ready: ready for traffic), with 1 otherwise.")]
pub(super) struct HealthcheckArgs {
    /// Ask whether the worker is ready for traffic, not only whether it is alive
    #[arg(long)]
    ready: bool,
    /// The URL of one of the worker's `listeners`
    #[arg(long, env = "TOWPATH_API", default_value = "http://127.0.0.1:8083")]
    url: String,
}

pub(super) async fn healthcheck(args: &HealthcheckArgs) -> Exit {
    let path = if args.ready { "readyz" } else { "livez" };
    match ask(&format!("{}/{path}", args.url.trim_end_matches('/'))).await {
        Ok(()) => exit::DONE,
        Err(reason) => {
            eprintln!("{reason}");
            exit::FOUND
        }
    }
}

async fn ask(url: &str) -> Result<(), String> {
    // The worker runs on the same host or in the same pod; a proxy of the environment is for other hosts.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| format!("{url} cannot be reached: {}", root(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("{url} answers {status}: {}", answer.text().await.unwrap_or_default()))
}

/// The innermost cause, such as `connection refused`. The outer errors only say that a request failed.
fn root(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        rest::{Api, Server},
        telemetry::{Metrics, Readiness, StatusBoard},
    };

    #[tokio::test]
    async fn an_unready_worker_is_alive_and_a_stopped_worker_is_not() {
        let metrics = Metrics::new();
        let readiness = Readiness::new();
        let api = Api::new(metrics.clone(), readiness.clone(), StatusBoard::new(&metrics));
        let server = Server::bind(&["http://127.0.0.1:0".parse().unwrap()], api).await.unwrap();
        let url = format!("http://{}/", server.addresses()[0]);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone()));
        let args = |ready| HealthcheckArgs { ready, url: url.clone() };
        assert_eq!(healthcheck(&args(false)).await, exit::DONE);
        assert_eq!(healthcheck(&args(true)).await, exit::FOUND);
        readiness.ready("kafka");
        assert_eq!(healthcheck(&args(true)).await, exit::DONE);
        stop.cancel();
        serving.await.unwrap();
        assert_eq!(healthcheck(&args(false)).await, exit::FOUND);
    }
}
