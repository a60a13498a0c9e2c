//! Picks random objects without walking over all of them.

use std::sync::Arc;

use crate::{
    model::{Id, Kind, Moment, Record},
    seed::draw::Draw,
    world::World,
};

/// Serials to try before walking the order of creation.
const TRIES: usize = 48;

/// A random object of a kind. Half of the draws prefer newer objects, because people work on those. The result follows
/// from the draws and the present objects alone. Constant time where most serials are alive, logarithmic otherwise.
pub fn any(world: &World, draw: &mut Draw, kind: Kind) -> Option<Arc<Record>> {
    let count = world.store.count(kind);
    if count == 0 {
        return None;
    }
    let last = world.last_serial(kind).max(1);
    for n in 0..TRIES {
        let reach = if n % 2 == 0 { last.min(2 * count as u64 + 8) } else { last };
        let serial = last - draw.below(reach as usize) as u64;
        if let Some(record) = world.store.get(Id::new(kind, serial)) {
            return Some(Arc::clone(record));
        }
    }
    let id = |id: Option<Id>| id.and_then(|id| world.store.get(id));
    let first = id(world.store.of_kind(kind, Moment::FIRST, Moment::LAST).next())?;
    let newest = id(world.store.of_kind(kind, Moment::FIRST, Moment::LAST).next_back())?;
    let at = draw.moment(first.created, newest.created);
    id(world.store.of_kind(kind, at, Moment::LAST).next()).or(Some(first)).map(Arc::clone)
}

/// An object of a kind that belongs to a lead, preferring the newest.
pub fn of_lead(world: &World, draw: &mut Draw, lead: Id, kind: Kind) -> Option<Id> {
    let ids: Vec<Id> = world.store.of_lead(lead, kind).rev().take(8).collect();
    (!ids.is_empty()).then(|| *draw.pick(&ids))
}

pub fn member(world: &World, draw: &mut Draw) -> Option<Id> {
    for _ in 0..TRIES {
        let membership = any(world, draw, Kind::Membership)?;
        if membership.is("is_active") {
            return membership.id_of("user_id");
        }
    }
    None
}

/// The lead with the most contacts, opportunities, tasks and activities, and their number.
pub fn largest_lead(world: &World) -> Option<(Id, usize)> {
    world
        .store
        .of_kind(Kind::Lead, Moment::FIRST, Moment::LAST)
        .map(|lead| (lead, Kind::ALL.iter().map(|kind| world.store.of_lead(lead, *kind).count()).sum::<usize>()))
        .max_by_key(|(lead, count)| (*count, std::cmp::Reverse(*lead)))
}
