//! Wrong credentials, by the address that sent them.
//!
//! An address may guess a thousand times in a row, and ten times a second after that. Beyond this limit its posts are
//! refused before their bodies are read, so that a guess costs nothing and a right one is not distinguishable. An
//! address from which a client has posted before is exempt from that: there the credentials are still compared, so a
//! known client is not harmed by a neighbor behind the same address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Time that one wrong guess costs.
const COST: Duration = Duration::from_millis(100);
/// Time that may be owed: a thousand guesses.
const MAX_OWED: Duration = Duration::from_secs(100);
/// Maximum addresses to remember, of each kind.
const ADDRESSES: usize = 10_000;

#[derive(Default)]
pub(crate) struct Attempts(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The time at which the guesses of an address are forgiven.
    owing: HashMap<IpAddr, Instant>,
    /// The addresses of known clients, with the time of their last post.
    known: HashMap<IpAddr, Instant>,
}

impl Attempts {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if posts from `address` are refused unread.
    pub(crate) fn refuses(&self, address: IpAddr) -> bool {
        let seen = self.seen();
        seen.owes_too_much(address) && !seen.known.contains_key(&address)
    }

    /// Counts a wrong guess; returns true if it was one too many.
    pub(crate) fn failed(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut seen = self.seen();
        let was_too_many = seen.owes_too_much(address);
        make_room(&mut seen.owing, address, |until| *until <= now);
        let until = seen.owing.entry(address).or_insert(now);
        *until = ((*until).max(now) + COST).min(now + MAX_OWED + COST);
        was_too_many
    }

    /// A client has posted from `address`.
    pub(crate) fn succeeded(&self, address: IpAddr) {
        let now = Instant::now();
        let mut seen = self.seen();
        make_room(&mut seen.known, address, |last| now.duration_since(*last) > Duration::from_hours(24));
        seen.known.insert(address, now);
    }
}

impl Seen {
    fn owes_too_much(&self, address: IpAddr) -> bool {
        self.owing.get(&address).is_some_and(|until| *until > Instant::now() + MAX_OWED)
    }
}

/// Forgets entries until `address` has room: those that are `stale`, or else the one that is next to be.
fn make_room(entries: &mut HashMap<IpAddr, Instant>, address: IpAddr, stale: impl Fn(&Instant) -> bool) {
    if entries.len() < ADDRESSES || entries.contains_key(&address) {
        return;
    }
    entries.retain(|_, at| !stale(at));
    if entries.len() >= ADDRESSES
        && let Some(first) = entries.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address)
    {
        entries.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_guesses_are_free_and_ten_a_second_after_that() {
        let attempts = Attempts::default();
        for guess in 0..=1_000 {
            assert!(!attempts.refuses(from(1)), "{guess}");
            assert!(!attempts.failed(from(1)));
        }
        assert!(attempts.refuses(from(1)) && attempts.failed(from(1)) && !attempts.refuses(from(2)));
        tokio::time::advance(Duration::from_millis(101)).await;
        assert!(!attempts.refuses(from(1)) && !attempts.failed(from(1)) && attempts.refuses(from(1)));
        attempts.succeeded(from(1));
        assert!(!attempts.refuses(from(1)) && attempts.failed(from(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_addresses_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 100 {
            attempts.failed(from(number));
            attempts.succeeded(from(number));
        }
        let seen = attempts.seen();
        assert_eq!((seen.owing.len(), seen.known.len()), (ADDRESSES, ADDRESSES));
    }
}
