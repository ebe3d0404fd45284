//! The places for connections. A newcomer takes the place of whoever has been idle for longest.
//!
//! Connections that send nothing cost an attacker nothing, so they must not keep others out. One network gets only a
//! part of the places, and those of a site together twice as many, unless the peers are proxies, behind which everybody is.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{http::exchange::Connection, rate_limit::Network};

/// How often to look for a connection that has become idle, while there is no place.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    per_network: usize,
    per_site: usize,
    /// How many connections that lost their places may still be closing; the next one ends the first of them.
    max_closing: usize,
    draining: CancellationToken,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    /// The connections that lost their places and are not closed yet, in the order in which they lost them.
    closing: VecDeque<(u64, Arc<Connection>)>,
    /// By network, and by site.
    by_network: HashMap<Network, usize>,
    next: u64,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

impl Places {
    /// Makes places for `total` connections, of which one network gets at most `per_network`, and a site twice as many.
    /// Beside them, up to a quarter as many, which lost theirs, may still be closing at the pace of their peers; beyond
    /// that, one is cut off for each that follows. All close once `draining` is cancelled.
    pub(super) fn new(total: usize, per_network: usize, draining: CancellationToken) -> Arc<Self> {
        let (per_site, max_closing) = (per_network.saturating_mul(2), total.div_ceil(4));
        let (open, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { total, per_network, per_site, max_closing, draining, open, freed })
    }

