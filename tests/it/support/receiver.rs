//! A webhook receiver that records deliveries and returns the statuses that a test sets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};

/// A delivery.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Delivery {
    /// A header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

#[derive(Debug)]
struct Inner {
    /// The statuses to answer with, last one first; the last remaining one repeats.
    answers: Mutex<Vec<u16>>,
    deliveries: Mutex<Vec<Delivery>>,
    change: Notify,
    /// Whether the receiver answers at all.
    open: watch::Sender<bool>,
    /// The delay before each answer.
    delay: Duration,
}

/// The receiver; it ends with the test.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    inner: Arc<Inner>,
}

impl Receiver {
    /// Starts a receiver that answers with these statuses in turn, repeating the last one.
    pub(crate) async fn answering(answers: &[u16]) -> Self {
        Self::start(answers, true, Duration::ZERO).await
    }

    /// Starts a receiver that records deliveries but does not answer before [`Receiver::open`].
    pub(crate) async fn holding() -> Self {
        Self::start(&[204], false, Duration::ZERO).await
    }

    /// Does the same as [`Receiver::answering`], with a delay before each answer.
    pub(crate) async fn slow(answers: &[u16], delay: Duration) -> Self {
        Self::start(answers, true, delay).await
    }

    async fn start(answers: &[u16], open: bool, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers = Mutex::new(answers.iter().rev().copied().collect());
        let inner = Arc::new(Inner {
            answers,
            deliveries: Mutex::default(),
            change: Notify::new(),
            open: watch::Sender::new(open),
            delay,
        });
        let router = Router::new().fallback(receive).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// The receiver's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The deliveries so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.inner.deliveries.lock().expect("no panic").clone()
    }

    /// Answers all pending and future deliveries.
    pub(crate) fn open(&self) {
        self.inner.open.send_replace(true);
    }

    /// Sets the status to answer with from now on.
    pub(crate) fn answers(&self, status: u16) {
        *self.inner.answers.lock().expect("no panic") = vec![status];
    }

    /// Waits for this many deliveries.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        let since = Instant::now();
        loop {
            let deliveries = self.deliveries();
            if deliveries.len() >= count {
                return deliveries;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "received {} of {count}", deliveries.len());
            // A notification may be missed between check and wait, hence the timeout.
            tokio::time::timeout(Duration::from_millis(100), self.inner.change.notified()).await.ok();
        }
    }
}

async fn receive(State(inner): State<Arc<Inner>>, method: Method, headers: HeaderMap, body: Bytes) -> StatusCode {
    let body = String::from_utf8(body.to_vec()).expect("text");
    inner.deliveries.lock().expect("no panic").push(Delivery { method: method.to_string(), headers, body });
    inner.change.notify_waiters();
    inner.open.subscribe().wait_for(|open| *open).await.expect("the sender is here");
    tokio::time::sleep(inner.delay).await;
    let mut answers = inner.answers.lock().expect("no panic");
    let status = if answers.len() > 1 { answers.pop() } else { answers.last().copied() };
    StatusCode::from_u16(status.expect("an answer")).expect("a status")
}
