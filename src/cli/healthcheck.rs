//! `towpath healthcheck`: so that an image needs neither a shell nor curl.

use std::time::Duration;

use clap::Args;

use super::exit::{self, Exit};

/// Shorter than the timeout that container runtimes are usually given.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath healthcheck
  towpath healthcheck --ready --url http://127.0.0.1:8083

Exits with 0 when the worker answers that it is well, with 1 otherwise.")]
pub(super) struct HealthcheckArgs {
    /// Ask whether it is ready for traffic, and not only alive
    #[arg(long)]
    ready: bool,
    /// Where the worker's `listeners` are
    #[arg(long, env = "TOWPATH_API", default_value = "http://127.0.0.1:8083")]
    url: String,
}

pub(super) async fn healthcheck(args: &HealthcheckArgs) -> Exit {
    let path = if args.ready { "readyz" } else { "livez" };
    match ask(&format!("{}/{path}", args.url.trim_end_matches('/'))).await {
        Ok(()) => exit::DONE,
        Err(why) => {
            eprintln!("{why}");
            exit::FOUND
        }
    }
}

async fn ask(url: &str) -> Result<(), String> {
    // The worker is on this host or in this pod; a proxy in the environment is not meant for it.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| format!("{url} cannot be reached: {}", root(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("{url} answers {status}: {}", answer.text().await.unwrap_or_default()))
}

/// The innermost cause, such as "connection refused"; the ones around it only say that a request failed.
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
    async fn an_unready_worker_is_alive_and_a_missing_one_is_not() {
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
        serving.await.unwrap().unwrap();
        assert_eq!(healthcheck(&args(false)).await, exit::FOUND);
    }
}
