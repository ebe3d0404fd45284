//! What the callers of one network, and all of them, may have of something, before anybody knows who they are.
//!
//! A network is an IPv4 address, or the /64 of an IPv6 one, of which a subscriber has at least one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::rate_limit::network;

/// An amount that is shared by all networks. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    per_network: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    by_network: HashMap<Vec<u8>, usize>,
}

/// A part of a [`Budget`], which is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Spent {
    budget: Budget,
    network: Vec<u8>,
    amount: usize,
}

impl Budget {
    /// A budget of `total`, of which one network gets at most `per_network`.
    pub(super) fn new(total: usize, per_network: usize) -> Self {
        Self(Arc::new(Inner { total, per_network, state: Mutex::default() }))
    }

    /// Spends nothing yet, for a caller at an address.
    pub(super) fn open(&self, address: std::net::IpAddr) -> Spent {
        Spent { budget: self.clone(), network: network(address), amount: 0 }
    }

    /// Spends one, unless the network or all have none left.
    pub(super) fn take(&self, address: std::net::IpAddr) -> Option<Spent> {
        let mut spent = self.open(address);
        spent.add(1).then_some(spent)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    /// Spends more; returns whether there was as much. If not, nothing changes.
    pub(super) fn add(&mut self, more: usize) -> bool {
        let mut state = self.budget.lock();
        let own = state.by_network.get(&self.network).copied().unwrap_or_default();
        let is_left = state.used + more <= self.budget.0.total && own + more <= self.budget.0.per_network;
        if is_left {
            state.used += more;
            *state.by_network.entry(self.network.clone()).or_default() += more;
            self.amount += more;
        }
        is_left
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut state = self.budget.lock();
        state.used -= self.amount;
        if let Some(own) = state.by_network.get_mut(&self.network) {
            *own -= self.amount;
            if *own == 0 {
                state.by_network.remove(&self.network);
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
        assert_eq!((state.used, state.by_network.len()), (0, 0));
    }
}
