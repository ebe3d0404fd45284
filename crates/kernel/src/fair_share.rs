//! Divides a total of places or bytes among principals, networks or connections.
//!
//! [`FairShare`] is the only counter of load control: connections, late request bodies, streams without a deadline, watches,
//! large responses, the memory of requests, the memory of unread responses, and the disk space of uploads. Each use has
//! its total, its [`Rule`], and its [`Keys`]. A part that exceeds the total or the share of a key is rejected, or takes the
//! place of other holders: [`FairShare::take_over`].
//!
//! [`Rule::OfRest`] divides among unauthenticated callers. A fixed part, say an eighth, would let eight networks reject all
//! others. With a part of what the others leave, each network gets less than the one before, a new network is admitted as
//! long as anything is left, and 31 networks are needed to use up 256 places of which one network alone gets 32. (The
//! dynamic thresholds of switches: Choudhury and Hahne, 1998.) A subscriber of IPv6 may own all networks of a site, so a
//! site has a share, too.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::rate_limit::Network;

/// The keys that a holder counts against.
pub(crate) trait Keys: Copy + Debug + Send + 'static {
    /// A principal, a network, a connection.
    type Key: Copy + Eq + Hash + Debug + Send;

    /// Returns the keys, each with its scope.
    fn each(self) -> impl Iterator<Item = (Self::Key, Scope)>;
}

/// The bound of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The share of one key.
    Own,
    /// The share of a group of keys, which is larger.
    Group,
    /// The key is counted without a bound.
    Counted,
}

/// The share of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// At most this amount; a group has at most twice as much.
    Fixed(usize),
    /// A key may add to its amount while that is at most this part (a divisor of at least 1) of what the others leave; a
    /// group, half. One addition may exceed it.
    OfRest(usize),
}

/// The bound that rejects a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full<K> {
    /// The total.
    Total,
    /// The share of this key.
    Key(K),
}

/// A total that is divided. Cheap to clone.
#[derive(Debug)]
pub(crate) struct FairShare<K: Keys, H = ()>(Arc<Mutex<Ledger<K, H>>>);

/// The holders and the sums of their amounts.
#[derive(Debug)]
pub(crate) struct Ledger<K: Keys, H = ()> {
    total: usize,
    rule: Rule,
    used: usize,
    by_key: HashMap<K::Key, usize>,
    held: HashMap<u64, Held<K, H>>,
    next: u64,
}

/// A holder of a part.
#[derive(Debug)]
pub(crate) struct Held<K, H> {
    pub(crate) keys: K,
    pub(crate) amount: usize,
    pub(crate) holder: H,
}

/// A part, which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Keys, H = ()> {
    of: FairShare<K, H>,
    number: u64,
    is_released: bool,
}

/// A part, or the bound that rejected it.
pub(crate) type Taken<K, H> = Result<Share<K, H>, Full<<K as Keys>::Key>>;

impl<K: Keys, H> Clone for FairShare<K, H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Keys, H> FairShare<K, H> {
    /// Divides `total` by a rule.
    pub(crate) fn new(total: usize, rule: Rule) -> Self {
        let (by_key, held) = (HashMap::new(), HashMap::new());
        Self(Arc::new(Mutex::new(Ledger { total, rule, used: 0, by_key, held, next: 0 })))
    }

    /// Takes a part.
    /// Errors: the bound that it would exceed.
    pub(crate) fn take(&self, keys: K, amount: usize) -> Taken<K, H>
    where
        H: Default,
    {
        self.take_over(keys, amount, H::default(), |_, _, _| None::<()>).0
    }

    /// Takes a part; while it would exceed a bound, evicts the holder of the highest rank. Candidates hold something of what
    /// is exceeded, and `rank` returns `None` for a holder that stays. Also returns the evicted holders if the room does
    /// not suffice.
    pub(crate) fn take_over<R: Ord>(
        &self,
        keys: K,
        amount: usize,
        holder: H,
        rank: impl Fn(&Ledger<K, H>, Full<K::Key>, (u64, &Held<K, H>)) -> Option<R>,
    ) -> (Taken<K, H>, Vec<Held<K, H>>) {
        let mut ledger = self.lock();
        let mut evicted = Vec::new();
        while let Err(full) = ledger.check(keys, amount) {
            let concerns = |held: &Held<K, H>| match full {
                Full::Total => held.amount > 0,
                Full::Key(key) => held.amount > 0 && held.keys.each().any(|(own, _)| own == key),
            };
            let rank = |number, held: &_| if concerns(held) { rank(&ledger, full, (number, held)) } else { None };
            let Some(number) = ledger.highest(rank) else { return (Err(full), evicted) };
            evicted.extend(ledger.remove(number));
        }
        let number = ledger.insert(keys, amount, holder);
        (Ok(Share { of: self.clone(), number, is_released: false }), evicted)
    }