    /// Takes a place, from an idle connection if need be; waits while all are busy. Returns `None` if the own places of
    /// the address's network, or of its site, are all busy.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let peer = Network::of(address);
        loop {
            if let Some(outcome) = self.try_take(peer) {
                return outcome;
            }
            tokio::time::timeout(LOOK_AGAIN, self.freed.notified()).await.ok();
        }
    }

    /// Returns `None` while there is no place for anybody.
    fn try_take(self: &Arc<Self>, peer: Network) -> Option<Option<Place>> {
        let mut open = self.lock();
        for (network, most) in peer.with_site().zip([self.per_network, self.per_site]) {
            let is_full = open.by_network.get(&network).is_some_and(|&own| own >= most);
            if is_full && !open.close_idle(Some(network), self.max_closing) {
                counter!("mainstay_connections_closed_total", "reason" => "address").increment(1);
                return Some(None);
            }
        }
        if open.connections.len() >= self.total && !open.close_idle(None, self.max_closing) {
            return None;
        }
        let connection = Connection::new(peer, self.draining.child_token());
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, connection.clone());
        for network in peer.with_site() {
            *open.by_network.entry(network).or_default() += 1;
        }
        Some(Some(Place { places: self.clone(), number, connection }))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection, of one network or site or of all, that has been idle for longest. Returns whether there was
    /// one. Cuts off one that has been closing for long if there are too many: peers that do not close must not keep
    /// everybody else out.
    fn close_idle(&mut self, of: Option<Network>, max_closing: usize) -> bool {
        let is_theirs = |connection: &Connection| of.is_none_or(|of| connection.peer.with_site().any(|own| own == of));
        let connections = self.connections.iter().filter(|(_, connection)| is_theirs(connection));
        let idle = connections.filter_map(|(&number, connection)| Some((connection.idle_since()?, number)));
        let Some((_, number)) = idle.min() else { return false };
        let Some(connection) = self.remove(number) else { return false };
        connection.closing.cancel();
        self.closing.push_back((number, connection));
        while self.closing.len() > max_closing {
            // One whose peer sent a request before it learned of the end is spared for as long as there is another.
            let idle = self.closing.iter().position(|(_, connection)| connection.idle_since().is_some());
            let Some((_, overdue)) = self.closing.remove(idle.unwrap_or_default()) else { break };
            overdue.abort();
            counter!("mainstay_connections_closed_total", "reason" => "lingering").increment(1);
        }
        counter!("mainstay_connections_closed_total", "reason" => "idle").increment(1);
        true
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Connection>> {
        let connection = self.connections.remove(&number)?;
        for network in connection.peer.with_site() {
            let Some(own) = self.by_network.get_mut(&network) else { continue };
            *own -= 1;
            if *own == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(connection)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        if open.remove(self.number).is_none() {
            open.closing.retain(|&(number, _)| number != self.number);
        }
        drop(open);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn whoever_is_idle_for_longest_goes() {
        let places = Places::new(3, 3, CancellationToken::new());
        let (busy, first, second) =
            (places.take(address(1)).await, places.take(address(2)).await, places.take(address(3)).await);
        let (busy, first, second) = (busy.expect("free"), first.expect("free"), second.expect("free"));
        let _request = busy.connection.enter();
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(first.connection.enter());
        let newcomer = places.take(address(4)).await.expect("a place");
        let states = [&busy, &first, &second, &newcomer].map(|place| place.connection.closing.is_cancelled());
        assert_eq!(states, [false, false, true, false]);
        drop(second);
        assert_eq!(places.lock().connections.len(), 3, "a place is given back once");
    }

    /// A place, and the task of its connection, which ends only when it is cut off.
    async fn open(places: &Arc<Places>, last: u8) -> (Place, JoinHandle<bool>) {
        let place = places.take(address(last)).await.expect("a place, or that of an idle one");
        let connection = place.connection.clone();
        (place, tokio::spawn(connection.run(std::future::pending())))
    }

    #[tokio::test]
    async fn few_are_still_closing_and_they_keep_nobody_out() {
        let places = Places::new(4, 2, CancellationToken::new());
        let mut all = Vec::new();
        for last in [1, 1, 1, 2, 3] {
            all.push(open(&places, last).await);
        }
        let state = async |all: &[(Place, JoinHandle<bool>)], index: usize| {
            tokio::task::yield_now().await;
            let (place, task) = &all[index];
            (place.connection.closing.is_cancelled(), task.is_finished())
        };
        assert_eq!(state(&all, 0).await, (true, false), "one may close at the pace of its peer");
        all.push(open(&places, 1).await);
        assert_eq!(state(&all, 0).await, (true, true), "the first one that was to close is cut off");
        assert_eq!(state(&all, 1).await, (true, false));
        let request = all[1].0.connection.enter();
        all.push(open(&places, 4).await);
        assert_eq!(state(&all, 1).await, (true, false), "its request goes on");
        assert_eq!(state(&all, 2).await, (true, true), "somebody else has a place too");
        drop(request);
        let counts = || {
            let state = places.lock();
            (state.connections.len(), state.closing.len())
        };
        assert_eq!(counts(), (4, 1));
        all.clear();
        assert_eq!(counts(), (0, 0));
    }

    #[tokio::test]
    async fn an_address_keeps_only_itself_out() {
        let places = Places::new(4, 2, CancellationToken::new());
        let own = [places.take(address(1)).await, places.take(address(1)).await].map(|place| place.expect("free"));
        let requests = own.each_ref().map(|place| place.connection.enter());
        assert!(places.take(address(1)).await.is_none(), "its places are busy");
        let _other = places.take(address(2)).await.expect("another address has a place");
        drop(requests);
        let _next = places.take(address(1)).await.expect("an idle one goes");
        assert_eq!(own.iter().filter(|place| place.connection.closing.is_cancelled()).count(), 1);
    }

    #[tokio::test]
    async fn a_newcomer_waits_while_all_are_busy() {
        let places = Places::new(1, 1, CancellationToken::new());
        let place = places.take(address(1)).await.expect("free");
        let request = place.connection.enter();
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take(address(2)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(request);
        assert!(waiting.await.expect("no panic").is_some());
    }

    /// A subscriber of IPv6 has as many networks as it likes.
    #[tokio::test]
    async fn the_networks_of_a_site_together_get_half() {
        let places = Places::new(8, 2, CancellationToken::new());
        let in_network = |number: u16| IpAddr::from([0x2001, 0xdb8, 1, number, 0, 0, 0, 1]);
        let mut own = Vec::new();
        for number in 0..4 {
            own.push(places.take(in_network(number)).await.expect("free"));
        }
        let requests: Vec<_> = own.iter().map(|place| place.connection.enter()).collect();
        assert!(places.take(in_network(4)).await.is_none(), "its places are busy");
        let other = places.take(address(1)).await.expect("another site has a place");
        drop(requests);
        let next = places.take(in_network(4)).await.expect("an idle one of the site goes");
        assert_eq!(own.iter().filter(|place| place.connection.closing.is_cancelled()).count(), 1);
        drop((own, other, next));
        assert!(places.lock().by_network.is_empty());
    }
}
