//! Limits the memory of all partitions of a task, in bytes of records: as they are in the topic, and as decoded.
//!
//! Free memory goes to the first partition that asks, so one busy partition can get all of it. In addition each
//! partition always has an even part, since partitions whose table waits for an operator hold their records for hours.
//! The total is at most twice the limit. A partition that holds nothing may always take one record of any size. Records
//! count from their arrival until their batch is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The limit of a task. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    limit: usize,
    held: AtomicUsize,
    shares: AtomicUsize,
}

/// The share of one partition.
#[derive(Debug)]
pub(super) struct Share {
    own: Arc<Own>,
    /// The batch that is being collected.
    collected: Part,
}

#[derive(Debug)]
struct Own {
    pool: Arc<Pool>,
    held: AtomicUsize,
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub(super) struct Part {
    own: Arc<Own>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { pool: Arc::new(Pool { limit, held: AtomicUsize::new(0), shares: AtomicUsize::new(0) }) }
    }

    /// Adds a partition and returns its share.
    pub(super) fn share(&self) -> Share {
        self.pool.shares.fetch_add(1, Relaxed);
        let own = Arc::new(Own { pool: Arc::clone(&self.pool), held: AtomicUsize::new(0) });
        Share { collected: Part { own: Arc::clone(&own), bytes: 0 }, own }
    }
}

impl Share {
    /// Returns true if more may be collected.
    pub(super) fn has_room(&self) -> bool {
        let Pool { limit, held, shares } = &*self.own.pool;
        held.load(Relaxed) < *limit || self.own.held.load(Relaxed) < limit / shares.load(Relaxed).max(1)
    }

    /// The bytes of the batch that is being collected.
    pub(super) fn collected(&self) -> usize {
        self.collected.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.collected.bytes += bytes;
        self.own.held.fetch_add(bytes, Relaxed);
        self.own.pool.held.fetch_add(bytes, Relaxed);
    }

    /// Takes the collected bytes, which count until the part is dropped.
    pub(super) fn take(&mut self) -> Part {
        std::mem::replace(&mut self.collected, Part { own: Arc::clone(&self.own), bytes: 0 })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.own.pool.shares.fetch_sub(1, Relaxed);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.own.held.fetch_sub(self.bytes, Relaxed);
        self.own.pool.held.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_are_free_for_other_partitions() {
        let budget = Budget::new(1_000);
        let mut quiet: Vec<_> = (0..100).map(|_| budget.share()).collect();
        for share in &mut quiet {
            share.add(10);
            drop(share.take());
        }
        let mut busy = budget.share();
        busy.add(999);
        assert!(busy.has_room(), "one busy partition gets all free memory");
    }

    #[test]
    fn a_waiting_partition_leaves_the_others_their_part() {
        let budget = Budget::new(1_000);
        let (mut paused, mut others) = (budget.share(), [budget.share(), budget.share(), budget.share()]);
        paused.add(600);
        let waiting = paused.take();
        paused.add(400);
        assert!(!paused.has_room());
        for other in &mut others {
            other.add(249);
            assert!(other.has_room());
            other.add(1);
            assert!(!other.has_room(), "no more than its part while nothing is free");
        }
        drop((waiting, paused));
        assert!(others[0].has_room());
    }
}
