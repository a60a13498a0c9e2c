//! Random changes under a seed: which happens when, by whom, in a population that neither grows nor shrinks.

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

/// How often another deed is tried when one is refused.
const TRIES: usize = 16;
/// As many of each kind a population has at least before deletes are let happen.
const LEAST: usize = 20;

/// Changes that are to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// How many.
    pub count: u64,
    /// From which they follow, together with the present state.
    pub seed: u64,
    /// Milliseconds of the organization's time over which they are spread; `None` lets the clock run by itself.
    pub spread_millis: Option<i64>,
    /// How often each deed happens, by the order of [`DEEDS`].
    pub weights: Vec<u32>,
}

/// Changes that are being done.
pub struct Run {
    order: Order,
    draw: Draw,
    begun: Moment,
    /// How many objects of each kind there were.
    target: Vec<usize>,
    /// How many changes were done.
    pub done: u64,
    /// How many were given up after many refusals.
    pub given_up: u64,
}

impl Order {
    /// Changes with the weights they have by themselves, except for those named by `weights`.
    ///
    /// # Errors
    /// A weight for what does not exist, or one that is no number of 0 or more.
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
                format!("unknown change `{unknown}`; known are {}", known.join(", ")),
            ));
        }
        let weight = |name: &str, own: u32| match weights.get(name) {
            None => Ok(own),
            Some(json) => json
                .as_u64()
                .and_then(|weight| u32::try_from(weight).ok())
                .filter(|weight| *weight <= 1_000_000)
                .ok_or_else(|| Refusal::field("weights", format!("{name}: not an integer from 0 to 1000000"))),
        };
        let weights = DEEDS.iter().map(|(name, own, _)| weight(name, *own)).collect::<Result<Vec<_>, _>>()?;
        if weights.iter().all(|weight| *weight == 0) {
            return Err(Refusal::field("weights", "at least one must be more than 0"));
        }
        Ok(Self { count, seed, spread_millis, weights })
    }
}

impl Run {
    /// Begins changes now.
    pub fn begin(world: &World, order: Order) -> Self {
        let target = Kind::ALL.iter().map(|kind| world.store.count(*kind).max(LEAST)).collect();
        let draw = Draw::new(order.seed, 0x6368_616e_6765);
        Self { order, draw, begun: world.clock.now(), target, done: 0, given_up: 0 }
    }

    /// How many there are to do.
    pub fn count(&self) -> u64 {
        self.order.count
    }

    /// Whether all are done.
    pub fn is_over(&self) -> bool {
        self.done + self.given_up >= self.order.count
    }

    /// Does up to so many of them.
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

    /// One change; false when everything that was tried was refused.
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

    /// Another deed where this one would let the population grow or shrink.
    fn balanced(&self, world: &World, deed: Deed) -> Deed {
        // What other deeds leave behind is cleared away where there is more of it than there was.
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
            // There is no way to delete a subscription.
            Deed::Create(Kind::SequenceSubscription) if much => Deed::Update(kind),
            Deed::Create(kind) if much => Deed::Delete(kind),
            Deed::Delete(_) | Deed::Merge if little => Deed::Create(kind),
            other => other,
        }
    }
}

/// Changes between two past moments, of an organization whose clock shows the later one: what its event log tells at
/// the start.
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
