//! The places of large responses: few in all, few of one caller and of its [group](Requester::group), and none to spare for
//! whoever has the most.
//!
//! Where all places are taken, a group that has fewer than another one takes over a place: of the group with the most, the
//! one that has waited for the shortest time, whose response is then refused as if it had come too late. It does so only if
//! the other one keeps at least as many, so nobody takes a place back, and a group without any is refused only where
//! nobody waits in a second place.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::Requester;

/// The places. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    each: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they took their places; so few that a search is cheap.
    occupants: Vec<Occupant>,
    next_number: u64,
}

#[derive(Debug)]
struct Occupant {
    number: u64,
    caller: Requester,
    /// Whoever waits in the place learns by its end that somebody has taken it over; `None` if nobody waits any more.
    waiting: Option<oneshot::Sender<Infallible>>,
}

/// A place, which is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    taken_over: oneshot::Receiver<Infallible>,
}

impl Places {
    /// `total` places, of which one caller has at most `each`, and a group twice as many.
    pub(super) fn new(total: usize, each: usize) -> Self {
        Self(Arc::new(Inner { total, each, state: Mutex::default() }))
    }

    /// Takes a place for a caller, unless it or its group has all that it may have, or all are taken and nobody has more to
    /// spare.
    pub(super) fn take(&self, caller: Requester) -> Option<Place> {
        let mut state = self.lock();
        let own = state.occupants.iter().filter(|occupant| occupant.caller == caller).count();
        let of_group = state.count(caller.group());
        if own >= self.0.each || of_group >= 2 * self.0.each {
            return None;
        }
        if state.occupants.len() >= self.0.total {
            let spare = state.find_spare(of_group + 1)?;
            state.occupants.remove(spare);
        }
        let (waiting, taken_over) = oneshot::channel();
        let number = state.next_number;
        state.next_number += 1;
        state.occupants.push(Occupant { number, caller, waiting: Some(waiting) });
        Some(Place { places: self.clone(), number, taken_over })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&self, group: Requester) -> usize {
        self.occupants.iter().filter(|occupant| occupant.caller.group() == group).count()
    }

    /// Finds the last place in which the group with the most places waits, if it has more than `fair`.
    fn find_spare(&self, fair: usize) -> Option<usize> {
        let waiting = self.occupants.iter().enumerate().filter(|(_, occupant)| occupant.waiting.is_some());
        let by_count = waiting.map(|(index, occupant)| (self.count(occupant.caller.group()), index));
        by_count.max().filter(|(count, _)| *count > fair).map(|(_, index)| index)
    }
}

impl Place {
    /// Waits in the place for something, after which nobody can take the place over; `None` if somebody does before.
    pub(super) async fn wait<T>(&mut self, awaited: impl Future<Output = T>) -> Option<T> {
        let value = match select(pin!(awaited), &mut self.taken_over).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        };
        value.filter(|_| self.keep())
    }

    /// Has nobody take the place over any more; returns whether nobody has.
    fn keep(&self) -> bool {
        let mut state = self.places.lock();
        let Some(occupant) = state.occupants.iter_mut().find(|occupant| occupant.number == self.number) else {
            return false;
        };
        occupant.waiting = None;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().occupants.retain(|occupant| occupant.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn caller(number: u8) -> Requester {
        Requester::Principal(Uuid::from_u128(number.into()))
    }

    /// As many places of one caller.
    fn take(places: &Places, number: u8, count: usize) -> Vec<Place> {
        (0..count).map(|_| places.take(caller(number)).expect("a place")).collect()
    }

    fn counts(places: &Places, numbers: impl IntoIterator<Item = u8>) -> Vec<usize> {
        numbers.into_iter().map(|number| places.lock().count(caller(number))).collect()
    }

    #[test]
    fn places_are_few_in_all_and_of_one_caller_and_are_free_again() {
        let places = Places::new(5, 3);
        let first = take(&places, 1, 3);
        assert!(places.take(caller(1)).is_none());
        let second = take(&places, 2, 2);
        assert!(places.take(caller(2)).is_none(), "the first one would have fewer");
        drop(first);
        assert_eq!(counts(&places, [1, 2]), [0, 2]);
        let third = take(&places, 2, 1);
        drop((second, third));
        assert!(places.lock().occupants.is_empty());
    }

    #[test]
    fn few_callers_keep_nobody_out_and_nobody_takes_a_place_back() {
        let places = Places::new(8, 4);
        let mut all: Vec<_> = [1, 2].into_iter().flat_map(|number| take(&places, number, 4)).collect();
        for number in 3..=8 {
            all.extend(places.take(caller(number)));
            assert_eq!(places.lock().occupants.len(), 8);
        }
        assert_eq!(counts(&places, 1..=8), [1; 8]);
        for number in 1..=9 {
            assert!(places.take(caller(number)).is_none(), "nobody has a second place");
        }
        drop(all);
        assert!(places.lock().occupants.is_empty());
    }

    #[test]
    fn the_last_place_of_whoever_has_the_most_is_taken_over_while_it_waits() {
        let places = Places::new(6, 4);
        let mut few = take(&places, 1, 2);
        let mut most = take(&places, 2, 4);
        let newcomer = places.take(caller(3)).expect("a place");
        let is_taken_over = |place: &mut Place| place.wait(std::future::pending::<()>()).now_or_never() == Some(None);
        assert_eq!(
            few.iter_mut().chain(&mut most).map(is_taken_over).collect::<Vec<_>>(),
            [false, false, false, false, false, true]
        );
        assert_eq!(most[3].wait(std::future::ready(())).now_or_never(), Some(None), "it came too late");
        // What has begun goes on.
        most.truncate(3);
        for place in &mut most {
            assert_eq!(place.wait(std::future::ready(())).now_or_never(), Some(Some(())));
        }
        let other = places.take(caller(4)).expect("the second place of the first caller");
        assert_eq!(few.iter_mut().map(is_taken_over).collect::<Vec<_>>(), [false, true]);
        assert!(places.take(caller(5)).is_none(), "nobody waits in a second place");
        drop((newcomer, other));
        assert_eq!(counts(&places, 1..=4), [1, 3, 0, 0]);
    }
}
