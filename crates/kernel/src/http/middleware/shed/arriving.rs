//! Requests with late bodies.
//!
//! A request that waits for bytes of its caller does no work, and the caller, who is not authenticated yet, decides how long.
//! A request therefore returns its turn while its body is late, and queues again when the body is complete. Late bodies have
//! their own places, divided among networks, so that callers who never send their bodies block neither the other requests nor
//! slow bodies of other networks. A timeout per body would reject clients on slow links.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Sleep;
use tonic::Status;

use super::admission::{AdmissionQueue, Turn};
use crate::{
    error::{Error, Reason},
    fair_share::{FairShare, Share},
    http::middleware::layer::{Body, PolledFrame, Request},
    rate_limit::Network,
};

/// The delay after which a body counts as late. Nearly all bodies arrive with their heads.
const ON_TIME: Duration = Duration::from_millis(50);

/// The turn of a running request, which its body returns and takes again. A drop ends it: the body needs no turn after that.
#[derive(Debug)]
pub(super) struct RequestTurn(Arc<Mutex<TurnState>>);

#[derive(Debug)]
pub(super) enum TurnState {
    Held(Turn),
    /// The body is late, so that the request has no turn.
    Late,
    /// No place was free: for the late body, or in the queue after the body was complete.
    Rejected,
}

impl RequestTurn {
    /// Takes the turn for the response.
    pub(super) fn end(self) -> TurnState {
        mem::replace(&mut *self.0.lock(), TurnState::Late)
    }
}

/// The conditions under which a request waits.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) queue: AdmissionQueue,
    pub(super) places: FairShare<Network>,
    pub(super) client: Network,
    pub(super) is_keyed: bool,
    /// The maximum time in the queue after the body is complete.
    pub(super) wait: Duration,
}

impl Terms {
    /// Begins a request, whose body returns the turn while it is late.
    pub(super) fn begin(self, request: Request, turn: Turn) -> (Request, RequestTurn) {
        let turn = Arc::new(Mutex::new(TurnState::Held(turn)));
        let arriving = |body: Body| match body.is_end_stream() {
            true => body,
            false => Body::new(Arriving::new(body, &turn, self)),
        };
        (request.map(arriving), RequestTurn(turn))
    }
}

/// The body of a request that has a turn.
struct Arriving {
    body: Body,
    /// Gone once the response has begun.
    turn: Weak<Mutex<TurnState>>,
    terms: Terms,
    /// The time until the body counts as late; `None` before the body is waited for.
    patience: Option<Pin<Box<Sleep>>>,
    /// Held while the body is late.
    place: Option<Share<Network>>,
    complete: Option<Complete>,
}

struct Complete {
    turn: BoxFuture<'static, Option<Turn>>,
    frame: Option<Frame<Bytes>>,
}

impl Arriving {
    fn new(body: Body, turn: &Arc<Mutex<TurnState>>, terms: Terms) -> Self {
        Self { body, turn: Arc::downgrade(turn), terms, patience: None, place: None, complete: None }
    }

    fn set(&self, state: TurnState) {
        if let Some(turn) = self.turn.upgrade() {
            *turn.lock() = state;
        }
    }

    fn needs_turn(&self) -> bool {
        self.turn.strong_count() > 0
    }

