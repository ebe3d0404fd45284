//! A budget that callers share, with a bound for each and one for all of them together.
//!
//! Callers whom nobody knows yet share by their [`Network`].
//!
//! A network gets a part of what the others leave, not of all: with a fixed part, say an eighth, eight networks would keep
//! everybody else out. (The dynamic thresholds of switches, which share a buffer among ports: Choudhury and Hahne, 1998.) So
//! each takes less than the one before, one that has nothing yet gets in as long as anything is left, and to use up 256
//! places, of which one alone gets 32, takes 31 networks.
//!
//! All networks of a site together get no more than half of what the others leave.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::rate_limit::Network;

/// An amount that is shared. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    share_divisor: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// By network, and by site.
    by_network: HashMap<Network, usize>,
}

/// A part of a [`Budget`], which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    network: Network,
    amount: usize,
}

impl Budget {
    /// A budget of `total`. A network may add to what it has as long as that is at most a `share_divisor`-th (of at least 1)
    /// of what the others leave: alone, it gets that part of all, and what it adds at once may go beyond it.
    pub(crate) fn new(total: usize, share_divisor: usize) -> Self {
        Self(Arc::new(Inner { total, share_divisor, state: Mutex::default() }))
    }

    /// Opens an empty reservation for a caller at an address.
    pub(crate) fn open(&self, address: std::net::IpAddr) -> Reservation {
        Reservation { budget: self.clone(), network: Network::of(address), amount: 0 }
    }

    /// Reserves one, unless the network has its share, or none is left.
    pub(crate) fn take(&self, address: std::net::IpAddr) -> Option<Reservation> {
        let mut reservation = self.open(address);
        reservation.add(1).then_some(reservation)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Reserves more; returns whether there was as much. If not, nothing changes.
    pub(crate) fn add(&mut self, more: usize) -> bool {
        let mut state = self.budget.lock();
        let used_by = |network: Network| state.by_network.get(&network).copied().unwrap_or_default();
        let (own, of_site) = (used_by(self.network), self.network.site().map_or(0, used_by));
        let rest = self.budget.0.total.checked_sub(state.used + more);
        let is_left = rest.is_some_and(|rest| own * (self.budget.0.share_divisor - 1) <= rest && of_site <= rest);
        if is_left {
            state.used += more;
            for network in self.network.with_site() {
                *state.by_network.entry(network).or_default() += more;
            }
            self.amount += more;
        }
        is_left
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut state = self.budget.lock();
        state.used -= self.amount;
        for network in self.network.with_site() {
            let Some(own) = state.by_network.get_mut(&network) else { continue };
            *own -= self.amount;
            if *own == 0 {
                state.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_network_keeps_only_itself_out_and_gives_back_what_it_had() {
        let budget = Budget::new(8, 2);
        let [one, same, other]: [IpAddr; 3] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        let mut first = budget.open(one);
        assert!(first.add(3));
        let second = budget.take(same).expect("the half of all");
        assert!(budget.take(one).is_none());
        let mut third = budget.open(other);
        assert!(!third.add(5), "all have four left");
        assert!(third.add(2));
        assert!(!third.add(1), "two are left for others");
        drop(second);
        assert!(third.add(1), "there is more left");
        drop((first, third));
        let state = budget.lock();
        assert_eq!((state.used, state.by_network.len()), (0, 0));
    }

    /// With a quarter for each, four would have all of it.
    #[test]
    fn networks_that_take_all_they_can_leave_something_for_newcomers() {
        let budget = Budget::new(256, 4);
        let mut all = Vec::new();
        let shares = (0..12_u8).map(|number| {
            let reservations = std::iter::from_fn(|| budget.take([192, 0, 2, number].into())).collect::<Vec<_>>();
            let share = reservations.len();
            all.extend(reservations);
            share
        });
        let shares: Vec<_> = shares.collect();
        assert_eq!(shares[..4], [64, 48, 36, 27]);
        assert!(shares.is_sorted_by(|more, less| more >= less) && shares[11] >= 2, "{shares:?}");
    }

    /// A subscriber of IPv6 has as many networks as it likes.
    #[test]
    fn the_networks_of_a_site_together_get_half() {
        let budget = Budget::new(256, 8);
        let in_network = |number: u16| IpAddr::from([0x2001, 0xdb8, 1, number, 0, 0, 0, 1]);
        let of_site: Vec<_> = (0..1000).filter_map(|number| budget.take(in_network(number))).collect();
        let others: Vec<_> = std::iter::from_fn(|| budget.take([192, 0, 2, 1_u8].into())).collect();
        assert_eq!((of_site.len(), others.len()), (128, 16), "an eighth of the other half is left for somebody else");
        drop((of_site, others));
        let state = budget.lock();
        assert_eq!((state.used, state.by_network.len()), (0, 0));
    }
}
