//! The management listener: health, metrics, versions and statuses, for people and for probes.
//!
//! It only reads: what it shows is written by the worker into [`crate::telemetry`]. It binds to the loopback unless
//! told otherwise, has no authentication yet, and says so when it is told otherwise. Kafka Connect's REST API will join
//! here (`rest::connect`); webhook posts never come this way.

mod connect;
mod health;
mod problem;
mod towpath;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType, Result};
use towpath_keys::ListenerAddress;

use crate::telemetry::{Metrics, Readiness, StatusBoard};

/// The port of a listener without one; Connect's default.
const DEFAULT_PORT: u16 = 8083;
/// How long requests under way may take to end once the listener stops.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// What the listener shows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    metrics: Metrics,
    readiness: Readiness,
    board: StatusBoard,
}

impl Api {
    /// An API that serves these three.
    pub fn new(metrics: Metrics, readiness: Readiness, board: StatusBoard) -> Self {
        Self { metrics, readiness, board }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(connect::server_info))
            .route("/health", get(connect::health))
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(health::metrics))
            .route("/version", get(health::version))
            .route("/towpath/v1/connectors", get(towpath::connectors))
            .fallback(problem::not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(self)
    }
}

/// The bound listeners. Dropping it before [`Server::serve`] closes them.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    api: Api,
}

impl Server {
    /// Binds to each address; nothing is answered before [`Server::serve`].
    ///
    /// # Errors
    /// Fatal: an address cannot be bound to, for example because another process has it.
    pub async fn bind(addresses: &[ListenerAddress], api: Api) -> Result<Self> {
        let mut listeners = Vec::new();
        for url in addresses {
            let unavailable = |error| {
                Error::fatal("rest.unavailable", ErrorType::Unavailable, format!("listen on `{url}`")).because(error)
            };
            let listener = TcpListener::bind(url.socket(DEFAULT_PORT)).await.map_err(unavailable)?;
            let bound = listener.local_addr().map_err(unavailable)?;
            if !bound.ip().is_loopback() {
                tracing::warn!(
                    listener = %url,
                    "the management listener {url} can be reached from other hosts and has no authentication"
                );
            }
            listeners.push(listener);
        }
        Ok(Self { listeners, api })
    }

    /// Where it listens, in the order of the URLs; tells which port a URL with port 0 got.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Answers until `stop` is cancelled, and a moment longer for what is under way. To be stopped last, so that probes
    /// see the drain.
    ///
    /// # Errors
    /// Fatal when a listener ends by itself.
    pub async fn serve(self, stop: CancellationToken) -> Result<()> {
        let app = self.api.router();
        let mut serving = JoinSet::new();
        for listener in self.listeners {
            let serve = axum::serve(listener, app.clone()).with_graceful_shutdown(stop.clone().cancelled_owned());
            serving.spawn(serve.into_future());
        }
        let mut ended = Ok(());
        let all = async {
            while let Some(one) = serving.join_next().await {
                let failed = match one {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => {
                        Error::fatal("rest.unavailable", ErrorType::Unavailable, "serve the management API")
                            .because(error)
                    }
                    Err(error) => {
                        Error::fatal("rest.bug", ErrorType::Internal, "serve the management API").because(error)
                    }
                };
                ended = Err(failed);
                return;
            }
        };
        tokio::select! {
            () = all => {}
            () = async { stop.cancelled().await; tokio::time::sleep(CLOSE_LIMIT).await } => {}
        }
        ended
    }
}

#[cfg(test)]
mod tests;
