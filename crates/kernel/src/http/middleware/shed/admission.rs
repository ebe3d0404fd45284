//! The running requests, and the queue of waiting requests.
//!
//! The concurrency limit follows the queue of Postgres connections behind it. Every [`ADJUST_INTERVAL`] it shrinks by a tenth
//! while requests wait for a connection for longer than [`MAX_CONNECTION_WAIT`], because more concurrency would only lengthen
//! that queue. It grows by an eighth while all turns are taken and that queue is short: the running requests wait for
//! something else, such as a payment gateway.
//!
//! A gradient of the latency (Netflix concurrency-limits, linkerd) has the same purpose, but needs requests of similar
//! latency: here a read takes a tenth of a millisecond of CPU, and a charge waits for its gateway for a second.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::database::Waits;

/// The number of requests that may always run at once, unless `max_limit` is lower: several times as many as keep the
/// CPUs and the connections to Postgres busy.
const MIN_LIMIT: usize = 128;
/// The maximum number of requests that wait, per request of `max_limit`. A waiting request takes a few kilobytes.
pub(super) const WAITING_PER_PLACE: usize = 4;
/// One of this many turns is given to a request without a key, if one waits. Any caller can send a key, so keys must not
/// block all other requests.
const TURNS_PER_UNKEYED: usize = 4;
/// The interval between two searches of a full queue for requests that gave up. A search for each rejection would cost more
/// than most requests do.
const SWEEP_INTERVAL: Duration = Duration::from_millis(10);
const ADJUST_INTERVAL: Duration = Duration::from_millis(100);
/// The average wait for a connection above which the limit shrinks.
const MAX_CONNECTION_WAIT: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct AdmissionQueue(Arc<Shared>);

struct Shared {
    waits: Box<dyn Fn() -> Waits + Send + Sync>,
    max_limit: usize,
    state: Mutex<State>,
}

debug_fields!(AdmissionQueue);

struct State {
    limit: usize,
    running: usize,
    /// The waiting requests: those under a key, which have priority, and the others.
    waiting: [VecDeque<oneshot::Sender<Turn>>; 2],
    /// The turns that were waited for, counted modulo [`TURNS_PER_UNKEYED`].
    turns: usize,
    swept_at: Instant,
    adjusted_at: Instant,
    waits: Waits,
}

impl State {
    fn count_waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// Removes requests that gave up, at most once per [`SWEEP_INTERVAL`].
    fn sweep(&mut self) {
        let now = Instant::now();
        if now - self.swept_at >= SWEEP_INTERVAL {
            self.swept_at = now;
            self.waiting.iter_mut().for_each(|queue| queue.retain(|sender| !sender.is_closed()));
        }
    }
}

/// The turn of a request, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<AdmissionQueue>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            let mut state = queue.0.state.lock();
            state.running -= 1;
            queue.advance(&mut state);
        }
    }
}

impl AdmissionQueue {
    pub(super) fn new(max_limit: usize, waits: impl Fn() -> Waits + Send + Sync + 'static) -> Self {
        let state = State {
            limit: MIN_LIMIT.min(max_limit),
            running: 0,
            waiting: Default::default(),
            turns: 0,
            swept_at: Instant::now(),
            adjusted_at: Instant::now(),
            waits: waits(),
        };
        Self(Arc::new(Shared { waits: Box::new(waits), max_limit, state: Mutex::new(state) }))
    }

    pub(super) fn try_enter(&self) -> Option<Turn> {
        let mut state = self.0.state.lock();
        let is_free = state.running < state.limit && state.waiting.iter().all(VecDeque::is_empty);
        is_free.then(|| {
            state.running += 1;
            Turn(Some(self.clone()))
        })
    }

