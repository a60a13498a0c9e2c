//! The memory of bodies whose sender is not known yet.
//!
//! The secret is in the body, so a body must be read before its sender is known. A small body has its bytes free: the
//! number of connections bounds them, and nothing that large or slow bodies do can starve small ones. Larger bodies
//! share a budget, of which one address gets half. Bytes are charged when memory is reserved for them, which follows
//! the bytes that have arrived and not the announced length.
//!
//! What always holds: a body that is alone is read, however large, so a limit that is too small cannot refuse a
//! fitting body forever.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes of each body that are not charged.
const FREE: usize = 8 * 1024;

/// The budget of all bodies of a listener.
pub(crate) struct Budget {
    max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: usize,
    addresses: HashMap<IpAddr, usize>,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: Mutex::default() })
    }

    /// The memory of a body from `address`, empty so far.
    pub(crate) fn body(self: &Arc<Self>, address: IpAddr) -> Charge {
        Charge { budget: self.clone(), address, bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The charged bytes of one body. Dropping it gives them back.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    address: IpAddr,
    bytes: usize,
}

impl Charge {
    /// Charges a body of `size` bytes; returns false, and changes nothing, if the budget does not have them.
    pub(crate) fn grow_to(&mut self, size: usize) -> bool {
        let more = size.saturating_sub(FREE).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut held = self.budget.held();
        let own = held.addresses.get(&self.address).copied().unwrap_or_default();
        let fits = |held: usize, max: usize| held == self.bytes || held + more <= max;
        if !fits(held.total, self.budget.max) || !fits(own, self.budget.max / 2) {
            return false;
        }
        held.total += more;
        held.addresses.insert(self.address, own + more);
        drop(held);
        self.bytes += more;
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.held();
        held.total -= self.bytes;
        if let Some(own) = held.addresses.get_mut(&self.address) {
            *own -= self.bytes;
            if *own == 0 {
                held.addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn small_bodies_are_read_whatever_large_ones_hold() {
        let budget = Budget::new(100_000);
        let mut large = budget.body(from(1));
        assert!(large.grow_to(1_000_000), "a body that is alone is read");
        let mut small = budget.body(from(1));
        assert!(small.grow_to(FREE) && !small.grow_to(FREE + 1));
        drop(large);
        assert!(small.grow_to(FREE + 1));
    }

    #[test]
    fn one_address_gets_half() {
        let budget = Budget::new(100_000);
        let size = |bytes: usize| bytes + FREE;
        let [mut first, mut second, mut third] = [1, 1, 2].map(|last| budget.body(from(last)));
        assert!(first.grow_to(size(30_000)) && !second.grow_to(size(30_000)) && second.grow_to(size(20_000)));
        assert!(!first.grow_to(size(30_001)) && third.grow_to(size(50_000)) && !third.grow_to(size(50_001)));
        drop((first, second, third));
        assert!(budget.held().total == 0 && budget.held().addresses.is_empty());
    }
}
