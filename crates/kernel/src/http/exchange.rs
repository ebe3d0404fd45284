//! A handle on a request from outside of it: resets its stream, or closes its connection.
//!
//! hyper polls a response only while its reader takes it, so a response cannot notice its own timeout. hyper and h2 have no
//! timeout for a response that is not read, and no handle on a stream. The tasks of connections and of streams are therefore
//! known here, and are aborted from outside.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a peer that is to close its connection may neither send requests nor read: enough to agree to the end, and to
/// take the last bytes on a slow link, where a socket takes more only once a third of its buffer is free.
pub(crate) const LINGER: Duration = Duration::from_secs(3);

// Not an argument: hyper passes nothing from the task of a connection to its requests.
tokio::task_local! {
    static CURRENT: Exchange;
}

#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    connection: Arc<Connection>,
    /// The task of the HTTP/2 stream; `None`: the connection serves one request at a time.
    stream: Option<Arc<OnceLock<AbortHandle>>>,
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

    pub(crate) fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Resets the stream. A small response that was handed to the connection to its last byte cannot be reset alone, so its
    /// connection ends.
    pub(crate) fn abort(&self) {
        match self.stream.as_ref().and_then(|stream| stream.get()) {
            Some(stream) if !stream.is_finished() => stream.abort(),
            _ => self.connection.abort(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    /// Ends the connection after its requests.
    pub(crate) closing: CancellationToken,
    task: OnceLock<AbortHandle>,
    opened_at: Instant,
    begun: AtomicUsize,
    requests: AtomicUsize,
    /// Further requests do not keep the connection open.
    is_sealed: AtomicBool,
    has_unread_request: AtomicBool,
    /// Milliseconds after `opened_at`.
    idle_since_ms: AtomicU64,
    /// The number of small DATA frames that were received and not read yet, and of those of streams that were reset.
    unread_small: AtomicUsize,
}

impl Connection {
    pub(crate) fn new(closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            closing,
            task: OnceLock::new(),
            opened_at: Instant::now(),
            begun: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            is_sealed: AtomicBool::new(false),
            has_unread_request: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
            unread_small: AtomicUsize::new(0),
        })
    }

    /// Returns the task of the connection, within which [`Exchange::current`] is known.
    pub(crate) fn scope<F: Future>(self: Arc<Self>, task: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Exchange { connection: self, stream: None }, task)
    }

    pub(crate) fn record_task(&self, task: AbortHandle) {
        self.task.set(task).ok();
    }

    pub(crate) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(crate) fn begin_request(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.record_unread_request(false);
    }

    pub(crate) fn record_unread_request(&self, is_unread: bool) {
        self.has_unread_request.store(is_unread, Ordering::Relaxed);
    }

    /// Returns whether the peer may still send a body that the server does not read.
    pub(crate) fn has_unread_request(&self) -> bool {
        self.has_unread_request.load(Ordering::Relaxed)
    }

    pub(crate) fn add_unread_small(&self, frames: usize) {
        self.unread_small.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn subtract_unread_small(&self) {
        let less = |frames: usize| frames.checked_sub(1);
        self.unread_small.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    pub(crate) fn unread_small(&self) -> usize {
        self.unread_small.load(Ordering::Relaxed)
    }

    pub(crate) fn forget_unread_small(&self) {
        self.unread_small.store(0, Ordering::Relaxed);
    }

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

    /// Waits, after the peer was asked to close the connection, until the connection was idle for [`LINGER`]. A request that
    /// begins later than that after the question does not count.
    pub(crate) async fn wait_until_idle(&self) {
        tokio::time::sleep(LINGER).await;
        self.is_sealed.store(true, Ordering::Relaxed);
        while self.idle_since().is_none_or(|since| since.elapsed() < LINGER) {
            tokio::time::sleep(LINGER / 10).await;
        }
    }

    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let idle = self.requests.load(Ordering::Relaxed) == 0;
        let since = Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed));
        idle.then(|| self.opened_at + since)
    }
}

#[derive(Debug)]
pub(crate) struct Active(Arc<Connection>);

impl Drop for Active {
    fn drop(&mut self) {
        let now_ms = u64::try_from(self.0.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since_ms.store(now_ms, Ordering::Relaxed);
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.forget_unread_small();
        }
    }
}

/// Runs each stream of an HTTP/2 connection as a task that can be aborted, which resets the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamExecutor;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let connection = Exchange::current().expect("a connection runs its own streams").connection;
        let handle = Arc::new(OnceLock::new());
        let exchange = Exchange { connection, stream: Some(handle.clone()) };
        let task = tokio::spawn(CURRENT.scope(exchange, stream));
        handle.set(task.abort_handle()).ok();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    fn open() -> Arc<Connection> {
        Connection::new(CancellationToken::new())
    }

    /// Opens a connection, and runs its task.
    fn run(connection: &Arc<Connection>, task: impl Future<Output: Send> + Send + 'static) -> JoinHandle<()> {
        let task = tokio::spawn(connection.clone().scope(async move { drop(task.await) }));
        connection.record_task(task.abort_handle());
        task
    }

    #[tokio::test]
    async fn an_aborted_stream_leaves_its_connection() {
        let connection = open();
        let task = run(&connection, async {
            let (sender, exchange) = tokio::sync::oneshot::channel();
            let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
            hyper::rt::Executor::execute(&StreamExecutor, async move {
                let _alive = alive;
                sender.send(Exchange::current().expect("within a stream")).expect("awaited");
                std::future::pending::<()>().await;
            });
            exchange.await.expect("the stream runs").abort();
            assert!(dropped.await.is_err(), "the stream's task is dropped");
        });
        task.await.expect("the connection is not aborted");
    }

    #[tokio::test]
    async fn a_stream_that_has_ended_takes_its_connection_along() {
        let connection = open();
        let task = run(&connection, async {
            let (sender, exchange) = tokio::sync::oneshot::channel();
            hyper::rt::Executor::execute(&StreamExecutor, async move {
                sender.send(Exchange::current().expect("within a stream")).expect("awaited");
            });
            let exchange: Exchange = exchange.await.expect("the stream runs");
            let is_running = || exchange.stream.as_ref().is_some_and(|stream| !stream.get().unwrap().is_finished());
            while is_running() {
                tokio::task::yield_now().await;
            }
            exchange.abort();
            std::future::pending::<()>().await;
        });
        assert!(task.await.is_err_and(|error| error.is_cancelled()), "the connection is aborted");
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
