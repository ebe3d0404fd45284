//! The places for connections. A newcomer takes the place of whoever has been idle for longest.
//!
//! Connections that send nothing cost an attacker nothing, so they must not keep others out. One address gets only a
//! part of the places, unless the peers are proxies, behind which everybody is.

use std::{
    collections::HashMap,
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
    /// How many connections that lost their places may still be closing.
    max_closing: usize,
    draining: CancellationToken,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    /// The connections that lost their places, and are not closed yet.
    closing: usize,
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
    /// Makes places for `total` connections, of which one address gets at most `per_address`. Up to a quarter as many
    /// lost theirs and are closing, at the pace of their peers. All close once `draining` is cancelled.
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
    /// Closes the connection, of one peer or of all, that has been idle for longest. Returns whether there was one, and
    /// few enough are closing.
    fn close_idle(&mut self, peer: Option<IpAddr>, max_closing: usize) -> bool {
        if self.closing >= max_closing {
            return false;
        }
        let connections = self.connections.iter().filter(|(_, connection)| peer.is_none_or(|p| p == connection.peer));
        let idle = connections.filter_map(|(&number, connection)| Some((connection.idle_since()?, number)));
        let Some(connection) = idle.min().and_then(|(_, number)| self.remove(number)) else { return false };
        connection.closing.cancel();
        self.closing += 1;
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
            open.closing -= 1;
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

    #[tokio::test]
    async fn few_are_still_closing() {
        let places = Places::new(4, 2, CancellationToken::new());
        let mut open = Vec::new();
        for last in [1, 1, 1] {
            open.push(places.take(address(last)).await.expect("a place, or that of an idle one"));
        }
        assert!(places.take(address(1)).await.is_none(), "the one that is closing has not gone");
        for last in [2, 3] {
            open.push(places.take(address(last)).await.expect("free"));
        }
        let waits = tokio::time::timeout(LOOK_AGAIN * 4, places.take(address(4))).await;
        assert!(waits.is_err(), "nor does anybody else get the place of another one so soon");
        open.retain(|place| !place.connection.closing.is_cancelled());
        assert_eq!(open.len(), 4);
        places.take(address(4)).await.expect("a place, now that it has gone");
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
