//! Requests whose bodies have not arrived.
//!
//! Who waits for the bytes of a caller does no work, and for how long the caller decides, before anybody knows who it is. So
//! a request gives its turn up while its body is late, and waits in line again once it is whole. And of all places, the
//! requests whose bodies are late have only a part, and those of one network a part of that: callers who never send theirs
//! must keep out neither those who do nor those who only take longer.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::admission::{AdmissionQueue, Turn};
use crate::{
    budget::{Budget, Reservation},
    error::{Error, Reason},
    http::middleware::layer::Body,
};

/// How late a body may be before it counts as late. Nearly all arrive with their heads.
const ON_TIME: Duration = Duration::from_millis(50);

/// The turn of a request, which its body gives up and takes again. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Share(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// `None` while the body is late, and once the response has begun.
    turn: Option<Turn>,
    /// There was no room: for a late body, or in line once it was whole.
    is_refused: bool,
    /// The response has begun.
    is_over: bool,
}

impl Share {
    pub(super) fn new(turn: Turn) -> Self {
        Self(Arc::new(Mutex::new(State { turn: Some(turn), is_refused: false, is_over: false })))
    }

    /// Ends the turn; returns whether the request was refused on the way.
    pub(super) fn end(&self) -> bool {
        let mut state = self.lock();
        state.is_over = true;
        drop(state.turn.take());
        state.is_refused
    }

    fn give_up(&self) {
        drop(self.lock().turn.take());
    }

    fn take_again(&self, turn: Turn) {
        let mut state = self.lock();
        state.turn = Some(turn).filter(|_| !state.is_over);
    }

    fn refuse(&self) {
        self.lock().is_refused = true;
    }

    fn is_over(&self) -> bool {
        self.lock().is_over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a late body needs.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) queue: AdmissionQueue,
    /// The places of requests whose bodies are late.
    pub(super) places: Budget,
    /// The address of the caller.
    pub(super) client: IpAddr,
    pub(super) is_keyed: bool,
    /// How long it may wait in line once it is whole.
    pub(super) wait: Duration,
}

/// The body of a request that has a turn.
pub(super) struct Arriving {
    body: Body,
    share: Share,
    terms: Terms,
    /// How long it may still be late; `None` until it is.
    patience: Option<Pin<Box<Sleep>>>,
    /// Held while the body is late.
    place: Option<Reservation>,
    /// Set once the body is whole.
    whole: Option<Whole>,
}

/// A body that was late and is whole.
struct Whole {
    turn: BoxFuture<'static, Option<Turn>>,
    /// The last of it.
    frame: Option<Frame<Bytes>>,
}

impl Arriving {
    pub(super) fn new(body: Body, share: Share, terms: Terms) -> Self {
        Self { body, share, terms, patience: None, place: None, whole: None }
    }

    fn refuse(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.share.refuse();
        self.body = Body::empty();
        Poll::Ready(Some(Err(Error::new(Reason::Overloaded).into())))
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.whole.is_none() {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                if this.place.is_none() && !this.share.is_over() {
                    let patience = this.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(ON_TIME)));
                    ready!(patience.as_mut().poll(context));
                    let Some(place) = this.terms.places.take(this.terms.client) else { return this.refuse() };
                    this.place = Some(place);
                    this.share.give_up();
                }
                return Poll::Pending;
            };
            let frame = match frame {
                Some(Ok(frame)) => Some(frame),
                None => None,
                failed => return Poll::Ready(failed),
            };
            let is_whole = frame.is_none() || this.body.is_end_stream();
            if this.place.is_none() || !is_whole || this.share.is_over() {
                return Poll::Ready(frame.map(Ok));
            }
            let Terms { queue, is_keyed, wait, .. } = this.terms.clone();
            this.whole = Some(Whole { turn: async move { queue.enter(is_keyed, wait).await }.boxed(), frame });
        }
        let Some(whole) = &mut this.whole else { return Poll::Ready(None) };
        let turn = ready!(whole.turn.as_mut().poll(context));
        let frame = this.whole.take().and_then(|whole| whole.frame);
        let Some(turn) = turn else { return this.refuse() };
        this.place = None;
        this.share.take_again(turn);
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::mpsc;

    use super::*;
    use crate::database::Waits;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    /// A queue of one turn, and the terms of bodies of which one for each caller may be late.
    fn terms() -> Terms {
        let queue = AdmissionQueue::new(1, || Waits { count: 0, total: Duration::ZERO });
        let (places, client) = (Budget::new(2, 2), CLIENT);
        Terms { queue, places, client, is_keyed: false, wait: Duration::from_secs(1) }
    }

    /// A request that has the turn, and what sends its body.
    fn begin(terms: &Terms) -> (mpsc::Sender<Bytes>, Share, Arriving) {
        let (sender, receiver) = mpsc::channel::<Bytes>(4);
        let pieces = stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((Ok::<_, Status>(Frame::data(piece)), receiver))
        });
        let share = Share::new(terms.queue.try_enter().expect("nobody is there"));
        let body = Arriving::new(Body::new(StreamBody::new(pieces)), share.clone(), terms.clone());
        (sender, share, body)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_late_gives_the_turn_up_until_it_is_whole() {
        let terms = terms();
        let (sender, share, body) = begin(&terms);
        let whole = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME / 2).await;
        assert!(terms.queue.try_enter().is_none(), "it is not late yet");
        sender.send(Bytes::from_static(b"a")).await.expect("read");
        tokio::time::sleep(ON_TIME).await;
        let other = terms.queue.try_enter().expect("it is late");
        assert!(terms.places.take(CLIENT).is_none());
        assert!(terms.places.take(OTHER).is_some(), "it keeps out nobody else");
        sender.send(Bytes::from_static(b"b")).await.expect("read");
        drop(sender);
        tokio::time::sleep(ON_TIME).await;
        assert!(!whole.is_finished(), "it waits in line");
        drop(other);
        let body = whole.await.expect("no panic").expect("whole").to_bytes();
        assert_eq!(&body[..], b"ab");
        assert!(terms.places.take(CLIENT).is_some());
        assert!(terms.queue.try_enter().is_none(), "it has its turn again");
        assert!(!share.end());
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
        assert!(second.end(), "refused");
        waits.abort();
        assert!(waits.await.is_err());
        assert!(!first.end());
        assert!(terms.places.take(CLIENT).is_some());
        // Somebody else has the turn for too long.
        let (sender, share, body) = begin(&terms);
        let waits = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME * 2).await;
        let _other = terms.queue.try_enter().expect("it is late");
        drop(sender);
        assert!(waits.await.expect("no panic").is_err());
        assert!(share.end(), "refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_time_keeps_the_turn_and_one_after_the_response_needs_none() {
        let terms = terms();
        let (sender, share, body) = begin(&terms);
        sender.send(Bytes::from_static(b"a")).await.expect("room");
        drop(sender);
        assert_eq!(body.collect().await.expect("whole").to_bytes(), "a");
        assert!(terms.queue.try_enter().is_none());
        assert!(!share.end());

        let (sender, share, body) = begin(&terms);
        assert!(!share.end());
        let whole = tokio::spawn(body.collect());
        tokio::time::sleep(ON_TIME * 2).await;
        assert!(terms.places.take(CLIENT).is_some());
        drop(sender);
        assert!(whole.await.expect("no panic").is_ok());
    }
}
