//! The management listener: health, metrics, versions and statuses, for people and for probes.
//!
//! The listener reads the state that the worker writes to [`crate::telemetry`], and passes requests for snapshots to
//! [`crate::jobs`]. It has no authentication: by default it binds to the loopback address, and it logs a warning if it
//! binds to another address. `connect` has the
//! paths of Kafka Connect's REST API. Webhook requests arrive at a different listener; both are served by
//! [`towpath_listener`], so neither can be held by clients that send, read or acknowledge nothing.

mod codes;
mod connect;
mod health;
mod problem;
mod snapshots;
mod towpath;

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use towpath_api::{Error, ErrorType, Result};
use towpath_keys::ListenerAddress;
use towpath_listener::{Accepting, Limits, TowerToHyperService};

use crate::{
    jobs::Snapshots,
    telemetry::{Metrics, Readiness, StatusBoard},
};

/// The port of a listener without one; Connect's default.
const DEFAULT_PORT: u16 = 8083;
/// The time that requests in flight have to end after the listener has stopped.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// Maximum connections, in all and from one address. Requests are answered at once, so a new connection can take the
/// place of the oldest one.
const LIMITS: Limits = Limits { connections: 256, connections_per_address: 64, proxies: Vec::new() };

/// The paths of the listener and the state that they show. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    metrics: Metrics,
    readiness: Readiness,
    board: StatusBoard,
    snapshots: Snapshots,
}

impl Api {
    /// Creates an API that shows these three.
    pub fn new(metrics: Metrics, readiness: Readiness, board: StatusBoard) -> Self {
        Self { metrics, readiness, board, snapshots: Snapshots::new() }
    }

    /// Takes requests for the snapshots of these connectors.
    pub fn with_snapshots(self, snapshots: Snapshots) -> Self {
        Self { snapshots, ..self }
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
            .route("/towpath/v1/connectors/{name}/snapshot", get(snapshots::show).post(snapshots::start))
            .route("/towpath/v1/connectors/{name}/snapshot/approve", post(snapshots::approve))
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
    pub async fn serve(self, stop: CancellationToken) {
        let metrics = self.api.metrics.rest().clone();
        let router = self.api.router();
        let services = move |_| TowerToHyperService::new(router.clone());
        let mut accepting =
            Accepting::start("management", self.listeners, LIMITS, metrics, services, problem::unreadable);
        stop.cancelled().await;
        accepting.stop().await;
        let _ = timeout(CLOSE_LIMIT, accepting.drain()).await;
    }
}

#[cfg(test)]
mod tests;
