//! The data set: everything in it follows from the seed, so that the same seed gives the same bytes.

pub mod foundation;

use crate::Options;
use crate::world::World;

/// An organization as the options ask for it, as old as its records say, with an empty history and event log.
pub fn plant(options: &Options) -> World {
    let mut world = World::empty(options.seed, options.now);
    foundation::lay(&mut world);
    let now = world.clock.now();
    world.history.forget(now);
    world
}
