//! The data set: it depends only on the seed, so the same seed gives the same bytes.
//!
//! [`foundation`] precedes the first lead, [`people`], [`definitions`] and [`workplace`] add objects without a lead,
//! and each lead is a [`case`]. The last 30 days consist of changes, so the event log covers them completely.

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

use crate::{Options, laboratory, model::Moment, world::World};
use ground::Ground;

/// Maximum changes in the last 30 days.
const RECENT: usize = 2_000;

/// Generates an organization for the options.
pub fn plant(options: &Options) -> World {
    plant_telling(options, &|_| {})
}

/// As [`plant`]; reports the number of leads so far, from any thread.
pub fn plant_telling(options: &Options, progress: &(dyn Fn(usize) + Sync)) -> World {
    let mut world = World::empty(options.seed, options.now);
    // The organization's time stands still during the generation.
    let now = options.now.to_millis();
    world.clock.hold(Some(now));
    foundation::lay(&mut world);
    world.history.forget(now);
    if options.leads > 0 {
        populate(&mut world, options, now, progress);
    }
    world.clock.set(now);
    world.clock.hold(None);
    world
}

/// Adds everything beside the foundation.
fn populate(world: &mut World, options: &Options, now: Moment, progress: &(dyn Fn(usize) + Sync)) {
    let settled = now.plus_days(-World::RETENTION_DAYS);
    let mut ground = Ground::new(world, settled);
    people::plant(world, &mut ground, options.leads);
    definitions::plant(world, &mut ground);
    workplace::plant(world, &mut ground, options.leads);
    leads::plant(world, &ground, options.leads, progress);
    world.history.forget(settled);
    // The last 30 days, by changes like those of callers.
    laboratory::changes::past(world, options.seed, options.leads.min(RECENT), settled, now);
}