    fn reject(&mut self) -> PolledFrame {
        self.set(TurnState::Rejected);
        self.body = Body::empty();
        Poll::Ready(Some(Err(Error::new(Reason::Overloaded).into())))
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame {
        let this = &mut *self;
        if this.complete.is_none() {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                if this.place.is_none() && this.needs_turn() {
                    let patience = this.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(ON_TIME)));
                    ready!(patience.as_mut().poll(context));
                    let Ok(place) = this.terms.places.take(this.terms.client, 1) else { return this.reject() };
                    this.place = Some(place);
                    this.set(TurnState::Late);
                }
                return Poll::Pending;
            };
            let frame = match frame {
                Some(Ok(frame)) => Some(frame),
                None => None,
                failed => return Poll::Ready(failed),
            };
            let is_complete = frame.is_none() || this.body.is_end_stream();
            if this.place.is_none() || !is_complete || !this.needs_turn() {
                return Poll::Ready(frame.map(Ok));
            }
            let Terms { queue, is_keyed, wait, .. } = this.terms.clone();
            this.complete = Some(Complete { turn: async move { queue.enter(is_keyed, wait).await }.boxed(), frame });
        }
        let Some(complete) = &mut this.complete else { return Poll::Ready(None) };
        let turn = ready!(complete.turn.as_mut().poll(context));
        let frame = this.complete.take().and_then(|complete| complete.frame);
        let Some(turn) = turn else { return this.reject() };
        this.place = None;
        this.set(TurnState::Held(turn));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.complete.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{database::Waits, fair_share::Rule};

    fn network(number: u8) -> Network {
        Network::of(IpAddr::from([192, 0, 2, number]))
    }

    /// Returns the terms of a queue of one turn, with two places of which a network has one.
    fn terms() -> Terms {
        let queue = AdmissionQueue::new(1, || Waits { count: 0, total: Duration::ZERO });
        let (places, client) = (FairShare::new(2, Rule::OfRest(2)), network(1));
        Terms { queue, places, client, is_keyed: false, wait: Duration::from_secs(1) }
    }

    /// Begins a request that has the turn; the sender sends its body.
    fn begin(terms: &Terms) -> (mpsc::Sender<Bytes>, RequestTurn, Body) {
        let (sender, receiver) = mpsc::channel::<Bytes>(4);
        let pieces = stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((Ok::<_, Status>(Frame::data(piece)), receiver))
        });
        let turn = terms.queue.try_enter().expect("no request runs");
        let (request, turn) = terms.clone().begin(Request::new(Body::new(StreamBody::new(pieces))), turn);
        (sender, turn, request.into_body())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_late_gives_the_turn_up_until_it_is_whole() {
        let terms = terms();
        let (sender, turn, body) = begin(&terms);
        let whole = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME / 2).await;
        assert!(terms.queue.try_enter().is_none(), "it is not late yet");
        sender.send(Bytes::from_static(b"a")).await.expect("read");
        tokio::time::sleep(ON_TIME).await;
        let other = terms.queue.try_enter().expect("it is late");
        assert!(terms.places.take(network(1), 1).is_err());
        assert!(terms.places.take(network(2), 1).is_ok(), "other networks have places");
        sender.send(Bytes::from_static(b"b")).await.expect("read");
        drop(sender);
        tokio::time::sleep(ON_TIME).await;
        assert!(!whole.is_finished(), "it is in the queue");
        drop(other);
        let body = whole.await.expect("no panic").expect("whole").to_bytes();
        assert_eq!(&body[..], b"ab");
        assert!(terms.places.take(network(1), 1).is_ok());
        assert!(terms.queue.try_enter().is_none(), "it has its turn again");
        assert!(matches!(turn.end(), TurnState::Held(_)));
        assert!(terms.queue.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn late_bodies_have_only_their_places() {
        let terms = terms();
        let (_never, first, body) = begin(&terms);
        let waits = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME * 2).await;
        let (_never_either, second, body) = begin(&terms);
        assert!(body.collect().await.is_err());
        assert!(matches!(second.end(), TurnState::Rejected));
        waits.abort();
        assert!(waits.await.is_err());
        assert!(matches!(first.end(), TurnState::Late));
        assert!(terms.places.take(network(1), 1).is_ok());
        // Another request has the turn for too long.
        let (sender, turn, body) = begin(&terms);
        let waits = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME * 2).await;
        let _other = terms.queue.try_enter().expect("it is late");
        drop(sender);
        assert!(waits.await.expect("no panic").is_err());
        assert!(matches!(turn.end(), TurnState::Rejected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_time_keeps_the_turn_and_one_after_the_response_needs_none() {
        let terms = terms();
        let (sender, turn, body) = begin(&terms);
        sender.send(Bytes::from_static(b"a")).await.expect("room");
        drop(sender);
        assert_eq!(body.collect().await.expect("whole").to_bytes(), "a");
        assert!(terms.queue.try_enter().is_none());
        assert!(matches!(turn.end(), TurnState::Held(_)));

        let (sender, turn, body) = begin(&terms);
        assert!(matches!(turn.end(), TurnState::Held(_)));
        let whole = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME * 2).await;
        assert!(terms.places.take(network(1), 1).is_ok());
        drop(sender);
        assert!(whole.await.expect("no panic").is_ok());
    }
}
