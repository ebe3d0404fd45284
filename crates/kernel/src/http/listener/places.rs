//! The places for connections. A newcomer takes the place of whoever has been idle for longest.
//!
//! Connections that send nothing cost an attacker nothing, so they must not keep others out. One address gets only a
//! part of the places, unless the peers are proxies, behind which everybody is.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::http::exchange::Connection;

/// How often to look for a connection that has become idle, while there is no place.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    per_address: usize,
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
    by_peer: HashMap<IpAddr, usize>,
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
    /// Makes places for `total` connections, of which one address gets at most `per_address`. Beside them, up to a
    /// quarter as many, which lost theirs, may still be closing at the pace of their peers; beyond that, one is cut off
    /// for each that follows. All close once `draining` is cancelled.
    pub(super) fn new(total: usize, per_address: usize, draining: CancellationToken) -> Arc<Self> {
        let max_closing = total.div_ceil(4);
        Arc::new(Self { total, per_address, max_closing, draining, open: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a place, from an idle connection if need be; waits while all are busy. Returns `None` if the address's own
    /// places are all busy.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let peer = network(address);
        loop {
            if let Some(outcome) = self.try_take(peer) {
                return outcome;
            }
            tokio::time::timeout(LOOK_AGAIN, self.freed.notified()).await.ok();
        }
    }

    /// Returns `None` while there is no place for anybody.
    fn try_take(self: &Arc<Self>, peer: IpAddr) -> Option<Option<Place>> {
        let mut open = self.lock();
        if open.by_peer.get(&peer).is_some_and(|&own| own >= self.per_address)
            && !open.close_idle(Some(peer), self.max_closing)
        {
            counter!("mainstay_connections_closed_total", "reason" => "address").increment(1);
            return Some(None);
        }
        if open.connections.len() >= self.total && !open.close_idle(None, self.max_closing) {
            return None;
        }
        let connection = Connection::new(peer, self.draining.child_token());
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, connection.clone());
        *open.by_peer.entry(peer).or_default() += 1;
        Some(Some(Place { places: self.clone(), number, connection }))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection, of one peer or of all, that has been idle for longest. Returns whether there was one. Cuts
    /// off one that has been closing for long if there are too many: peers that do not close must not keep everybody
    /// else out.
    fn close_idle(&mut self, peer: Option<IpAddr>, max_closing: usize) -> bool {
        let connections = self.connections.iter().filter(|(_, connection)| peer.is_none_or(|p| p == connection.peer));
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
        if let Some(own) = self.by_peer.get_mut(&connection.peer) {
            *own -= 1;
            if *own == 0 {
                self.by_peer.remove(&connection.peer);
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

/// An IPv6 subscriber has a /64 at least (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
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
        let closed = [&busy, &first, &second, &newcomer].map(|place| place.connection.closing.is_cancelled());
        assert_eq!(closed, [false, false, true, false]);
        drop(second);
        assert_eq!(places.lock().connections.len(), 3, "a place is given back once");
    }

    /// A place, and the task of its connection, which ends only when it is cut off.
    async fn open(places: &Arc<Places>, last: u8) -> (Place, JoinHandle<bool>) {
        let place = places.take(address(last)).await.expect("a place, or that of an idle one");
        let connection = place.connection.clone();
        (place, tokio::spawn(async move { connection.run(std::future::pending()).await }))
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

    #[test]
    fn a_subscriber_is_one_address() {
        let parse = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), address(1));
    }
}
