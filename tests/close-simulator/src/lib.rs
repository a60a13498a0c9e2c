//! A Close API on this machine to build and test against: the same paths, shapes, limits, quirks and delays. It is
//! written from the reference of that API alone, never from the needs of a connector.
//!
//! [`Simulator::start`] serves one organization on a port. In a test:
//!
//! ```
//! use close_simulator::{Options, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A free port, controls on, limits off, the same bytes each time.
//! let close = Simulator::start(Options { seed: 7, leads: 20, ..Options::default() }).await?;
//! let key = close.key("admin").ok_or("the key does not exist")?;
//! let http = reqwest::Client::new();
//!
//! let leads = http.get(format!("{}lead/?_limit=3", close.base_url())).basic_auth(&key, Some("")).send().await?;
//! let leads: serde_json::Value = serde_json::from_slice(&leads.bytes().await?)?;
//! assert_eq!(leads["total_results"], 20);
//!
//! // Moves the organization's clock by an hour.
//! let advance = r#"{"advance_secs": 3600}"#;
//! let clock = http.post(format!("http://{}/_control/clock/", close.address));
//! let clock = clock.header("content-type", "application/json");
//! assert_eq!(clock.body(advance).send().await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! The simulator serves until the [`Running`] is dropped. `model` describes the objects, `world` stores and changes
//! them, `resources` has one file for each kind of object with its fields, paths and laws, `http` serves requests, and
//! `control` has the controls for tests. Nothing here depends on a connector.

// Counts, shares and times are far from the limits of their types, and a broken invariant should stop the test.
#![allow(
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::similar_names
)]

pub mod control;
pub mod describe;
pub mod http;
pub mod laboratory;
pub mod model;
pub mod options;
pub mod resources;
pub mod seed;
pub mod snapshot;
pub mod webhooks;
pub mod world;

use std::{net::SocketAddr, sync::Arc};

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

pub use options::Options;
use world::World;

/// One organization with its limits, faults and counters.
pub struct Simulator {
    pub world: RwLock<World>,
    pub limits: http::limits::Limits,
    /// Faults set by a test.
    pub faults: http::faults::Faults,
    pub counters: http::counters::Counters,
    /// Notified after every change, so that tasks that wait for events check again.
    pub wake: Notify,
    /// Random changes in the background.
    pub laboratory: laboratory::Laboratory,
    pub options: Options,
}

/// A simulator that is being served.
pub struct Running {
    pub simulator: Arc<Simulator>,
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Simulator {
    /// Creates an organization with its data set, or with the snapshot `options.restore`, without serving it.
    ///
    /// # Errors
    /// The snapshot cannot be read, or an option names an unknown key.
    pub fn new(options: Options) -> std::io::Result<Self> {
        Self::telling(options, &|_| {})
    }

    /// As [`Simulator::new`]; reports the number of leads created so far, from any thread.
    ///
    /// # Errors
    /// The snapshot cannot be read, or an option names an unknown key.
    pub fn telling(options: Options, progress: &(dyn Fn(usize) + Sync)) -> std::io::Result<Self> {
        let mut world = match &options.restore {
            Some(file) => snapshot::read(file)?,
            None => seed::plant_telling(&options, progress),
        };
        options.apply(&mut world)?;
        Ok(Self {
            world: RwLock::new(world),
            limits: http::limits::Limits::new(options.limits == options::OnOff::On),
            faults: http::faults::Faults::default(),
            counters: http::counters::Counters::default(),
            wake: Notify::new(),
            laboratory: laboratory::Laboratory::default(),
            options,
        })
    }

    /// Serves an organization on `options.port`; port 0 takes a free port.
    ///
    /// # Errors
    /// The port is not available, or as [`Simulator::new`].
    pub async fn start(options: Options) -> std::io::Result<Running> {
        Self::start_telling(options, &|_| {}).await
    }

    /// As [`Simulator::start`]; reports the number of leads created so far, from any thread.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub async fn start_telling(options: Options, progress: &(dyn Fn(usize) + Sync)) -> std::io::Result<Running> {
        let listener = TcpListener::bind((options.host, options.port)).await.map_err(|error| {
            let (host, port) = (options.host, options.port);
            let advice = "choose another port with --port, or 0 for any free port";
            std::io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}; {advice}"))
        })?;
        let address = listener.local_addr()?;
        let simulator = Arc::new(Self::telling(options, progress)?);
        simulator.laboratory.belongs_to(&simulator);
        let stop = CancellationToken::new();
        tokio::spawn(http::server::serve(listener, Arc::clone(&simulator), stop.clone()));
        tokio::spawn(webhooks::deliver::run(Arc::clone(&simulator), stop.clone()));
        Ok(Running { simulator, address, stop })
    }

    /// Locks the organization for reading, after running all due work.
    pub fn read(&self) -> RwLockReadGuard<'_, World> {
        let world = self.world.read();
        if world.jobs.next().is_none_or(|due| due > world.clock.now()) {
            return world;
        }
        drop(world);
        self.world.write().catch_up();
        self.wake.notify_waiters();
        self.world.read()
    }
}

impl Running {
    /// `http://127.0.0.1:…/api/v1/`
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, http::answer::ROOT)
    }

    /// The secret of a key by its name.
    pub fn key(&self, name: &str) -> Option<String> {
        self.simulator.world.read().people.keys.values().find(|key| key.name == name).map(|key| key.secret.clone())
    }

    /// Names and secrets of all keys, in order of creation.
    pub fn keys(&self) -> Vec<(String, String)> {
        let world = self.simulator.world.read();
        let mut keys: Vec<_> = world.people.keys.values().collect();
        keys.sort_by_key(|key| key.id);
        keys.into_iter().map(|key| (key.name.clone(), key.secret.clone())).collect()
    }

    /// Stops serving and closes all connections.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
