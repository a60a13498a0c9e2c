//! Generates all leads on two threads. Ids depend on the order of the leads, not on the threads: the plans of a block
//! are summed first, so that each block knows its first serials.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{case, ground::Ground, sheet::Sheet};
use crate::{
    model::{Kind, Record},
    world::{World, jobs::Job},
};

/// Leads per block.
const BLOCK: usize = 128;
const THREADS: usize = 2;

/// First serials of a block, by kind.
type Start = [u64; Kind::COUNT];

/// Adds the leads with all their objects.
pub fn plant(world: &mut World, ground: &Ground, leads: usize, progress: &(dyn Fn(usize) + Sync)) {
    let blocks = leads.div_ceil(BLOCK);
    let of = |block: usize| (block * BLOCK..leads.min((block + 1) * BLOCK)).map(|lead| lead as u64);
    let sums = share(blocks, |block, (): &mut ()| {
        let mut sums: Start = [0; Kind::COUNT];
        of(block).for_each(|lead| case::plan(ground.seed, lead).add_to(&mut sums));
        sums
    });
    let mut starts = Vec::with_capacity(blocks);
    let mut next: Start = std::array::from_fn(|kind| world.last_serial(Kind::ALL[kind]));
    for sums in &sums {
        starts.push(next);
        next.iter_mut().zip(sums).for_each(|(next, sum)| *next += sum);
    }
    let made = AtomicUsize::new(0);
    let records = share(blocks, |block, sheet: &mut Sheet| {
        sheet.number_from(&starts[block]);
        of(block).for_each(|lead| case::make(ground, lead, sheet));
        assert_eq!(Some(sheet.numbers()), starts.get(block + 1).or(Some(&next)), "a lead has what its plan says");
        progress(made.fetch_add(of(block).count(), Ordering::Relaxed) + of(block).count());
        sheet.take()
    });
    for (kind, serial) in Kind::ALL.iter().zip(next) {
        world.give_out_to(*kind, serial);
    }
    schedule(world, &records);
    world.store.fill(records.into_iter().flatten());
}

/// Schedules future meetings, which the clock starts and ends.
fn schedule(world: &mut World, records: &[Vec<Arc<Record>>]) {
    let now = world.clock.now();
    for meeting in records.iter().flatten().filter(|record| record.kind() == Kind::Meeting) {
        for at in ["starts_at", "ends_at"].into_iter().filter_map(|name| meeting.moment(name)).filter(|at| *at > now) {
            world.jobs.schedule(at, Job::Meeting(meeting.id));
        }
    }
}

/// Does numbered work on several threads, each with its own workspace, and returns the results in the order of the
/// numbers.
fn share<T: Send, W: Default>(count: usize, work: impl Fn(usize, &mut W) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS.min(count.max(1)))
            .map(|_| {
                scope.spawn(|| {
                    let mut workplace = W::default();
                    let mut done = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return done;
                        }
                        done.push((number, work(number, &mut workplace)));
                    }
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a lead can be made")).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
