//! The data set: everything in it follows from the seed, so that the same seed gives the same bytes.
//!
//! [`foundation`] is there before the first lead, [`people`], [`definitions`] and [`workplace`] stand beside leads, and each lead is a
//! [`case`] of its own. What lies in the last 30 days was done by changes, so that the event log tells of all of it.

pub mod case;
pub mod company;
pub mod conversation;
pub mod deal;
pub mod definitions;
pub mod draw;
pub mod foundation;
pub mod ground;
pub mod happening;
pub mod leads;
pub mod library;
pub mod mail;
pub mod people;
pub mod plan;
pub mod sheet;
pub mod words;
pub mod workplace;

use crate::Options;
use crate::laboratory;
use crate::model::Moment;
use crate::world::World;
use ground::Ground;

/// Changes of the last 30 days at most.
const RECENT: usize = 2_000;

/// An organization as the options ask for it, as old as its records say.
pub fn plant(options: &Options) -> World {
    plant_telling(options, &|_| {})
}

/// As [`plant`], telling how many leads there are so far; from any thread.
pub fn plant_telling(options: &Options, progress: &(dyn Fn(usize) + Sync)) -> World {
    let mut world = World::empty(options.seed, options.now);
    foundation::lay(&mut world);
    if options.leads > 0 {
        let now = world.clock.now();
        let settled = options.now.plus_days(-World::RETENTION_DAYS).to_millis();
        let mut ground = Ground::new(&world, settled);
        people::plant(&mut world, &mut ground, options.leads);
        definitions::plant(&mut world, &mut ground);
        workplace::plant(&mut world, &mut ground, options.leads);
        leads::plant(&mut world, &ground, options.leads, progress);
        world.history.forget();
        live(&mut world, options, settled, now);
    }
    world.history.forget();
    world
}

/// The last 30 days, by changes like those of callers.
fn live(world: &mut World, options: &Options, from: Moment, to: Moment) {
    let count = options.leads.min(RECENT);
    laboratory::changes::past(world, options.seed, count, from, to);
}
