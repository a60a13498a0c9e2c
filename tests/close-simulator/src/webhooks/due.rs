//! Selects and signs due deliveries, and records their results.

use bytes::Bytes;

use super::{enqueue, pause, queue::Verdict, signature, table};
use crate::{
    model::Id,
    resources::event::{Parts, write},
    world::{World, switches::Retry, view::View},
};

/// One request to a receiver.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) subscription: Id,
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) verify_ssl: bool,
    pub(super) redirects: bool,
    pub(super) timeout_ms: u64,
    pub(super) timestamp: String,
    pub(super) hash: String,
    pub(super) body: Bytes,
}

/// Queues settled events and takes due deliveries.
pub(super) fn take(world: &mut World) -> Vec<Sending> {
    let now = world.clock.now();
    while let Some((at, event)) = world.webhooks.take_settled(now) {
        let table = table::of(world);
        if let Some(event) = world.events.get(event).cloned() {
            enqueue(world, &table, &event, at);
        }
    }
    let subscriptions: Vec<Id> = world.webhooks.queues.keys().copied().collect();
    let mut sendings = Vec::new();
    for subscription in subscriptions {
        let Some(queue) = world.webhooks.queues.get_mut(&subscription) else { continue };
        let (taken, verdict) = queue.take(now);
        for (number, delivery) in taken {
            let stamp = match (world.switches.webhook_retry, delivery.stamp) {
                (Retry::Repeat, Some(first)) => first,
                _ => now.0.div_euclid(1_000_000),
            };
            let sending = sending(world, subscription, number, delivery.event, stamp);
            let Some(queue) = world.webhooks.queues.get_mut(&subscription) else { continue };
            match sending {
                Some(sending) => {
                    queue.stamp(number, stamp);
                    sendings.push(sending);
                }
                // The event has left the log, or the subscription is gone.
                None => queue.forget(number),
            }
        }
        if verdict == Verdict::Failing {
            pause(world, subscription, FAILING);
        }
    }
    sendings
}

/// Records the result of a request.
pub(super) fn finish(world: &mut World, subscription: Id, number: u64, outcome: Result<(), String>) {
    let now = world.clock.now();
    let Some(queue) = world.webhooks.queues.get_mut(&subscription) else { return };
    if queue.finish(number, outcome, now) == Verdict::Failing {
        pause(world, subscription, FAILING);
    }
}

const FAILING: &str = "failures";

fn sending(world: &World, subscription: Id, number: u64, event: Id, stamp: i64) -> Option<Sending> {
    let record = world.store.get(subscription)?;
    let event = world.events.get(event)?;
    let mut body = b"{\"subscription_id\":\"".to_vec();
    subscription.write(world.seed, &mut body);
    body.extend_from_slice(b"\",\"event\":");
    // Complete, whatever the rights of the subscription's owner (reference, section 7.4).
    write(&View::now(world), event, Parts::All, &mut body);
    body.push(b'}');
    let timestamp = stamp.to_string();
    let hash = signature::sign(&signature::key(world.seed, subscription), &timestamp, &body);
    Some(Sending {
        subscription,
        number,
        url: record.text("url")?.to_owned(),
        verify_ssl: record.is("verify_ssl"),
        redirects: world.switches.webhook_redirects,
        timeout_ms: world.switches.webhook_timeout_ms,
        timestamp,
        hash,
        body: body.into(),
    })
}
