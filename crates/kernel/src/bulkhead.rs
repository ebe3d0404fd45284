//! A bulkhead around large responses: few are made at once.
//!
//! To read, encode and transcode megabytes takes a processor, here and in Postgres, for many milliseconds. Made all at
//! once, such responses leave none for the small ones of everybody else, and each keeps its rows, its message and its
//! document meanwhile. So a list that is likely to be large waits for a slot before it needs a connection, and keeps it
//! until its response is complete. The deadline of the request bounds the wait.
//!
//! How large a list is shows only once it was read. So it is estimated, from how many rows are asked for, and how large
//! those of the requester were lately ([`rows`]). What is likely to be small neither waits nor counts.
//!
//! [`rows`]: self::rows

mod places;
mod rows;

use std::{num::NonZero, sync::Arc, time::Duration};

use metrics::counter;
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    error::{Error, Reason, Result},
    rate_limit::Network,
};
use places::{Place, Places};
use rows::RowSizes;

/// From how many bytes on a message is large: it is decoded, encoded and transcoded in about a millisecond.
const LARGE: usize = 256 << 10;
/// The large responses that are made or wait at once, beyond which they are refused: a quarter of the requests that may
/// always run at once, so that those which wait here leave enough turns to run to the others.
const MAX_ENTERED: usize = 32;
/// Those of one requester; a group has twice as many.
const MAX_OF_REQUESTER: usize = 8;
/// The longest that a response keeps a slot: several times what one of megabytes takes. One that takes longer waits for
/// something else than a processor, such as a lock in Postgres, for which the others need not wait.
const MAX_HELD: Duration = Duration::from_millis(25);

/// Admits large responses. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Bulkhead(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Arc<Semaphore>,
    places: Places,
    sizes: RowSizes,
}

/// A response that may be made.
#[derive(Debug)]
pub(crate) struct Admission {
    bulkhead: Bulkhead,
    method: &'static str,
    requester: Requester,
    /// `None` if it is likely to be small.
    slot: Option<Slot>,
}

/// The slot of a large response, until all clones are dropped; an extension of the response.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    _held: Arc<(Place, oneshot::Sender<()>)>,
}

#[cfg(test)]
impl Slot {
    /// A slot, with what learns of its end.
    pub(crate) fn of_test() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let place = Places::new(1, 1).take(Requester::Principal(Uuid::nil())).expect("a place");
        (Self { _held: Arc::new((place, sender)) }, receiver)
    }
}

/// Who asks for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Requester {
    /// A principal, wherever it calls from.
    Principal(Uuid),
    /// Somebody without credentials, in a network.
    Anonymous(Network),
}

impl Requester {
    /// Returns the group that it is one of: the networks of a site, all of which somebody may have. All others are alone.
    fn group(self) -> Self {
        match self {
            Self::Principal(_) => self,
            Self::Anonymous(network) => Self::Anonymous(network.site().unwrap_or(network)),
        }
    }
}

impl Default for Bulkhead {
    /// Leaves half of the processors to what is small.
    fn default() -> Self {
        Self::new((std::thread::available_parallelism().map_or(1, NonZero::get) / 2).max(1))
    }
}

impl Bulkhead {
    fn new(slots: usize) -> Self {
        let places = Places::new(MAX_ENTERED, MAX_OF_REQUESTER);
        Self(Arc::new(Inner { slots: Arc::new(Semaphore::new(slots)), places, sizes: RowSizes::default() }))
    }

    /// Waits until a response of up to so many rows may be made, first come, first served, if it is likely to be large.
    ///
    /// # Errors
    /// `OVERLOADED` if too many wait already, or if others who have fewer come while this one waits.
    pub(crate) async fn admit(&self, method: &'static str, rows: usize, requester: Requester) -> Result<Admission> {
        let is_small = self.0.sizes.estimate(method, rows, requester.group()) < LARGE;
        let slot = if is_small { None } else { Some(self.enter(requester).await?) };
        Ok(Admission { bulkhead: self.clone(), method, requester, slot })
    }

