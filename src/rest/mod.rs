//! The management listener: health, metrics, versions and statuses, for people and for probes.
//!
//! The listener only reads the state that the worker writes to [`crate::telemetry`]. It has no authentication: by
//! default it binds to the loopback address, and it logs a warning if it binds to another address. `connect` has the
//! paths of Kafka Connect's REST API. Webhook requests arrive at a different listener.

mod codes;
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
/// The time that requests in flight have to end after the listener has stopped.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// The paths of the listener and the state that they show. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    metrics: Metrics,
    readiness: Readiness,
    board: StatusBoard,
}

impl Api {
    /// Creates an API that shows these three.
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

/// The bound listeners. Dropping the server closes them.
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
                Error::fatal(codes::UNAVAILABLE, ErrorType::Unavailable, format!("listen on `{url}`")).because(error)
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

    /// The bound addresses, in the order of the listeners. Port 0 is replaced with the port that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves requests until `stop` is cancelled; requests in flight then have half a second to end. To be stopped
    /// last, so that probes see the drain.
    ///
    /// # Errors
    /// Fatal: a listener has ended although `stop` is not cancelled.
    pub async fn serve(self, stop: CancellationToken) -> Result<()> {
        let app = self.api.router();
        let mut serving = JoinSet::new();
        for listener in self.listeners {
            let serve = axum::serve(listener, app.clone()).with_graceful_shutdown(stop.clone().cancelled_owned());
            serving.spawn(serve.into_future());
        }
        let mut ended = Ok(());
        let all = async {
            while let Some(served) = serving.join_next().await {
                let failed = match served {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => {
                        Error::fatal(codes::UNAVAILABLE, ErrorType::Unavailable, "serve the management API")
                            .because(error)
                    }
                    Err(error) => {
                        Error::fatal(codes::BUG, ErrorType::Internal, "serve the management API").because(error)
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
