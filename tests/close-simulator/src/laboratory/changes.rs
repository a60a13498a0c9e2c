//! Random changes under a seed, in a population that neither grows nor shrinks.

use serde_json::{Map, Value as Json};

use super::{
    api::founder_actor,
    deeds::{self, DEEDS, Deed},
    pick,
};
use crate::{
    model::{Kind, Moment, Refusal},
    seed::draw::Draw,
    world::{
        World,
        change::{Actor, Change},
    },
};

/// Maximum deeds to try for one change when they are refused.
const TRIES: usize = 16;
/// Minimum objects of a kind for a delete.
const LEAST: usize = 20;

/// Changes to run.
#[derive(Clone, Debug)]
pub struct Order {
    pub count: u64,
    /// The changes follow from the seed and the present state.
    pub seed: u64,
    /// Milliseconds of the organization's time over which to spread the changes; `None` leaves the clock alone.
    pub spread_millis: Option<i64>,
    /// The weight of each deed, in the order of [`DEEDS`].
    pub weights: Vec<u32>,
}

/// A running order.
pub struct Run {
    order: Order,
    draw: Draw,
    begun: Moment,
    /// The number of objects of each kind at the start.
    target: Vec<usize>,
    /// Changes done so far.
    pub done: u64,
    /// Changes given up after too many refusals.
    pub given_up: u64,
}

impl Order {
    /// Creates an order with the default weights, except for those in `weights`.
    ///
    /// # Errors
    /// A weight for an unknown deed, or one that is not an integer of 0 or more.
    pub fn new(
        count: u64,
        seed: u64,
        spread_millis: Option<i64>,
        weights: &Map<String, Json>,
    ) -> Result<Self, Refusal> {
        if let Some(unknown) = weights.keys().find(|name| !DEEDS.iter().any(|(known, ..)| known == name)) {
            let known: Vec<&str> = DEEDS.iter().map(|(name, ..)| *name).collect();
            return Err(Refusal::field(
                "weights",
                format!("unknown change `{unknown}`; must be one of {}", known.join(", ")),
            ));
        }
        let weight = |name: &str, own: u32| match weights.get(name) {
            None => Ok(own),
            Some(json) => json
                .as_u64()
                .and_then(|weight| u32::try_from(weight).ok())
                .filter(|weight| *weight <= 1_000_000)
                .ok_or_else(|| Refusal::field("weights", format!("{name}: must be an integer from 0 to 1000000"))),
        };
        let weights = DEEDS.iter().map(|(name, own, _)| weight(name, *own)).collect::<Result<Vec<_>, _>>()?;
        if weights.iter().all(|weight| *weight == 0) {
            return Err(Refusal::field("weights", "at least one must be more than 0"));
        }
        Ok(Self { count, seed, spread_millis, weights })
    }
}

impl Run {
    pub fn begin(world: &World, order: Order) -> Self {
        let target = Kind::ALL.iter().map(|kind| world.store.count(*kind).max(LEAST)).collect();
        let draw = Draw::new(order.seed, 0x6368_616e_6765);
        Self { order, draw, begun: world.clock.now(), target, done: 0, given_up: 0 }
    }

    pub fn count(&self) -> u64 {
        self.order.count
    }

    pub fn is_over(&self) -> bool {
        self.done + self.given_up >= self.order.count
    }

    /// Runs at most `most` more changes.
    pub fn go_on(&mut self, world: &mut World, most: u64) {
        for _ in 0..most {
            if self.is_over() {
                break;
            }
            self.step(world);
        }
    }

    fn step(&mut self, world: &mut World) {
        let number = self.done + self.given_up;
        let at = self.order.spread_millis.map(|spread| {
            let place = (number as f64 + self.draw.unit()) / self.order.count as f64;
            self.begun.plus_millis((spread as f64 * place) as i64).to_millis()
        });
        if let Some(at) = at {
            world.clock.set(at);
            world.clock.hold(Some(at));
        }
        world.catch_up();
        if self.one(world) {
            self.done += 1;
        } else {
            self.given_up += 1;
        }
        world.clock.hold(None);
    }

    /// Runs one change; returns false if every attempt was refused.
    fn one(&mut self, world: &mut World) -> bool {
        for _ in 0..TRIES {
            let choices = DEEDS.iter().zip(&self.order.weights).map(|((_, _, deed), weight)| (*weight, *deed));
            let deed = self.draw.weighted(&choices.collect::<Vec<_>>());
            let deed = self.balanced(world, deed);
            let actor = match deed {
                Deed::Merge => founder_actor(world, "POST", "lead/merge"),
                _ => pick::member(world, &mut self.draw).map_or_else(Actor::system, Actor::user),
            };
            let mut change = Change::begin(world, actor);
            match deeds::perform(&mut change, &mut self.draw, deed) {
                Ok(()) => return true,
                Err(refusal) => tracing::trace!(?deed, ?refusal, "refused"),
            }
        }
        false
    }

    /// Replaces a deed that would let the population grow or shrink.
    fn balanced(&self, world: &World, deed: Deed) -> Deed {
        // Objects left by other deeds are deleted where there are more of them than at the start.
        let trace = match deed {
            Deed::Status(Kind::Lead) => Some(Kind::LeadStatusChange),
            Deed::Status(_) => Some(Kind::OpportunityStatusChange),
            Deed::Complete => Some(Kind::TaskCompleted),
            Deed::Create(Kind::Email) => Some(Kind::EmailThread),
            _ => None,
        };
        if let Some(trace) = trace.filter(|trace| world.store.count(*trace) > self.target[*trace as usize] * 21 / 20) {
            return Deed::Delete(trace);
        }
        let kind = match deed {
            Deed::Create(kind) | Deed::Delete(kind) => kind,
            Deed::Merge => Kind::Lead,
            _ => return deed,
        };
        let (count, target) = (world.store.count(kind), self.target[kind as usize]);
        let much = count > target + target / 20;
        let little = count < target - target / 20;
        match deed {
            // Subscriptions cannot be deleted.
            Deed::Create(Kind::SequenceSubscription) if much => Deed::Update(kind),
            Deed::Create(kind) if much => Deed::Delete(kind),
            Deed::Delete(_) | Deed::Merge if little => Deed::Create(kind),
            other => other,
        }
    }
}

/// Runs changes between two past moments, for an organization whose clock shows the later moment: they fill its initial
/// event log.
pub fn past(world: &mut World, seed: u64, count: usize, from: Moment, to: Moment) {
    let Ok(order) = Order::new(count as u64, seed, None, &Map::new()) else { return };
    let mut run = Run::begin(world, order);
    let span = to.millis_since(from);
    for n in 0..count {
        let place = (n as f64 + run.draw.unit()) / count as f64;
        world.clock.hold(Some(from.plus_millis((span as f64 * place) as i64).to_millis()));
        world.catch_up();
        run.one(world);
    }
    world.clock.hold(Some(to));
    world.catch_up();
}
