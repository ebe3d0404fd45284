//! The places of connections. A new connection takes the place of the connection that has been idle for longest.
//!
//! Connections that send nothing cost an attacker nothing, so they must not keep others out. One network has only a part of
//! the places, and the networks of a site together have twice as many, unless the peers are proxies, which all clients
//! share. hyper bounds the requests of a connection, but not the number of connections.

use std::{cmp::Reverse, collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    fair_share::{FairShare, Full, Rule, Share},
    http::exchange::Connection,
    rate_limit::Network,
};

/// The interval between two searches for an idle connection, while there is no place.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Places {
    shares: FairShare<Network, Arc<Connection>>,
    /// The connections that lost their places and are not closed yet, in the order in which they lost them.
    closing: Mutex<VecDeque<Arc<Connection>>>,
    max_closing: usize,
    draining: CancellationToken,
    freed: Notify,
}

#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    share: Share<Network, Arc<Connection>>,
    pub(super) connection: Arc<Connection>,
}

impl Places {
    /// Creates places for `total` connections, of which one network has at most `per_network`, and a site twice as many. In
    /// addition, up to a quarter as many connections that lost their places may still be closing at the pace of their
    /// peers; beyond that, one is cut off for each further one. All close after `draining` is cancelled.
    pub(super) fn new(total: usize, per_network: usize, draining: CancellationToken) -> Arc<Self> {
        let shares = FairShare::new(total, Rule::Fixed(per_network));
        let (closing, max_closing, freed) = (Mutex::default(), total.div_ceil(4), Notify::new());
        Arc::new(Self { shares, closing, max_closing, draining, freed })
    }

    /// Takes a place, if necessary that of an idle connection; waits while all connections are busy. Returns `None` if the
    /// network of the address, or its site, has its share and all of its connections are busy.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let peer = Network::of(address);
        loop {
            match self.try_take(peer) {
                Ok(place) => return Some(place),
                Err(Full::Key(_)) => {
                    counter!("mainstay_connections_closed_total", "reason" => "address").increment(1);
                    return None;
                }
                Err(Full::Total) => {}
            }
            tokio::time::timeout(LOOK_AGAIN, self.freed.notified()).await.ok();
        }
    }

    fn try_take(self: &Arc<Self>, peer: Network) -> Result<Place, Full<Network>> {
        let connection = Connection::new(self.draining.child_token());
        // Locked first, so that a connection that ends finds itself in one of both.
        let mut closing = self.closing.lock();
        let (share, evicted) =
            self.shares.take_over(peer, 1, connection.clone(), |_, _, (_, held)| held.holder.idle_since().map(Reverse));
        for idle in evicted {
            idle.holder.closing.cancel();
            counter!("mainstay_connections_closed_total", "reason" => "idle").increment(1);
            closing.push_back(idle.holder);
        }
        while closing.len() > self.max_closing {
            // A connection whose peer sent a request before it learned of the end is spared while there is another one.
            let idle = closing.iter().position(|connection| connection.idle_since().is_some());
            let Some(overdue) = closing.remove(idle.unwrap_or_default()) else { break };
            overdue.abort();
            counter!("mainstay_connections_closed_total", "reason" => "lingering").increment(1);
        }
        Ok(Place { places: self.clone(), share: share?, connection })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut closing = self.places.closing.lock();
        if self.share.release().is_none() {
            closing.retain(|connection| !Arc::ptr_eq(connection, &self.connection));
        }
        drop(closing);
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
    async fn the_longest_idle_connection_is_closed() {
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
        assert_eq!(places.shares.lock().used(), 3, "a place is given back once");
    }

    /// Takes a place, and runs the task of its connection, which ends only when it is aborted.
    async fn open(places: &Arc<Places>, last: u8) -> (Place, JoinHandle<()>) {
        let place = places.take(address(last)).await.expect("a place, or that of an idle one");
        let task = tokio::spawn(place.connection.clone().scope(std::future::pending()));
        place.connection.record_task(task.abort_handle());
        (place, task)
    }

    #[tokio::test]
    async fn few_connections_are_still_closing_and_they_block_no_other() {
        let places = Places::new(4, 2, CancellationToken::new());
        let mut all = Vec::new();
        for last in [1, 1, 1, 2, 3] {
            all.push(open(&places, last).await);
        }
        let state = async |all: &[(Place, JoinHandle<()>)], index: usize| {
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
        assert_eq!(state(&all, 2).await, (true, true), "another network has a place too");
        drop(request);
        let counts = || (places.shares.lock().used(), places.closing.lock().len());
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

    /// A subscriber of IPv6 may own all networks of a site.
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
        assert_eq!(places.shares.lock().used(), 0);
    }
}
