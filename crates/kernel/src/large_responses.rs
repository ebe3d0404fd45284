//! Limits how many large responses are produced at once.
//!
//! To read, encode and transcode megabytes occupies a CPU for many milliseconds, in this process and in Postgres. Many large
//! responses at once leave no CPU to small ones, and each keeps its rows, its message and its document in memory
//! meanwhile. A list that is likely to be large therefore waits for a slot before it takes a connection, and holds the slot
//! until its response is complete. The deadline of the request bounds the wait.
//!
//! The general concurrency limit cannot do this: it admits a request before its cost is known, by the headers alone. The
//! size of a list shows only after it was read, so it is estimated: from the number of rows that are requested, and from the
//! size of the requester's recent rows ([`rows`]). A response that is likely to be small neither waits nor counts.
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

/// The size in bytes from which a message is large: decoding, encoding and transcoding it takes about a millisecond.
const LARGE: usize = 256 << 10;
/// The maximum number of large responses that are produced or wait at once. It is a quarter of the requests that may always
/// run at once, so that the others have turns, too.
const MAX_ENTERED: usize = 32;
/// The maximum number of one requester; a group has twice as many.
const MAX_OF_REQUESTER: usize = 8;
/// The maximum time that a response holds a slot: several times what a response of megabytes takes. A slower response
/// waits for something other than a CPU, such as a lock in Postgres, and the other responses need not wait for it.
const MAX_HELD: Duration = Duration::from_millis(25);

#[derive(Debug, Clone)]
pub(crate) struct LargeResponses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Arc<Semaphore>,
    places: Places,
    sizes: RowSizes,
}

#[derive(Debug)]
pub(crate) struct Admission {
    of: LargeResponses,
    method: &'static str,
    requester: Requester,
    /// `None` if the response is likely to be small.
    slot: Option<Slot>,
}

/// The slot of a large response, as an extension of the response. The slot is released with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    _held: Arc<(Place, oneshot::Sender<()>)>,
}

#[cfg(test)]
impl Slot {
    /// A slot, and a receiver that notices its end.
    pub(crate) fn of_test() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let place = Places::new(1, 1).take(Requester::Principal(Uuid::nil())).expect("a place");
        (Self { _held: Arc::new((place, sender)) }, receiver)
    }
}

/// The caller that requests a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Requester {
    /// A principal, independent of its address.
    Principal(Uuid),
    /// A caller without credentials in this network.
    Anonymous(Network),
}

impl Requester {
    /// Returns the group of the requester: a site, because one subscriber may own all of its networks. Other requesters are
    /// a group by themselves.
    fn group(self) -> Self {
        match self {
            Self::Principal(_) => self,
            Self::Anonymous(network) => Self::Anonymous(network.site().unwrap_or(network)),
        }
    }
}

impl Default for LargeResponses {
    /// Leaves half of the CPUs to small responses.
    fn default() -> Self {
        Self::new((std::thread::available_parallelism().map_or(1, NonZero::get) / 2).max(1))
    }
}

impl LargeResponses {
    fn new(slots: usize) -> Self {
        let places = Places::new(MAX_ENTERED, MAX_OF_REQUESTER);
        Self(Arc::new(Inner { slots: Arc::new(Semaphore::new(slots)), places, sizes: RowSizes::default() }))
    }

    /// Waits, in the order of arrival, until a response of up to `rows` may be produced. A response that is likely to be
    /// small does not wait.
    /// Errors: `OVERLOADED` if too many wait already, or if a requester with fewer places takes over the place during
    /// the wait.
    pub(crate) async fn admit(&self, method: &'static str, rows: usize, requester: Requester) -> Result<Admission> {
        let is_small = self.0.sizes.estimate(method, rows, requester.group()) < LARGE;
        let slot = if is_small { None } else { Some(self.enter(requester).await?) };
        Ok(Admission { of: self.clone(), method, requester, slot })
    }

