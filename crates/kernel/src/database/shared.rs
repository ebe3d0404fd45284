//! Shared connections with pipelining: many reads send statements on one connection without waiting for each other's
//! responses, so that one write and one read of the socket carry many of them.
//!
//! Postgres runs the statements of a connection one after another, so that only short reads may use it. A read that
//! waits too long, or whose connection breaks, is repeated on a pooled connection. Without a shared connection, reads
//! use the pool. A caller can't observe the difference.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use diesel_async::SimpleAsyncConnection as _;
use parking_lot::Mutex;

use super::{Connection, connect::Connector};
use crate::error::{Reason, Result};

/// The number of shared connections of a process. One of them keeps a core of Postgres busy with primary-key reads.
pub(super) const CONNECTIONS: usize = 2;
/// The most reads in flight on one connection.
const MAX_IN_FLIGHT: usize = 64;
/// The longest wait of a read for its response, and the statement timeout.
pub(super) const TIMEOUT: Duration = Duration::from_millis(500);
/// The time for which reads use the pool after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The time for which a discarded connection may drain before it is closed. It exceeds the total time of its
/// statements.
const MAX_REST: Duration = Duration::from_secs(30);

pub(super) struct Shared {
    connector: Connector,
    slots: [Slot; CONNECTIONS],
    next: AtomicUsize,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
}

enum State {
    /// There is no connection. The next read after this instant opens one.
    Empty {
        until: Option<Instant>,
    },
    /// A connection is being opened, or drains before another one may be opened.
    Busy,
    Ready(Arc<Connection>),
}

impl Default for State {
    fn default() -> Self {
        Self::Empty { until: None }
    }
}

impl Slot {
    fn set(&self, state: State) {
        *self.state.lock() = state;
    }

    /// Takes the connection out of the slot. Returns `false` if a concurrent read has already done so.
    fn take(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.state.lock();
        let is_current = matches!(&*state, State::Ready(current) if Arc::ptr_eq(current, connection));
        if is_current {
            *state = State::Busy;
        }
        is_current
    }
}

impl Shared {
    pub(super) fn new(connector: Connector) -> Arc<Self> {
        Arc::new(Self { connector, slots: Default::default(), next: AtomicUsize::new(0) })
    }

    /// Runs a read on a shared connection. Returns `None` if the read must be repeated on a pooled connection.
    pub(super) async fn run<T>(
        self: &Arc<Self>,
        read: impl AsyncFnOnce(&Connection) -> Result<T>,
    ) -> Option<Result<T>> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let connection = self.connection(index)?;
        match tokio::time::timeout(TIMEOUT, read(&connection)).await {
            Ok(Err(error)) if error.reason() == Reason::Unavailable || error.reason() == Reason::DeadlineExceeded => {}
            Ok(result) => return Some(result),
            Err(_) => {}
        }
        metrics::counter!("mainstay_postgres_shared_reads_repeated_total").increment(1);
        self.discard(index, connection);
        None
    }

    fn connection(self: &Arc<Self>, index: usize) -> Option<Arc<Connection>> {
        let mut state = self.slots[index].state.lock();
        match &*state {
            // Each reader holds one reference, and the slot another one.
            State::Ready(connection) if Arc::strong_count(connection) <= MAX_IN_FLIGHT => {
                return Some(Arc::clone(connection));
            }
            State::Ready(_) | State::Busy => return None,
            State::Empty { until: Some(until) } if Instant::now() < *until => return None,
            State::Empty { .. } => *state = State::Busy,
        }
        drop(state);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let state = match shared.connector.clone().connect().await {
                Ok(connection) => State::Ready(Arc::new(connection)),
                Err(_) => State::Empty { until: Some(Instant::now() + PAUSE) },
            };
            shared.slots[index].set(state);
        });
        None
    }

    fn discard(self: &Arc<Self>, index: usize, connection: Arc<Connection>) {
        if !self.slots[index].take(&connection) {
            return;
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            // The empty statement queues behind those in flight. Another connection may be opened only after Postgres
            // has run them all or the connection is broken. A long lock wait therefore does not add connections.
            let mut connection = &*connection;
            tokio::time::timeout(MAX_REST, connection.batch_execute("")).await.ok();
            shared.slots[index].set(State::Empty { until: Some(Instant::now() + PAUSE) });
        });
    }
}