    async fn enter(&self, requester: Requester) -> Result<Slot> {
        let mut place = self.0.places.take(requester).ok_or_else(overloaded)?;
        let permit = place.wait(self.0.slots.clone().acquire_owned()).await.ok_or_else(overloaded)?;
        let permit = permit.map_err(Error::internal)?;
        let (sender, receiver) = oneshot::channel();
        // In a task of its own, because nobody polls a response that waits for something else.
        tokio::spawn(async move {
            timeout(MAX_HELD, receiver).await.ok();
            drop(permit);
        });
        Ok(Slot { _held: Arc::new((place, sender)) })
    }
}

fn overloaded() -> Error {
    counter!("mainstay_requests_shed_total").increment(1);
    let message = "Too many large responses are asked for at once.";
    Error::with_message(Reason::Overloaded, message).retry_after(Duration::from_secs(1))
}

impl Admission {
    /// Notes how large the message is, and returns the slot if it is as large as was expected: what remains to be done
    /// with a small one does not need it.
    pub(crate) fn finish(&self, rows: usize, bytes: usize) -> Option<Slot> {
        self.bulkhead.0.sizes.note(self.method, rows, bytes, self.requester.group());
        self.slot.clone().filter(|_| bytes >= LARGE)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt as _;
    use tokio::time::Instant;

    use super::*;

    const METHOD: &str = "/shop.Shop/ListItems";
    const ONE: Requester = Requester::Principal(Uuid::from_u128(1));
    const OTHER: Requester = Requester::Principal(Uuid::from_u128(2));

    /// One that knows that ten rows are large.
    async fn bulkhead(slots: usize) -> Bulkhead {
        let bulkhead = Bulkhead::new(slots);
        let first = bulkhead.admit(METHOD, 100, ONE).await.expect("nothing is known");
        assert!(first.slot.is_none());
        assert!(first.finish(10, LARGE).is_none());
        bulkhead
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_response_waits_until_another_one_is_complete() {
        let bulkhead = bulkhead(1).await;
        let since = Instant::now();
        let first = bulkhead.admit(METHOD, 10, ONE).await.expect("a slot");
        let mut second = Box::pin(bulkhead.admit(METHOD, 10, OTHER));
        assert!(second.as_mut().now_or_never().is_none());
        let small = bulkhead.admit(METHOD, 9, OTHER).now_or_never().expect("no wait").expect("room");
        assert!(small.slot.is_none());
        let other_method = bulkhead.admit("/shop.Shop/ListShelves", 10, OTHER).now_or_never();
        assert!(other_method.expect("no wait").expect("room").slot.is_none());

        let response = first.finish(10, LARGE).expect("it is large");
        drop(first);
        tokio::task::yield_now().await;
        assert!(second.as_mut().now_or_never().is_none(), "its response is not complete");
        drop(response);
        let second = second.await.expect("a slot");
        assert!(second.finish(1, LARGE / 10).is_none(), "it turned out to be small");
        drop(second);
        let third = bulkhead.admit(METHOD, 20, ONE).await.expect("a slot");
        assert!(third.slot.is_some());
        assert_eq!(since.elapsed(), Duration::ZERO, "no slot had to be taken away");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_response_does_not_hold_up_the_others() {
        let bulkhead = bulkhead(1).await;
        let since = Instant::now();
        let _slow = bulkhead.admit(METHOD, 10, ONE).await.expect("a slot");
        let _next = bulkhead.admit(METHOD, 10, OTHER).await.expect("a slot");
        assert_eq!(since.elapsed(), MAX_HELD);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_it_waits_is_passed_over() {
        let bulkhead = bulkhead(1).await;
        let since = Instant::now();
        let first = bulkhead.admit(METHOD, 10, ONE).await.expect("a slot");
        // As at its deadline.
        let mut leaver = Box::pin(bulkhead.admit(METHOD, 10, ONE));
        assert!(leaver.as_mut().now_or_never().is_none());
        drop(leaver);
        drop(first);
        bulkhead.admit(METHOD, 10, OTHER).await.expect("a slot");
        assert_eq!(since.elapsed(), Duration::ZERO);
    }

    type Waits<'b> = Pin<Box<dyn Future<Output = Result<Admission>> + 'b>>;

    /// Asks for a large response; `Err` if it is refused at once.
    fn enter(bulkhead: &Bulkhead, requester: Requester) -> Result<Waits<'_>> {
        let mut waits: Waits<'_> = Box::pin(bulkhead.admit(METHOD, 10, requester));
        match waits.as_mut().now_or_never() {
            Some(Err(error)) => Err(error),
            Some(Ok(admission)) => Ok(Box::pin(std::future::ready(Ok(admission)))),
            None => Ok(waits),
        }
    }

    fn is_refused<T>(entered: Result<T>) -> bool {
        entered.is_err_and(|error| error.reason() == Reason::Overloaded)
    }

    #[tokio::test(start_paused = true)]
    async fn few_wait_and_a_requester_keeps_only_itself_out() {
        let bulkhead = bulkhead(1).await;
        let at = |address: &str| Requester::Anonymous(Network::of(address.parse().expect("an address")));
        let same_network = |number| at(&format!("2001:db8::{number}"));
        let mut slots = Vec::new();
        for number in 0..MAX_OF_REQUESTER {
            slots.push(enter(&bulkhead, ONE).expect("a place"));
            slots.push(enter(&bulkhead, same_network(number)).expect("a place"));
        }
        assert!(is_refused(enter(&bulkhead, ONE)));
        assert!(is_refused(enter(&bulkhead, same_network(99))));
        for other in [OTHER, at("192.0.2.1"), at("2001:db8:1::1")] {
            slots.push(enter(&bulkhead, other).expect("a place"));
        }
        let slot = slots.swap_remove(2);
        drop(slot);
        slots.push(enter(&bulkhead, ONE).expect("the place of the one that left"));
    }

    /// Whoever has a /48 has 65,536 networks.
    #[tokio::test(start_paused = true)]
    async fn the_networks_of_a_site_together_get_half_and_make_room_for_a_newcomer() {
        let bulkhead = bulkhead(1).await;
        let in_site = |site: u16, network: usize| {
            let network = u16::try_from(network).expect("few");
            Requester::Anonymous(Network::of([0x2001, 0xdb8, site, network, 0, 0, 0, 1].into()))
        };
        let mut slots = Vec::new();
        for site in [1, 2] {
            for network in 0..2 * MAX_OF_REQUESTER {
                slots.push(enter(&bulkhead, in_site(site, network)).expect("a place"));
            }
            assert!(is_refused(enter(&bulkhead, in_site(site, 99))));
        }
        let _newcomer = enter(&bulkhead, in_site(3, 0)).expect("a place, though each of those has one only");
    }

    #[tokio::test(start_paused = true)]
    async fn whose_networks_are_new_is_known_by_its_site() {
        let bulkhead = Bulkhead::new(1);
        let at = |address: [u16; 8]| Requester::Anonymous(Network::of(address.into()));
        let first = bulkhead.admit(METHOD, 10, at([0x2001, 0xdb8, 1, 1, 0, 0, 0, 1])).await.expect("nothing is known");
        assert!(first.finish(10, LARGE).is_none());
        let small = bulkhead.admit(METHOD, 10, ONE).await.expect("a slot");
        drop(small.finish(1000, LARGE / 10));
        drop(small);
        let next = bulkhead.admit(METHOD, 10, at([0x2001, 0xdb8, 1, 2, 0, 0, 0, 1])).await.expect("a slot");
        assert!(next.slot.is_some(), "its rows are large, though the mean of all is small");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_the_most_makes_room_for_a_newcomer() {
        let bulkhead = bulkhead(1).await;
        let principals = (1..).take(MAX_ENTERED / MAX_OF_REQUESTER).map(|id| Requester::Principal(Uuid::from_u128(id)));
        let mut requests: Vec<_> = principals
            .flat_map(|principal| [principal; MAX_OF_REQUESTER])
            .map(|principal| enter(&bulkhead, principal).expect("a place"))
            .collect();
        let newcomer = enter(&bulkhead, Requester::Principal(Uuid::from_u128(99))).expect("a place");
        assert!(is_refused(requests.pop().expect("it waited").await));
        // All others get their turn, and then the newcomer.
        for waits in requests {
            drop(waits.await.expect("a slot"));
        }
        newcomer.await.expect("a slot");
    }
}
