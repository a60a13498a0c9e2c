//! A Close API on this machine, to build and test against: the same paths, shapes, limits, quirks and delays, written
//! from the reference of that API alone, and never from what a connector needs.
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
//! let key = close.key("admin").ok_or("there is no such key")?;
//! let http = reqwest::Client::new();
//!
//! let leads = http.get(format!("{}lead/?_limit=3", close.base_url())).basic_auth(&key, Some("")).send().await?;
//! let leads: serde_json::Value = serde_json::from_slice(&leads.bytes().await?)?;
//! assert_eq!(leads["total_results"], 20);
//!
//! // An hour passes in the organization, and none here.
//! let advance = r#"{"advance_secs": 3600}"#;
//! let clock = http.post(format!("http://{}/_control/clock/", close.address)).header("content-type", "application/json");
//! assert_eq!(clock.body(advance).send().await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! It is served until the [`Running`] is dropped. `model` says what exists, `world` how it lives and changes,
//! `resources` has one file for each kind of object with its fields, paths and laws, `http` is the outside, `control`
//! what a laboratory needs. No connector is known here.

// Counts, shares and times of a laboratory are far from the ends of their types, and a broken promise inside it should
// stop the test.
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

/// One organization and what stands around it.
pub struct Simulator {
    /// The organization.
    pub world: RwLock<World>,
    /// Rate limits.
    pub limits: http::limits::Limits,
    /// Faults that a test asked for.
    pub faults: http::faults::Faults,
    /// What was asked and how it was answered.
    pub counters: http::counters::Counters,
    /// Told after every change: what waits for events looks again.
    pub wake: Notify,
    /// Random changes in the background.
    pub laboratory: laboratory::Laboratory,
    /// How it was started.
    pub options: Options,
}

/// A simulator that is being served.
pub struct Running {
    /// What is served.
    pub simulator: Arc<Simulator>,
    /// Where.
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Simulator {
    /// An organization with its data set, or the one of the snapshot `options.restore`, not yet served.
    ///
    /// # Errors
    /// The snapshot cannot be read, or an option names a key that there is not.
    pub fn new(options: Options) -> std::io::Result<Self> {
        Self::telling(options, &|_| {})
    }

    /// As [`Simulator::new`], telling how many leads of the data set there are so far; from any thread.
    ///
    /// # Errors
    /// The snapshot cannot be read, or an option names a key that there is not.
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

    /// Serves an organization on `options.port`; port 0 takes a free one.
    ///
    /// # Errors
    /// The port cannot be had, or as [`Simulator::new`].
    pub async fn start(options: Options) -> std::io::Result<Running> {
        Self::start_telling(options, &|_| {}).await
    }

    /// As [`Simulator::start`], telling how many leads of the data set there are so far; from any thread.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub async fn start_telling(options: Options, progress: &(dyn Fn(usize) + Sync)) -> std::io::Result<Running> {
        let listener = TcpListener::bind((options.host, options.port)).await.map_err(|error| {
            let (host, port) = (options.host, options.port);
            let advice = "choose another with --port, or 0 for any free one";
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

    /// The organization for reading, with everything done that is due.
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

    /// Names and secrets of all keys, in the order in which they were given out.
    pub fn keys(&self) -> Vec<(String, String)> {
        let world = self.simulator.world.read();
        let mut keys: Vec<_> = world.people.keys.values().collect();
        keys.sort_by_key(|key| key.id);
        keys.into_iter().map(|key| (key.name.clone(), key.secret.clone())).collect()
    }

    /// Stops serving; connections are cut.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
