//! Connections that many reads share. Their statements are pipelined: each is sent without waiting for the responses to
//! those before it, so that one write and one read of the socket carry many of them.
//!
//! Postgres runs the statements of a connection one after the other, so only short reads belong here. A read that waits
//! too long, and one whose connection breaks, is repeated on a connection of its own from the pool. While there is no
//! shared connection, reads use the pool. A caller can thus never tell how its read was carried out.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use diesel_async::SimpleAsyncConnection as _;

use super::{Connection, connect::Connector};
use crate::error::{Reason, Result};

/// The number of shared connections of a process. One keeps a core of Postgres busy with reads by primary key.
pub(super) const CONNECTIONS: usize = 2;
/// The most reads that wait for one connection.
const MAX_IN_FLIGHT: usize = 64;
/// The longest that a read waits for its response, and that one statement may run.
pub(super) const TIMEOUT: Duration = Duration::from_millis(500);
/// How long reads use the pool after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a connection that was given up may take to come to rest before it is closed. Longer than all of its
/// statements can run.
const MAX_REST: Duration = Duration::from_secs(30);

/// The shared connections.
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
    /// There is no connection. The next read after this instant has one opened.
    Empty {
        until: Option<Instant>,
    },
    /// A connection is being opened, or comes to rest before another one may be opened.
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
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Takes the connection out of the slot, unless somebody else did.
    fn take(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Runs a read on a shared connection; returns `None` if it must be repeated on a connection of its own.
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

    /// Returns the connection of a slot if it is open and has room.
    fn connection(self: &Arc<Self>, index: usize) -> Option<Arc<Connection>> {
        let mut state = self.slots[index].state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            // Each reader holds a reference, and the slot one.
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

    /// Replaces a connection that broke or is held up.
    fn discard(self: &Arc<Self>, index: usize, connection: Arc<Connection>) {
        if !self.slots[index].take(&connection) {
            return;
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            // This queues behind the statements that were sent. Only when Postgres has run them all, or the connection
            // is broken, may another one take its place: however long a lock is held, there are no more of them.
            let mut connection = &*connection;
            tokio::time::timeout(MAX_REST, connection.batch_execute("")).await.ok();
            shared.slots[index].set(State::Empty { until: Some(Instant::now() + PAUSE) });
        });
    }
}
