//! The places of large responses: few in total, few of one requester and of its [group](Requester::group).
//!
//! When all places are taken, a request of a group that has fewer places than another group takes over a place: of the
//! group with the most, the place of the request that has waited for the shortest time. That request is rejected as if it
//! had come too late. The group that loses a place keeps at least as many as the other one has then, so no place changes
//! hands twice, and a group without a place is rejected only if no other group waits in a second place.

use std::{convert::Infallible, pin::pin};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::Requester;
use crate::fair_share::{FairShare, Full, Keys, Rule, Scope, Share};

impl Keys for Requester {
    type Key = Self;

    fn each(self) -> impl Iterator<Item = (Self, Scope)> {
        let group = Some(self.group()).filter(|group| *group != self).map(|group| (group, Scope::Group));
        std::iter::once((self, Scope::Own)).chain(group)
    }
}

/// Its end tells the request that waits in the place that another one has taken it over; `None` after the wait.
type Waiting = Option<oneshot::Sender<Infallible>>;

#[derive(Debug, Clone)]
pub(super) struct Places(FairShare<Requester, Waiting>);

/// A place, which is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    share: Share<Requester, Waiting>,
    taken_over: oneshot::Receiver<Infallible>,
}

impl Places {
    /// `total` places, of which one requester has at most `each`, and a group twice as many.
    pub(super) fn new(total: usize, each: usize) -> Self {
        Self(FairShare::new(total, Rule::Fixed(each)))
    }

    /// Takes a place for a requester; `None` if the requester or its group has its share, or if no place can be taken over.
    pub(super) fn take(&self, requester: Requester) -> Option<Place> {
        let (waiting, taken_over) = oneshot::channel();
        let (share, _) = self.0.take_over(requester, 1, Some(waiting), |ledger, full, (number, held)| {
            let [own, other] = [requester, held.keys].map(|one| ledger.used_by(one.group()));
            let may_lose_it = full == Full::Total && held.holder.is_some() && other > own + 1;
            may_lose_it.then_some((other, number))
        });
        Some(Place { share: share.ok()?, taken_over })
    }
}

impl Place {
    /// Waits in the place, after which no request can take the place over; `None` if one does before.
    pub(super) async fn wait<T>(&mut self, awaited: impl Future<Output = T>) -> Option<T> {
        let value = match select(pin!(awaited), &mut self.taken_over).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        };
        value.filter(|_| self.share.update(|waiting| *waiting = None))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn requester(number: u8) -> Requester {
        Requester::Principal(Uuid::from_u128(number.into()))
    }

    /// Takes places of one requester.
    fn take(places: &Places, number: u8, count: usize) -> Vec<Place> {
        (0..count).map(|_| places.take(requester(number)).expect("a place")).collect()
    }

    fn counts(places: &Places, numbers: impl IntoIterator<Item = u8>) -> Vec<usize> {
        numbers.into_iter().map(|number| places.0.lock().used_by(requester(number))).collect()
    }

    #[test]
    fn places_are_few_in_all_and_of_one_caller_and_are_free_again() {
        let places = Places::new(5, 3);
        let first = take(&places, 1, 3);
        assert!(places.take(requester(1)).is_none());
        let second = take(&places, 2, 2);
        assert!(places.take(requester(2)).is_none(), "the first one would have fewer");
        drop(first);
        assert_eq!(counts(&places, [1, 2]), [0, 2]);
        let third = take(&places, 2, 1);
        drop((second, third));
        assert_eq!(places.0.lock().used(), 0);
    }

    #[test]
    fn few_callers_block_no_other_and_take_no_place_back() {
        let places = Places::new(8, 4);
        let mut all: Vec<_> = [1, 2].into_iter().flat_map(|number| take(&places, number, 4)).collect();
        for number in 3..=8 {
            all.extend(places.take(requester(number)));
            assert_eq!(places.0.lock().used(), 8);
        }
        assert_eq!(counts(&places, 1..=8), [1; 8]);
        for number in 1..=9 {
            assert!(places.take(requester(number)).is_none(), "no requester has a second place");
        }
        drop(all);
        assert_eq!(places.0.lock().used(), 0);
    }

    #[test]
    fn the_last_place_of_the_largest_holder_is_taken_over_while_it_waits() {
        let places = Places::new(6, 4);
        let mut few = take(&places, 1, 2);
        let mut most = take(&places, 2, 4);
        let newcomer = places.take(requester(3)).expect("a place");
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
        let other = places.take(requester(4)).expect("the second place of the first caller");
        assert_eq!(few.iter_mut().map(is_taken_over).collect::<Vec<_>>(), [false, true]);
        assert!(places.take(requester(5)).is_none(), "no requester waits in a second place");
        drop((newcomer, other));
        assert_eq!(counts(&places, 1..=4), [1, 3, 0, 0]);
    }
}
