//! A handle on a request from outside of it: resets its stream, or closes its connection.
//!
//! A response that its reader does not take is not polled, so nothing inside of it notices how the time passes. Whoever
//! watches it from outside ends it through this handle.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::rate_limit::Network;

/// How long a peer that is to close its connection may do nothing, neither send requests nor read: enough to agree, and
/// to take what was sent last on a slow link, where a socket takes more only once a third of its buffer is free.
pub(crate) const LINGER: Duration = Duration::from_secs(3);

tokio::task_local! {
    static CURRENT: Exchange;
}

/// A request and its response, on their connection.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    connection: Arc<Connection>,
    /// The stream of HTTP/2; `None`: the connection serves one request at a time.
    stream: Option<Arc<Abort>>,
}

impl Exchange {
    /// Returns the exchange that the current task serves; `None` outside of a listener.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// An exchange on a connection that serves one request at a time.
    #[cfg(test)]
    pub(crate) fn of_test(connection: &Arc<Connection>) -> Self {
        Self { connection: connection.clone(), stream: None }
    }

    /// The connection.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Ends the exchange, and as little else as possible: a stream that was handed to the connection to its last byte
    /// can't be reset alone any more.
    pub(crate) fn abort(&self) {
        if !self.stream.as_ref().is_some_and(|stream| stream.abort()) {
            self.connection.abort();
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The network of the peer.
    pub(crate) peer: Network,
    /// Makes the connection end once its requests have.
    pub(crate) closing: CancellationToken,
    /// The bytes of responses that its peer has not taken.
    pub(crate) unread_bytes: AtomicUsize,
    abort: Arc<Abort>,
    opened_at: Instant,
    /// How many requests began, however they ended.
    begun: AtomicUsize,
    requests: AtomicUsize,
    /// Further requests do not keep it open.
    is_sealed: AtomicBool,
    /// The last request was answered before its body was received.
    has_unread_request: AtomicBool,
    /// Milliseconds after `opened_at`.
    idle_since_ms: AtomicU64,
}

impl Connection {
    pub(crate) fn new(peer: Network, closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            peer,
            closing,
            unread_bytes: AtomicUsize::new(0),
            abort: Arc::default(),
            opened_at: Instant::now(),
            begun: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            is_sealed: AtomicBool::new(false),
            has_unread_request: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
        })
    }

    /// Runs the task of the connection, until it ends or is aborted. Returns whether it ended by itself.
    pub(crate) fn run<F: Future<Output = ()>>(self: Arc<Self>, task: F) -> impl Future<Output = bool> {
        let task = Abortable { abort: self.abort.clone(), task };
        CURRENT.scope(Exchange { connection: self, stream: None }, task)
    }

    /// Ends the connection at once, with all that is open on it.
    pub(crate) fn abort(&self) {
        self.abort.abort();
    }

    /// Notes that the headers of a request are complete.
    pub(crate) fn begin_request(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.note_unread_request(false);
    }

    /// Notes whether the body of the request was left unread.
    pub(crate) fn note_unread_request(&self, is_unread: bool) {
        self.has_unread_request.store(is_unread, Ordering::Relaxed);
    }

    /// Returns whether the peer may still send a body that nobody reads.
    pub(crate) fn has_unread_request(&self) -> bool {
        self.has_unread_request.load(Ordering::Relaxed)
    }

    /// Returns how many requests began.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Counts a request, until the guard is dropped; `None` if it came so late that it does not count.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Active> {
        (!self.is_sealed.load(Ordering::Relaxed)).then(|| {
            self.requests.fetch_add(1, Ordering::Relaxed);
            Active(self.clone())
        })
    }

    /// Waits, once the peer was asked to close the connection, until it was idle for [`LINGER`]. A request that begins
    /// later than that after it was asked does not count.
    pub(crate) async fn wait_until_idle(&self) {
        tokio::time::sleep(LINGER).await;
        self.is_sealed.store(true, Ordering::Relaxed);
        while self.idle_since().is_none_or(|since| since.elapsed() < LINGER) {
            tokio::time::sleep(LINGER / 10).await;
        }
    }

    /// Since when no request is open; `None` while there is one.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let idle = self.requests.load(Ordering::Relaxed) == 0;
        let since = Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed));
        idle.then(|| self.opened_at + since)
    }
}

/// An open request of a connection.
#[derive(Debug)]
pub(crate) struct Active(Arc<Connection>);

