//! A budget that callers share, with a bound for each and one for all of them together.
//!
//! Callers whom nobody knows yet share by their network: an IPv4 address, or the /64 of an IPv6 one, of which a
//! subscriber has at least one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::rate_limit::network;

/// An amount that is shared. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    each: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    by_key: HashMap<Vec<u8>, usize>,
}

/// A part of a [`Budget`], which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    key: Vec<u8>,
    amount: usize,
}

impl Budget {
    /// A budget of `total`, of which each that shares it gets at most `each`.
    pub(crate) fn new(total: usize, each: usize) -> Self {
        Self(Arc::new(Inner { total, each, state: Mutex::default() }))
    }

    /// Opens an empty reservation for a caller at an address.
    pub(crate) fn open(&self, address: std::net::IpAddr) -> Reservation {
        Reservation { budget: self.clone(), key: network(address), amount: 0 }
    }

    /// Reserves one, unless the network or all have none left.
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
        let own = state.by_key.get(&self.key).copied().unwrap_or_default();
        let is_left = state.used + more <= self.budget.0.total && own + more <= self.budget.0.each;
        if is_left {
            state.used += more;
            *state.by_key.entry(self.key.clone()).or_default() += more;
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
        if let Some(own) = state.by_key.get_mut(&self.key) {
            *own -= self.amount;
            if *own == 0 {
                state.by_key.remove(&self.key);
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
        let budget = Budget::new(5, 3);
        let [one, same, other]: [IpAddr; 3] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        let mut first = budget.open(one);
        assert!(first.add(2));
        assert!(!first.add(2), "the network has one left");
        let second = budget.take(same).expect("one");
        assert!(budget.take(one).is_none());
        let mut third = budget.open(other);
        assert!(!third.add(3), "all have two left");
        assert!(third.add(2));
        drop(second);
        assert!(first.add(1));
        drop((first, third));
        let state = budget.lock();
        assert_eq!((state.used, state.by_key.len()), (0, 0));
    }
}