    async fn enter(&self, requester: Requester) -> Result<Slot> {
        let mut place = self.0.places.take(requester).ok_or_else(overloaded)?;
        let permit = place.wait(self.0.slots.clone().acquire_owned()).await.ok_or_else(overloaded)?;
        let permit = permit.map_err(Error::internal)?;
        let (sender, receiver) = oneshot::channel();
        // In a separate task, because a response that waits for something else is not polled.
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
    /// Records the size of the message, and returns the slot if the message is as large as expected: the remaining work on
    /// a small message needs no slot.
    pub(crate) fn finish(&self, rows: usize, bytes: usize) -> Option<Slot> {
        self.of.0.sizes.record(self.method, rows, bytes, self.requester.group());
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

    /// Makes a limit that knows that ten rows are large.
    async fn responses(slots: usize) -> LargeResponses {
        let responses = LargeResponses::new(slots);
        let first = responses.admit(METHOD, 100, ONE).await.expect("nothing is known");
        assert!(first.slot.is_none());
        assert!(first.finish(10, LARGE).is_none());
        responses
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_response_waits_until_another_one_is_complete() {
        let responses = responses(1).await;
        let since = Instant::now();
        let first = responses.admit(METHOD, 10, ONE).await.expect("a slot");
        let mut second = Box::pin(responses.admit(METHOD, 10, OTHER));
        assert!(second.as_mut().now_or_never().is_none());
        let small = responses.admit(METHOD, 9, OTHER).now_or_never().expect("no wait").expect("room");
        assert!(small.slot.is_none());
        let other_method = responses.admit("/shop.Shop/ListShelves", 10, OTHER).now_or_never();
        assert!(other_method.expect("no wait").expect("room").slot.is_none());

        let response = first.finish(10, LARGE).expect("it is large");
        drop(first);
        tokio::task::yield_now().await;
        assert!(second.as_mut().now_or_never().is_none(), "its response is not complete");
        drop(response);
        let second = second.await.expect("a slot");
        assert!(second.finish(1, LARGE / 10).is_none(), "it turned out to be small");
        drop(second);
        let third = responses.admit(METHOD, 20, ONE).await.expect("a slot");
        assert!(third.slot.is_some());
        assert_eq!(since.elapsed(), Duration::ZERO, "no slot had to be taken away");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_response_does_not_hold_up_the_others() {
        let responses = responses(1).await;
        let since = Instant::now();
        let _slow = responses.admit(METHOD, 10, ONE).await.expect("a slot");
        let _next = responses.admit(METHOD, 10, OTHER).await.expect("a slot");
        assert_eq!(since.elapsed(), MAX_HELD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_waiter_is_passed_over() {
        let responses = responses(1).await;
        let since = Instant::now();
        let first = responses.admit(METHOD, 10, ONE).await.expect("a slot");
        // As at its deadline.
        let mut leaver = Box::pin(responses.admit(METHOD, 10, ONE));
        assert!(leaver.as_mut().now_or_never().is_none());
        drop(leaver);
        drop(first);
        responses.admit(METHOD, 10, OTHER).await.expect("a slot");
        assert_eq!(since.elapsed(), Duration::ZERO);
    }

    type Waits<'r> = Pin<Box<dyn Future<Output = Result<Admission>> + 'r>>;

    /// Requests a large response; `Err` if it is rejected at once.
    fn enter(responses: &LargeResponses, requester: Requester) -> Result<Waits<'_>> {
        let mut waits: Waits<'_> = Box::pin(responses.admit(METHOD, 10, requester));
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
        let responses = responses(1).await;
        let at = |address: &str| Requester::Anonymous(Network::of(address.parse().expect("an address")));
        let same_network = |number| at(&format!("2001:db8::{number}"));
        let mut slots = Vec::new();
        for number in 0..MAX_OF_REQUESTER {
            slots.push(enter(&responses, ONE).expect("a place"));
            slots.push(enter(&responses, same_network(number)).expect("a place"));
        }
        assert!(is_refused(enter(&responses, ONE)));
        assert!(is_refused(enter(&responses, same_network(99))));
        for other in [OTHER, at("192.0.2.1"), at("2001:db8:1::1")] {
            slots.push(enter(&responses, other).expect("a place"));
        }
        let slot = slots.swap_remove(2);
        drop(slot);
        slots.push(enter(&responses, ONE).expect("the place of the one that left"));
        let principal = |number| Requester::Principal(Uuid::from_u128(number));
        while slots.len() < MAX_ENTERED {
            let number = if slots.len() < MAX_ENTERED - MAX_OF_REQUESTER { 3 } else { 4 };
            slots.push(enter(&responses, principal(number)).expect("a place"));
        }
        let _newcomer = enter(&responses, principal(5)).expect("the last place of a requester with the most");
        assert!(is_refused(slots.pop().expect("it waited").await));
    }

    /// A /48 has 65,536 networks.
    #[tokio::test(start_paused = true)]
    async fn the_networks_of_a_site_together_get_half_and_make_room_for_a_newcomer() {
        let responses = responses(1).await;
        let in_site = |site: u16, network: usize| {
            let network = u16::try_from(network).expect("few");
            Requester::Anonymous(Network::of([0x2001, 0xdb8, site, network, 0, 0, 0, 1].into()))
        };
        let mut slots = Vec::new();
        for site in [1, 2] {
            for network in 0..2 * MAX_OF_REQUESTER {
                slots.push(enter(&responses, in_site(site, network)).expect("a place"));
            }
            assert!(is_refused(enter(&responses, in_site(site, 99))));
        }
        let _newcomer = enter(&responses, in_site(3, 0)).expect("a place, though each of those has one only");
    }

    #[tokio::test(start_paused = true)]
    async fn whose_networks_are_new_is_known_by_its_site() {
        let responses = LargeResponses::new(1);
        let at = |address: [u16; 8]| Requester::Anonymous(Network::of(address.into()));
        let first = responses.admit(METHOD, 10, at([0x2001, 0xdb8, 1, 1, 0, 0, 0, 1])).await.expect("nothing is known");
        assert!(first.finish(10, LARGE).is_none());
        let small = responses.admit(METHOD, 10, ONE).await.expect("a slot");
        drop(small.finish(1000, LARGE / 10));
        drop(small);
        let next = responses.admit(METHOD, 10, at([0x2001, 0xdb8, 1, 2, 0, 0, 0, 1])).await.expect("a slot");
        assert!(next.slot.is_some(), "its rows are large, though the mean of all is small");
    }
}