    /// Waits for a turn; `None` if none is free in time, or if the queue is full.
    pub(super) async fn enter(&self, is_keyed: bool, wait: Duration) -> Option<Turn> {
        let receiver = {
            let mut state = self.0.state.lock();
            let max_waiting = self.0.max_limit * WAITING_PER_PLACE;
            if state.count_waiting() >= max_waiting {
                state.sweep();
                if state.count_waiting() >= max_waiting {
                    return None;
                }
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting[usize::from(!is_keyed)].push_back(sender);
            self.advance(&mut state);
            receiver
        };
        timeout(wait, receiver).await.ok()?.ok()
    }

    fn advance(&self, state: &mut State) {
        self.adjust(state);
        while state.running < state.limit {
            let [keyed, others] = &mut state.waiting;
            let is_turn_of_others = state.turns == TURNS_PER_UNKEYED - 1;
            let [first, second] = if is_turn_of_others { [others, keyed] } else { [keyed, others] };
            let Some(next) = first.pop_front().or_else(|| second.pop_front()) else { return };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => {
                    state.running += 1;
                    state.turns = (state.turns + 1) % TURNS_PER_UNKEYED;
                }
                // The receiver was dropped: discard the turn without decrementing `running`.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
    }

    fn adjust(&self, state: &mut State) {
        let now = Instant::now();
        if now - state.adjusted_at < ADJUST_INTERVAL {
            return;
        }
        state.adjusted_at = now;
        let waits = (self.0.waits)();
        let connection_wait = waits.average_since(&state.waits);
        state.waits = waits;
        if connection_wait > MAX_CONNECTION_WAIT {
            state.limit = (state.limit - state.limit / 10).max(MIN_LIMIT.min(self.0.max_limit));
        } else if state.running >= state.limit {
            state.limit = (state.limit + state.limit.div_ceil(8)).min(self.0.max_limit);
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        metrics::gauge!("mainstay_concurrency_limit").set(state.limit as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// Creates a queue of at most `max_limit`, and the duration of each wait for a connection, in milliseconds.
    fn queue(max_limit: usize) -> (AdmissionQueue, Arc<AtomicU64>) {
        let (wait_ms, count) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
        let each_ms = wait_ms.clone();
        let total = Mutex::new(Duration::ZERO);
        let waits = move || {
            let mut total = total.lock();
            *total += Duration::from_millis(each_ms.load(Relaxed));
            Waits { count: count.fetch_add(1, Relaxed), total: *total }
        };
        (AdmissionQueue::new(max_limit, waits), wait_ms)
    }

    #[tokio::test(start_paused = true)]
    async fn keyed_requests_go_first_and_requests_that_gave_up_are_skipped() {
        let (queue, _) = queue(1);
        let turn = queue.try_enter().expect("no request runs");
        assert!(queue.try_enter().is_none());
        let waiting = |is_keyed| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.enter(is_keyed, LONG).await.expect("a turn") })
        };
        let (leaver, other, keyed) = (waiting(true), waiting(false), waiting(true));
        tokio::task::yield_now().await;
        leaver.abort();
        assert!(leaver.await.is_err());
        drop(turn);
        let turn = keyed.await.expect("no panic");
        assert!(!other.is_finished());
        drop(turn);
        drop(other.await.expect("no panic"));
        drop(queue.try_enter().expect("all have left"));
    }

    #[tokio::test(start_paused = true)]
    async fn every_fourth_turn_is_that_of_a_request_without_a_key() {
        // A limit of three admits the twelve that wait here; two of the three turns are taken throughout.
        let (queue, _) = queue(3);
        let _taken = [queue.try_enter(), queue.try_enter()];
        let turn = queue.try_enter().expect("no request runs");
        let served = Arc::<Mutex<Vec<bool>>>::default();
        let enter = |is_keyed| {
            let (queue, served) = (queue.clone(), served.clone());
            tokio::spawn(async move {
                let _turn = queue.enter(is_keyed, LONG).await.expect("a turn");
                served.lock().push(is_keyed);
            })
        };
        let waiting: Vec<_> = [[true; 8], [false; 8]].concat().into_iter().take(12).map(enter).collect();
        tokio::task::yield_now().await;
        drop(turn);
        for one in waiting {
            one.await.expect("no panic");
        }
        let (keyed, other) = (true, false);
        let expected = [keyed, keyed, keyed, other, keyed, keyed, keyed, other, keyed, keyed, other, other];
        assert_eq!(served.lock()[..], expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_and_the_queue_is_bounded() {
        let (queue, _) = queue(2);
        let _turns = [queue.try_enter(), queue.try_enter()];
        let since = Instant::now();
        assert!(queue.enter(false, Duration::from_secs(1)).await.is_none());
        assert_eq!(since.elapsed(), Duration::from_secs(1));
        let enter = |_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.enter(false, LONG).await })
        };
        let waiting: Vec<_> = (0..2 * WAITING_PER_PLACE).map(enter).collect();
        tokio::task::yield_now().await;
        assert!(queue.enter(false, LONG).await.is_none(), "the queue is full");
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "requests that gave up are not counted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_looked_through_now_and_then() {
        let (queue, _) = queue(1);
        let _turn = queue.try_enter().expect("no request runs");
        let enter = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.enter(false, LONG).await })
        };
        let mut waiting: Vec<_> = (0..WAITING_PER_PLACE).map(|_| enter()).collect();
        tokio::task::yield_now().await;
        tokio::time::advance(SWEEP_INTERVAL).await;
        assert!(queue.enter(false, LONG).await.is_none(), "no request gave up");
        let leaver = waiting.remove(0);
        leaver.abort();
        assert!(leaver.await.is_err());
        let since = Instant::now();
        assert!(queue.enter(false, LONG).await.is_none() && since.elapsed() == Duration::ZERO, "not again at once");
        tokio::time::advance(SWEEP_INTERVAL).await;
        let next = enter();
        tokio::task::yield_now().await;
        assert!(!next.is_finished(), "it has the place of the request that gave up");
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_grows_unless_connections_are_scarce() {
        let (queue, wait_ms) = queue(1000);
        let mut turns: Vec<_> = std::iter::from_fn(|| queue.try_enter()).collect();
        assert_eq!(turns.len(), MIN_LIMIT);
        let grow = async |turns: &mut Vec<_>| {
            for _ in 0..40 {
                tokio::time::advance(ADJUST_INTERVAL).await;
                turns.extend(queue.enter(false, Duration::ZERO).await);
                turns.extend(std::iter::from_fn(|| queue.try_enter()));
            }
            turns.len()
        };
        assert_eq!(grow(&mut turns).await, 1000, "what runs waits for something else");
        turns.clear();
        wait_ms.store(50, Relaxed);
        for _ in 0..40 {
            tokio::time::advance(ADJUST_INTERVAL).await;
            drop(queue.try_enter());
        }
        assert_eq!(grow(&mut turns).await, MIN_LIMIT, "more would only wait for connections");
    }
}
