//! The task that sends due deliveries: in parallel, independent of each other, never under the lock.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::due::{self, Sending};
use crate::{Simulator, model::Kind};

/// Delivers until `stop` is cancelled.
pub async fn run(simulator: Arc<Simulator>, stop: CancellationToken) {
    let mut clients = Clients::default();
    let finished = Arc::new(Notify::new());
    loop {
        // Registers before checking, so that no change in between is missed.
        let woken = simulator.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let (sendings, wait) = look(&simulator);
        for sending in sendings {
            let Some(client) = clients.of(&sending) else { continue };
            let (simulator, finished) = (Arc::clone(&simulator), Arc::clone(&finished));
            tokio::spawn(async move {
                let (subscription, number) = (sending.subscription, sending.number);
                let outcome = send(&client, sending).await;
                due::finish(&mut simulator.world.write(), subscription, number, outcome);
                finished.notify_one();
            });
        }
        let sleep = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = &mut woken => {}
            () = finished.notified() => {}
            () = sleep => {}
        }
    }
}

/// The due deliveries, and the time until the next one.
fn look(simulator: &Simulator) -> (Vec<Sending>, Option<Duration>) {
    {
        let world = simulator.world.read();
        if world.store.count(Kind::Webhook) == 0 {
            return (Vec::new(), None);
        }
        let next = next(&world);
        if next.is_none_or(|next| next > world.clock.now()) {
            return (Vec::new(), until(&world, next));
        }
    }
    let mut world = simulator.world.write();
    // Scheduled work has events as well.
    world.catch_up();
    let sendings = due::take(&mut world);
    let next = next(&world);
    (sendings, until(&world, next))
}

fn next(world: &crate::world::World) -> Option<crate::model::Moment> {
    world.webhooks.next().into_iter().chain(world.jobs.next()).min()
}

/// The machine's time until a moment of the organization; `None` if its clock is stopped.
fn until(world: &crate::world::World, next: Option<crate::model::Moment>) -> Option<Duration> {
    let (next, rate) = (next?, world.clock.rate());
    if rate <= 0.0 {
        return None;
    }
    let millis = next.millis_since(world.clock.now()).max(0) as f64 / rate;
    Some(Duration::from_millis((millis.ceil() as u64).clamp(1, 3_600_000)))
}

/// Makes one attempt; only 2xx is success.
async fn send(client: &reqwest::Client, sending: Sending) -> Result<(), String> {
    let request = client
        .post(&sending.url)
        .header("content-type", "application/json")
        .header("close-sig-hash", sending.hash)
        .header("close-sig-timestamp", sending.timestamp)
        .timeout(Duration::from_millis(sending.timeout_ms))
        .body(sending.body);
    match request.send().await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("HTTP {}", response.status().as_u16())),
        Err(error) if error.is_timeout() => Err("timeout".to_owned()),
        Err(error) if error.is_connect() => Err("cannot connect".to_owned()),
        Err(_) => Err("the connection broke".to_owned()),
    }
}

/// Clients by whether they follow redirects and check certificates, created on first use.
#[derive(Default)]
struct Clients {
    made: FxHashMap<(bool, bool), reqwest::Client>,
}

impl Clients {
    fn of(&mut self, sending: &Sending) -> Option<reqwest::Client> {
        let key = (sending.redirects, sending.verify_ssl);
        if let Some(client) = self.made.get(&key) {
            return Some(client.clone());
        }
        let redirects =
            if sending.redirects { reqwest::redirect::Policy::limited(5) } else { reqwest::redirect::Policy::none() };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirects)
            .tls_danger_accept_invalid_certs(!sending.verify_ssl)
            .build()
            .inspect_err(|error| tracing::error!(%error, "cannot create a client for webhooks"))
            .ok()?;
        self.made.insert(key, client.clone());
        Some(client)
    }
}
