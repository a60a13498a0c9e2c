//! The state that all webhooks of a listener share, for posts whose sender is not known yet.
//!
//! It counts by the address of the sender: the address of the connection, or the one that a trusted proxy names.

use std::{net::IpAddr, num::NonZero, panic::resume_unwind, sync::Arc, thread::available_parallelism};

use hyper::header::HeaderMap;
use tokio::{sync::Semaphore, task::spawn_blocking};
use towpath_listener::{Limits, Network, Peer, counted};

use crate::{attempts::Attempts, budget::Budget};

/// Maximum bytes of a body that is judged where it was read: a millisecond at most.
const SMALL: usize = 4 * 1024;

/// The limits of the listener of all webhooks.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// The limits on connections, and the trusted proxies.
    pub connections: Limits,
    /// Maximum bytes of bodies that are read before their senders are known.
    pub bodies_max_bytes: usize,
}

impl Default for DoorLimits {
    fn default() -> Self {
        let connections = Limits { connections: 4_096, connections_per_address: 1_024, proxies: Vec::new() };
        Self { connections, bodies_max_bytes: 64 * 1024 * 1024 }
    }
}

pub(crate) struct Door {
    pub(crate) bodies: Arc<Budget>,
    pub(crate) attempts: Attempts,
    proxies: Vec<Network>,
    /// One permit per body that is judged on a thread of its own.
    judging: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(limits: &DoorLimits) -> Arc<Self> {
        // Half of the cores, so that posts cannot take all of them from the sinks of the worker.
        let threads = available_parallelism().map_or(2, NonZero::get).div_ceil(2).max(2);
        Arc::new(Self {
            bodies: Budget::new(limits.bodies_max_bytes),
            attempts: Attempts::default(),
            proxies: limits.connections.proxies.clone(),
            judging: Arc::new(Semaphore::new(threads)),
        })
    }

    /// The address that a request counts for.
    ///
    /// A trusted proxy adds the address of its client to the end of `X-Forwarded-For`. Values before the last one that
    /// is not a proxy are the client's own words.
    pub(crate) fn sender(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let is_proxy = |address: IpAddr| self.proxies.iter().any(|network| network.contains(address));
        let forwarded = headers.get_all("x-forwarded-for").into_iter().rev().filter_map(|value| value.to_str().ok());
        let mut named = forwarded.flat_map(|value| value.rsplit(',')).map_while(|name| name.trim().parse().ok());
        let named = if peer.is_proxy() { named.find(|address| !is_proxy(*address)) } else { None };
        counted(named.unwrap_or(peer.address()))
    }

    /// Runs `judge` on a body of `size` bytes, away from the threads that serve requests unless it is small. `None` if
    /// the process is about to end.
    pub(crate) async fn judge<T: Send + 'static>(
        &self,
        size: usize,
        judge: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if size <= SMALL {
            return Some(judge());
        }
        let permit = self.judging.clone().acquire_owned().await.ok()?;
        let judged = spawn_blocking(move || {
            // Held by the thread, since the request may be dropped while the thread works.
            let _permit = permit;
            judge()
        });
        match judged.await {
            Ok(judged) => Some(judged),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }
}
