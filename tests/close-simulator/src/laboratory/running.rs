//! Background changes at a rate, beside those of callers.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::changes::{Order, Run};
use crate::Simulator;

/// Maximum changes to run before releasing the lock.
const BATCH: u64 = 256;

/// State of the laboratory between requests.
#[derive(Default)]
pub struct Laboratory {
    simulator: OnceLock<Weak<Simulator>>,
    background: Mutex<Option<Background>>,
}

struct Background {
    progress: Arc<Mutex<Progress>>,
    stop: CancellationToken,
}

#[derive(Clone, Default)]
struct Progress {
    count: u64,
    done: u64,
    given_up: u64,
    rate: f64,
    running: bool,
}

impl Laboratory {
    /// Sets the simulator, so that work can continue after the request that started it.
    pub fn belongs_to(&self, simulator: &Arc<Simulator>) {
        let _ = self.simulator.set(Arc::downgrade(simulator));
    }

    /// Runs changes immediately, in portions between which others are served.
    pub fn at_once(&self, simulator: &Simulator, order: Order) -> Json {
        let began = Instant::now();
        let mut run = Run::begin(&simulator.read(), order);
        while !run.is_over() {
            run.go_on(&mut simulator.world.write(), BATCH);
            simulator.wake.notify_waiters();
        }
        let secs = began.elapsed().as_secs_f64();
        json!({ "count": run.count(), "done": run.done, "given_up": run.given_up, "secs": secs })
    }

    /// Starts changes at `rate` per second of the machine's time; replaces those that are running.
    pub fn at_rate(&self, simulator: &Simulator, order: Order, rate: f64) -> Json {
        let stop = CancellationToken::new();
        let progress =
            Arc::new(Mutex::new(Progress { count: order.count, rate, running: true, ..Progress::default() }));
        let begun = Background { progress: Arc::clone(&progress), stop: stop.clone() };
        if let Some(before) = self.background.lock().replace(begun) {
            before.stop.cancel();
        }
        let run = Run::begin(&simulator.read(), order);
        if let Some(simulator) = self.simulator.get() {
            tokio::spawn(keep_going(Weak::clone(simulator), run, rate, progress, stop));
        }
        self.progress()
    }

    /// Progress of the background changes; `{"running": false}` if there were none.
    pub fn progress(&self) -> Json {
        match &*self.background.lock() {
            None => json!({ "running": false }),
            Some(background) => {
                let Progress { count, done, given_up, rate, running } = background.progress.lock().clone();
                json!({ "running": running, "count": count, "done": done, "given_up": given_up, "rate_per_sec": rate })
            }
        }
    }

    /// Stops the background changes.
    pub fn stop(&self) -> Json {
        if let Some(background) = &*self.background.lock() {
            background.stop.cancel();
            background.progress.lock().running = false;
        }
        self.progress()
    }
}

async fn keep_going(
    simulator: Weak<Simulator>,
    mut run: Run,
    rate: f64,
    progress: Arc<Mutex<Progress>>,
    stop: CancellationToken,
) {
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        let Some(simulator) = simulator.upgrade() else { break };
        let due = (began.elapsed().as_secs_f64() * rate) as u64;
        let behind = due.saturating_sub(run.done + run.given_up).min(BATCH * 4);
        if behind > 0 {
            run.go_on(&mut simulator.world.write(), behind);
            simulator.wake.notify_waiters();
        }
        let mut progress = progress.lock();
        (progress.done, progress.given_up) = (run.done, run.given_up);
        if run.is_over() {
            break;
        }
    }
    progress.lock().running = false;
}
