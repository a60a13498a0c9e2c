//! The places of connections: at most a number in all, and at most a number for each address.
//!
//! A place is lent to a stranger: if a new connection finds none, the oldest connection of an unknown client has to go,
//! of the same address if that address has its share, else of any address. A connection of a known client keeps its
//! place. So strangers can only displace each other, and a new client always gets in, whatever they hold.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::{
    address::{Network, counted},
    metrics::{Closed, ListenerMetrics},
};

/// The limits on the connections of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum connections at once.
    pub connections: usize,
    /// Maximum connections at once from one address.
    pub connections_per_address: usize,
    /// The networks of proxies: each of their addresses stands for many clients and has no limit of its own.
    pub proxies: Vec<Network>,
}

pub(crate) struct Places {
    limits: Limits,
    held: Mutex<Held>,
    pub(crate) metrics: ListenerMetrics,
}

#[derive(Default)]
struct Held {
    next: u64,
    /// The address of each connection, by its number; numbers ascend with time.
    open: HashMap<u64, IpAddr>,
    /// The connections of unknown clients, with the token that closes each.
    strangers: BTreeMap<u64, CancellationToken>,
    addresses: HashMap<IpAddr, Share>,
}

#[derive(Default)]
struct Share {
    places: usize,
    strangers: BTreeSet<u64>,
}

impl Held {
    fn becomes_known(&mut self, number: u64) {
        self.strangers.remove(&number);
        if let Some(share) = self.open.get(&number).and_then(|address| self.addresses.get_mut(address)) {
            share.strangers.remove(&number);
        }
    }

    fn give_back(&mut self, number: u64) -> Option<CancellationToken> {
        let address = self.open.remove(&number)?;
        if let Some(share) = self.addresses.get_mut(&address) {
            share.places -= 1;
            share.strangers.remove(&number);
            if share.places == 0 {
                self.addresses.remove(&address);
            }
        }
        self.strangers.remove(&number)
    }

    /// Closes the oldest connection of an unknown client, of `address` if one is given.
    fn displace(&mut self, address: Option<IpAddr>) -> bool {
        let oldest = match address {
            Some(address) => self.addresses.get(&address).and_then(|share| share.strangers.first()),
            None => self.strangers.keys().next(),
        };
        let Some(number) = oldest.copied() else { return false };
        self.give_back(number).inspect(CancellationToken::cancel).is_some()
    }
}

impl Places {
    pub(crate) fn new(limits: Limits, metrics: ListenerMetrics) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default(), metrics })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `peer`; `None` if all places that it could take are held by known clients.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Peer> {
        let is_proxy = self.limits.proxies.iter().any(|network| network.contains(peer));
        let address = counted(peer);
        let mut held = self.held();
        let own = held.addresses.get(&address).map_or(0, |share| share.places);
        let is_over_share = !is_proxy && own >= self.limits.connections_per_address;
        let is_full = held.open.len() >= self.limits.connections;
        if is_over_share || is_full {
            if !held.displace(is_over_share.then_some(address)) {
                drop(held);
                self.metrics.closed(Closed::Full);
                return None;
            }
            self.metrics.closed(Closed::Displaced);
        }
        let number = held.next;
        held.next += 1;
        let displaced = CancellationToken::new();
        held.open.insert(number, address);
        held.strangers.insert(number, displaced.clone());
        let share = held.addresses.entry(address).or_default();
        share.places += 1;
        share.strangers.insert(number);
        drop(held);
        self.metrics.open.inc();
        let place = Place { places: self.clone(), number, displaced, known: AtomicBool::new(false) };
        Some(Peer { address: peer.to_canonical(), is_proxy, place: Arc::new(place) })
    }
}

/// The other end of a connection. Clones are the same.
#[derive(Clone)]
pub struct Peer {
    address: IpAddr,
    is_proxy: bool,
    place: Arc<Place>,
}

struct Place {
    places: Arc<Places>,
    number: u64,
    displaced: CancellationToken,
    known: AtomicBool,
}

impl Peer {
    /// Its address; of a proxy, if one is in between.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns true if its address belongs to [`Limits::proxies`].
    pub fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// Returns true after a known client has sent a request on this connection.
    pub fn is_known(&self) -> bool {
        self.place.known.load(Ordering::Relaxed)
    }

    /// A known client has sent a request on this connection: from now on the connection keeps its place.
    pub fn becomes_known(&self) {
        if !self.place.known.swap(true, Ordering::Relaxed) {
            self.place.places.held().becomes_known(self.place.number);
        }
    }

    /// Completes when the place of this connection was given to another one.
    pub(crate) async fn is_displaced(&self) {
        self.place.displaced.cancelled().await;
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A displaced connection has given its place back already.
        self.places.held().give_back(self.number);
        self.places.metrics.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, connections_per_address: usize) -> Arc<Places> {
        let proxies = vec!["10.0.0.9".parse().unwrap()];
        Places::new(Limits { connections, connections_per_address, proxies }, ListenerMetrics::default())
    }

    fn from(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn displaced(peers: &[&Peer]) -> Vec<bool> {
        peers.iter().map(|peer| peer.place.displaced.is_cancelled()).collect()
    }

    #[test]
    fn a_stranger_displaces_the_oldest_stranger_of_its_address() {
        let places = places(10, 2);
        let (other, first, second) = (places.take(from(1)), places.take(from(2)), places.take(from(2)));
        let [other, first, second] = [other, first, second].map(Option::unwrap);
        let third = places.take(from(2)).unwrap();
        assert_eq!(displaced(&[&other, &first, &second, &third]), [false, true, false, false]);
        drop(first);
        let fourth = places.take(from(2)).unwrap();
        assert_eq!(displaced(&[&other, &second, &third, &fourth]), [false, true, false, false]);
        assert_eq!(places.metrics.count(Closed::Displaced), 2);
        drop((other, second, third, fourth));
        assert_eq!(places.metrics.open.get(), 0);
        assert!(places.held().addresses.is_empty() && places.held().strangers.is_empty());
    }

    #[test]
    fn a_known_client_keeps_its_place() {
        let places = places(3, 2);
        let known = places.take(from(1)).unwrap();
        known.becomes_known();
        let stranger = places.take(from(1)).unwrap();
        let next = places.take(from(1)).unwrap();
        assert_eq!(displaced(&[&known, &stranger, &next]), [false, true, false]);
        next.becomes_known();
        assert!(places.take(from(1)).is_none());
        let other = places.take(from(2)).unwrap();
        assert!(places.take(from(3)).is_some_and(|_| displaced(&[&other]) == [true]));
        assert_eq!(places.metrics.count(Closed::Full), 1);
    }

    #[test]
    fn a_full_listener_displaces_the_oldest_stranger_of_all_addresses() {
        let places = places(2, 2);
        let (first, second) = (places.take(from(1)).unwrap(), places.take(from(2)).unwrap());
        let third = places.take(from(3)).unwrap();
        assert_eq!(displaced(&[&first, &second, &third]), [true, false, false]);
    }

    #[test]
    fn a_proxy_has_no_share() {
        let places = places(10, 2);
        let peers: Vec<Peer> = (0..5).map(|_| places.take(from(9)).unwrap()).collect();
        assert!(displaced(&peers.iter().collect::<Vec<_>>()).iter().all(|displaced| !displaced));
        assert!(peers[0].is_proxy());
    }
}