    /// Counts an amount that no bound rejects.
    pub(crate) fn count(&self, keys: K, amount: usize, holder: H) -> Share<K, H> {
        let number = self.lock().insert(keys, amount, holder);
        Share { of: self.clone(), number, is_released: false }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger<K, H>> {
        self.0.lock()
    }
}

impl<K: Keys, H> Ledger<K, H> {
    /// Returns the sum of all amounts.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Returns the sum of the amounts of a key.
    pub(crate) fn used_by(&self, key: K::Key) -> usize {
        self.by_key.get(&key).copied().unwrap_or_default()
    }

    /// Returns the holders with their numbers. A later holder has a higher number.
    pub(crate) fn held(&self) -> impl ExactSizeIterator<Item = (u64, &Held<K, H>)> {
        self.held.iter().map(|(&number, held)| (number, held))
    }

    /// Checks whether more fits.
    /// Errors: the bound that is exceeded, that of a key first.
    pub(crate) fn check(&self, keys: K, more: usize) -> Result<(), Full<K::Key>> {
        let rest = self.total.checked_sub(self.used.saturating_add(more));
        let has_share = |(key, scope)| {
            let own = self.used_by(key);
            match (self.rule, scope) {
                (_, Scope::Counted) => true,
                (Rule::Fixed(most), Scope::Own) => own + more <= most,
                (Rule::Fixed(most), Scope::Group) => own + more <= most.saturating_mul(2),
                (Rule::OfRest(divisor), Scope::Own) => own * (divisor - 1) <= rest.unwrap_or_default(),
                (Rule::OfRest(_), Scope::Group) => own <= rest.unwrap_or_default(),
            }
        };
        match keys.each().find(|&key| !has_share(key)) {
            Some((key, _)) => Err(Full::Key(key)),
            None => rest.map(drop).ok_or(Full::Total),
        }
    }

    /// Removes the holder of the highest rank.
    pub(crate) fn evict<R: Ord>(&mut self, rank: impl Fn(u64, &Held<K, H>) -> Option<R>) -> Option<Held<K, H>> {
        self.remove(self.highest(rank)?)
    }

    fn highest<R: Ord>(&self, rank: impl Fn(u64, &Held<K, H>) -> Option<R>) -> Option<u64> {
        let ranked = self.held().filter_map(|(number, held)| Some((rank(number, held)?, number)));
        ranked.max().map(|(_, number)| number)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Held<K, H>> {
        let held = self.held.remove(&number)?;
        self.change(held.keys, held.amount, 0);
        Some(held)
    }

    /// Changes the amount of a holder; no bound rejects it.
    pub(crate) fn resize(&mut self, number: u64, amount: usize) {
        let Some(held) = self.held.get_mut(&number) else { return };
        let (keys, before) = (held.keys, std::mem::replace(&mut held.amount, amount));
        self.change(keys, before, amount);
    }

    fn insert(&mut self, keys: K, amount: usize, holder: H) -> u64 {
        let number = self.next;
        self.next += 1;
        self.change(keys, 0, amount);
        self.held.insert(number, Held { keys, amount, holder });
        number
    }

    fn change(&mut self, keys: K, before: usize, after: usize) {
        if before == after {
            return;
        }
        self.used = self.used - before + after;
        for (key, _) in keys.each() {
            let own = self.by_key.entry(key).or_default();
            *own = *own - before + after;
            if *own == 0 {
                self.by_key.remove(&key);
            }
        }
    }
}

impl<K: Keys, H> Share<K, H> {
    /// Adds to the part.
    /// Errors: the bound that it would exceed; the part is unchanged.
    pub(crate) fn add(&self, more: usize) -> Result<(), Full<K::Key>> {
        let mut ledger = self.of.lock();
        let Some((keys, amount)) = ledger.held.get(&self.number).map(|held| (held.keys, held.amount)) else {
            return Err(Full::Total);
        };
        ledger.check(keys, more)?;
        ledger.resize(self.number, amount + more);
        Ok(())
    }

    /// Returns the amount; `None` if the holder was evicted.
    pub(crate) fn amount(&self) -> Option<usize> {
        self.of.lock().held.get(&self.number).map(|held| held.amount)
    }

    /// Changes the holder. Returns whether it was not evicted.
    pub(crate) fn update(&self, update: impl FnOnce(&mut H)) -> bool {
        self.of.lock().held.get_mut(&self.number).map(|held| update(&mut held.holder)).is_some()
    }

    /// Gives the part back before the drop. Returns the amount; `None` if the holder was evicted.
    pub(crate) fn release(&mut self) -> Option<usize> {
        self.is_released = true;
        // The holder is dropped after the lock.
        let held = self.of.lock().remove(self.number);
        held.map(|held| held.amount)
    }
}

impl<K: Keys, H> Drop for Share<K, H> {
    fn drop(&mut self) {
        if !self.is_released {
            self.release();
        }
    }
}

impl Keys for Network {
    type Key = Self;

    fn each(self) -> impl Iterator<Item = (Self, Scope)> {
        self.with_site().zip([Scope::Own, Scope::Group])
    }
}

impl Keys for Uuid {
    type Key = Self;

    fn each(self) -> impl Iterator<Item = (Self, Scope)> {
        std::iter::once((self, Scope::Own))
    }
}
