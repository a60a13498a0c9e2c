//! Webhooks: which event goes to which subscription, when, and with what result (reference, section 7).
//!
//! Every event passes [`told`]. An event that no active subscription names costs one table lookup. A `created` event
//! and semantic events are queued immediately. `updated` and `deleted` events settle first, until no further update can
//! be consolidated into them, and are sent with their final content.

pub mod catalogue;
pub mod deliver;
mod due;
pub mod matcher;
mod queue;
pub mod signature;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{
    model::{Id, Kind, Moment},
    world::{
        World,
        change::{Actor, Change, draw},
        events::Event,
    },
};
pub use queue::{Counts, Queue};

/// Delivery faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of events to send twice, 0 to 1.
    pub duplicate: f64,
    /// Share of events never to send, 0 to 1.
    pub lose: f64,
    /// Maximum milliseconds of the organization's clock by which to delay each delivery, drawn independently, so that
    /// deliveries overtake one another.
    pub reorder_ms: i64,
    /// Milliseconds of the organization's clock by which to delay every delivery.
    pub delay_ms: i64,
}

/// All pending deliveries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Webhooks {
    pub faults: Faults,
    queues: BTreeMap<Id, Queue>,
    /// Events that can still be consolidated, by the end of that window.
    settling: BTreeSet<(Moment, Id)>,
    settles: FxHashMap<Id, Moment>,
    /// Number of deliveries so far: numbers them and seeds the faults.
    last: u64,
    /// Subscriptions by event; rebuilt after a subscription changes.
    #[serde(skip)]
    table: Option<Arc<table::Table>>,
}

impl Webhooks {
    /// The deliveries of a subscription, if it ever had any.
    pub fn queue(&self, subscription: Id) -> Option<&Queue> {
        self.queues.get(&subscription)
    }

    /// The number of events that can still be consolidated.
    pub fn settling(&self) -> usize {
        self.settling.len()
    }

    /// The moment of the next step.
    pub fn next(&self) -> Option<Moment> {
        let settled = self.settling.first().map(|(at, _)| *at);
        settled.into_iter().chain(self.queues.values().filter_map(Queue::next)).min()
    }

    /// Must be called after a subscription is created, changed or deleted.
    pub fn subscriptions_changed(&mut self) {
        self.table = None;
    }

    /// Removes a deleted subscription.
    pub fn forget(&mut self, subscription: Id) {
        self.queues.remove(&subscription);
        self.table = None;
    }

    /// Drops the pending deliveries of a paused subscription.
    pub fn clear(&mut self, subscription: Id) {
        if let Some(queue) = self.queues.get_mut(&subscription) {
            queue.clear();
        }
        self.table = None;
    }

    /// Resets the failures of a resumed subscription.
    pub fn resumed(&mut self, subscription: Id) {
        if let Some(queue) = self.queues.get_mut(&subscription) {
            queue.failing_since = None;
            queue.latest_error = None;
        }
        self.table = None;
    }

    fn settle(&mut self, event: Id, at: Moment) {
        if let Some(before) = self.settles.insert(event, at) {
            self.settling.remove(&(before, event));
        }
        self.settling.insert((at, event));
    }

    fn take_settled(&mut self, now: Moment) -> Option<(Moment, Id)> {
        let settled = self.settling.first().copied().filter(|(at, _)| *at <= now)?;
        self.settling.pop_first();
        self.settles.remove(&settled.1);
        Some(settled)
    }
}

/// Routes a new or consolidated event to the subscriptions that want it.
pub fn told(world: &mut World, event: Id) {
    if world.store.count(Kind::Webhook) == 0 {
        return;
    }
    let table = table::of(world);
    let Some(event) = world.events.get(event).cloned() else { return };
    if !table.wants(&event) {
        return;
    }
    let folded = event.updated > event.created;
    if folded || matches!(event.action, "updated" | "deleted") {
        let at = event.updated.plus_millis(world.switches.consolidation_ms.max(0));
        world.webhooks.settle(event.id, at);
    } else {
        enqueue(world, &table, &event, event.updated);
    }
}

/// Queues an event for every subscription whose filters match.
fn enqueue(world: &mut World, table: &table::Table, event: &Arc<Event>, at: Moment) {
    for subscription in table.targets(world, event) {
        push(world, subscription, event.id, at);
    }
}

fn push(world: &mut World, subscription: Id, event: Id, at: Moment) {
    let (seed, lag, most) = (world.seed, world.switches.webhook_lag_ms, world.switches.webhook_backlog);
    let webhooks = &mut world.webhooks;
    let faults = webhooks.faults;
    let chance = |number: u64, which: u64| draw(seed ^ 0x7765_6268, number * 4 + which);
    let queue = webhooks.queues.entry(subscription).or_default();
    webhooks.last += 1;
    if chance(webhooks.last, 0) < faults.lose {
        queue.counts.lost += 1;
        return;
    }
    let copies = if chance(webhooks.last, 1) < faults.duplicate { 2 } else { 1 };
    queue.counts.duplicated += copies - 1;
    for copy in 0..copies {
        webhooks.last += copy;
        let out_of_order = (chance(webhooks.last, 2) * faults.reorder_ms.max(0) as f64) as i64;
        let due = at.plus_millis(lag.max(0) + faults.delay_ms.max(0) + out_of_order);
        queue.push(due, webhooks.last, queue::Delivery { event, queued: at, failures: 0, stamp: None });
    }
    if queue.len() >= most {
        pause(world, subscription, "backlog");
    }
}

/// Pauses a subscription after failures, and drops its pending deliveries.
fn pause(world: &mut World, subscription: Id, reason: &'static str) {
    world.webhooks.clear(subscription);
    Change::begin(world, Actor::system()).edit(subscription, |record| {
        record.set("status", "paused");
        record.set("pause_reason", reason);
    });
}