impl Drop for Active {
    fn drop(&mut self) {
        let now_ms = u64::try_from(self.0.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since_ms.store(now_ms, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

const RUNNING: u8 = 0;
const ABORTED: u8 = 1;
const ENDED: u8 = 2;

/// Ends a task from outside.
#[derive(Debug, Default)]
struct Abort {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Abort {
    /// Returns false if the task had already ended.
    fn abort(&self) -> bool {
        match self.state.compare_exchange(RUNNING, ABORTED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.waker.wake();
                true
            }
            Err(state) => state == ABORTED,
        }
    }
}

pin_project! {
    /// A task that ends as soon as it is aborted; it resolves to whether it ended by itself.
    ///
    /// An async function would have the task twice, as its argument and where it runs, and each one around it twice as much
    /// again: idle connections took 24 KiB more each.
    struct Abortable<F> {
        abort: Arc<Abort>,
        #[pin]
        task: F,
    }
}

impl<F: Future> Future for Abortable<F> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let this = self.project();
        this.abort.waker.register(context.waker());
        let is_aborted = this.abort.state.load(Ordering::Acquire) == ABORTED;
        if !is_aborted {
            ready!(this.task.poll(context));
        }
        this.abort.state.compare_exchange(RUNNING, ENDED, Ordering::AcqRel, Ordering::Acquire).ok();
        Poll::Ready(!is_aborted)
    }
}

/// Runs each stream of an HTTP/2 connection as a task that can be aborted, which resets the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamExecutor;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let connection = Exchange::current().expect("a connection runs its own streams").connection;
        let abort = Arc::new(Abort::default());
        let exchange = Exchange { connection, stream: Some(abort.clone()) };
        tokio::spawn(CURRENT.scope(exchange, Abortable { abort, task: stream }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Arc<Connection> {
        Connection::new(Network::of(std::net::IpAddr::from([127, 0, 0, 1])), CancellationToken::new())
    }

    #[tokio::test]
    async fn an_aborted_stream_leaves_its_connection() {
        let connection = open();
        let has_ended = connection
            .run(async {
                let (sender, exchange) = tokio::sync::oneshot::channel();
                let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
                hyper::rt::Executor::execute(&StreamExecutor, async move {
                    let _alive = alive;
                    sender.send(Exchange::current().expect("within a stream")).expect("awaited");
                    std::future::pending::<()>().await;
                });
                exchange.await.expect("the stream runs").abort();
                assert!(dropped.await.is_err(), "the stream's task is dropped");
            })
            .await;
        assert!(has_ended, "the connection is not aborted");
    }

    #[tokio::test]
    async fn a_stream_that_has_ended_takes_its_connection_along() {
        let connection = open();
        let has_ended = connection
            .run(async {
                let (sender, exchange) = tokio::sync::oneshot::channel();
                hyper::rt::Executor::execute(&StreamExecutor, async move {
                    sender.send(Exchange::current().expect("within a stream")).expect("awaited");
                });
                let exchange: Exchange = exchange.await.expect("the stream runs");
                while exchange.stream.as_ref().is_some_and(|stream| stream.state.load(Ordering::Acquire) != ENDED) {
                    tokio::task::yield_now().await;
                }
                exchange.abort();
                std::future::pending::<()>().await;
            })
            .await;
        assert!(!has_ended, "the connection is aborted");
    }

    #[test]
    fn a_connection_is_idle_between_requests() {
        let connection = open();
        assert!(connection.idle_since().is_some());
        let (first, second) = (connection.enter(), connection.enter());
        drop(first);
        assert!(connection.idle_since().is_none());
        drop(second);
        assert!(connection.idle_since().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_to_close_waits_for_its_requests_and_a_little_longer() {
        let connection = open();
        let since = Instant::now();
        connection.wait_until_idle().await;
        assert_eq!(since.elapsed(), LINGER, "it was idle");

        let connection = open();
        let first = connection.enter();
        let waiting = tokio::spawn({
            let connection = connection.clone();
            async move { connection.wait_until_idle().await }
        });
        tokio::time::sleep(LINGER / 2).await;
        let second = connection.enter();
        tokio::time::sleep(LINGER).await;
        assert!(connection.enter().is_none(), "late");
        drop(first);
        tokio::time::sleep(LINGER * 2).await;
        assert!(!waiting.is_finished(), "the second one began in time");
        drop(second);
        tokio::time::sleep(LINGER / 2).await;
        assert!(!waiting.is_finished(), "the last bytes are on their way");
        tokio::time::timeout(LINGER, waiting).await.expect("in time").expect("no panic");
    }
}
