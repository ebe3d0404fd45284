//! The responses that were not read yet, and the memory that they keep.

mod watches;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::counter;
use uuid::Uuid;

use super::guard::InFlightGuard;
use crate::{
    config,
    http::exchange::{Exchange, LINGER},
};

/// The size up to which a response is not charged against the memory limit: most responses, and every refusal. Only their
/// number is bounded.
const SMALL: usize = 16 << 10;
/// A soft limit on responses, however small; each is a task and a stream. Beyond it, each new one cuts off the reader
/// that has stalled for longest, if any has. Watches have a limit of their own.
const MAX_RESPONSES: usize = 4096;
/// A reader stalled this long may be evicted.
const MIN_STALL_TO_EVICT: Duration = Duration::from_millis(250);
/// While memory is scarce, a principal is served without a pause as long as it leaves at most all bytes divided by this
/// unread.
const PRINCIPAL_SHARE_DIVISOR: usize = 64;
/// How long such a principal waits otherwise: the time between two of its responses while it does not read.
const PAUSE: Duration = Duration::from_secs(10);
/// The time that a response has, past its deadline, to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// The interval between two searches for stalled responses.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// The value of `last_piece_ms` while the reader waits.
const ALL_READ: u64 = u64::MAX;

/// Bounds on what is not read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The bytes of all responses; a connection and a principal may have a quarter of them.
    pub bytes: usize,
    /// How long a reader may take nothing; shorter while the server drains.
    pub stalled_after: Duration,
}

impl Limits {
    /// Returns the limits that are configured.
    pub fn new(server: &config::Server) -> Self {
        Self { bytes: server.max_unread_bytes, stalled_after: server.write_timeout }
    }
}

/// The responses that were not read yet. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Unread(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    started_at: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    responses: HashMap<u64, Response>,
    watches: usize,
    bytes: usize,
    /// Those of `bytes` that are the watches'.
    watch_bytes: usize,
    by_principal: HashMap<Uuid, Share>,
}

/// What a principal has not read.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    /// Until when nothing more is made for the principal, while memory is scarce.
    pauses_until_ms: u64,
}

impl Share {
    fn pause(&mut self, now_ms: u64) {
        self.pauses_until_ms = now_ms + PAUSE.as_millis() as u64;
    }
}

#[derive(Debug)]
struct Response {
    limits: ResponseLimits,
    /// What it counts with now; a watch counts with more while its reader has stalled.
    bytes: usize,
    /// What it counted with at first.
    reserved_bytes: usize,
    /// When a piece was last passed on, in milliseconds after the start; [`ALL_READ`] if the reader has taken all so far.
    last_piece_ms: Arc<AtomicU64>,
}

/// What bounds a response.
#[derive(Debug)]
pub(super) struct ResponseLimits {
    /// How to end it; `None` outside of a listener: then nothing can.
    pub(super) exchange: Option<Exchange>,
    pub(super) principal: Option<Uuid>,
    pub(super) deadline: Option<Instant>,
    /// Whether it is one of the watches, most of which wait.
    pub(super) is_watch: bool,
}

/// Counts a response until it is dropped.
#[derive(Debug)]
pub(super) struct UnreadGuard {
    unread: Arc<Inner>,
    number: u64,
    last_piece_ms: Arc<AtomicU64>,
    _in_flight: InFlightGuard,
}

impl Unread {
    /// Starts to look for stalled responses, until all clones are dropped.
    pub fn new(limits: Limits) -> Self {
        let inner = Arc::new(Inner { limits, started_at: Instant::now(), state: Mutex::default() });
        tokio::spawn(sweep_periodically(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// How long nothing more is made for a principal unless it reads: memory is scarce, and the principal has more than
    /// its share unread, or has just had a response cut off that it did not read. `None`: it is served.
    pub(super) fn pause(&self, principal: Uuid) -> Option<Duration> {
        let inner = &*self.0;
        let state = inner.lock();
        // What the watches reserve is neither unread, for most of them wait, nor there for others.
        let others = inner.limits.bytes.saturating_sub(state.watch_bytes);
        let is_scarce = state.bytes - state.watch_bytes > others / 2;
        let own = state.by_principal.get(&principal).filter(|_| is_scarce)?;
        let left_ms = own.pauses_until_ms.saturating_sub(inner.now_ms());
        (left_ms > 0).then(|| Duration::from_millis(left_ms))
    }

    /// Reserves memory for a response; returns `None` if there is too little.
    pub(super) fn reserve(
        &self,
        bytes: usize,
        limits: ResponseLimits,
        in_flight: InFlightGuard,
    ) -> Option<UnreadGuard> {
        let inner = &*self.0;
        let now_ms = inner.now_ms();
        // Small responses are not charged: many of them must not leave too little for one that is.
        let bytes = if bytes > SMALL || limits.is_watch { bytes } else { 0 };
        let mut state = inner.lock();
        if !state.make_room(&limits, bytes, inner.limits.bytes, now_ms) {
            counter!("mainstay_responses_cut_off_total", "reason" => "memory").increment(1);
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.bytes += bytes;
        if limits.is_watch {
            state.watches += 1;
            state.watch_bytes += bytes;
        }
        if let Some(exchange) = &limits.exchange {
            exchange.connection().unread_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Some(principal) = limits.principal
            && bytes > 0
        {
            let own = state.by_principal.entry(principal).or_default();
            own.bytes += bytes;
            if own.bytes > inner.limits.bytes / PRINCIPAL_SHARE_DIVISOR {
                own.pause(now_ms);
            }
        }
        let last_piece_ms = Arc::new(AtomicU64::new(now_ms));
        state
            .responses
            .insert(number, Response { limits, bytes, reserved_bytes: bytes, last_piece_ms: last_piece_ms.clone() });
        Some(UnreadGuard { unread: self.0.clone(), number, last_piece_ms, _in_flight: in_flight })
    }
}

impl Inner {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(ALL_READ - 1)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what has stalled for too long, or is past its deadline, and charges watches for what they hold now.
    fn sweep(&self) {
        let (now, now_ms) = (Instant::now(), self.now_ms());
        let limit_ms = u64::try_from(self.limits.stalled_after.as_millis()).unwrap_or(ALL_READ);
        let mut state = self.lock();
        let overdue = state.responses.iter().filter_map(|(&number, response)| {
            let limit_ms = if response.is_closing() { limit_ms.min(LINGER.as_millis() as u64) } else { limit_ms };
            let late = response.limits.deadline.is_some_and(|deadline| now > deadline + GRACE);
            let stalled = response.stalled_ms(now_ms).is_some_and(|stalled| stalled >= limit_ms);
            let reason = if late { "deadline" } else { "stalled" };
            (late || stalled).then_some((number, reason))
        });
        for (number, reason) in overdue.collect::<Vec<_>>() {
            state.cut_off(number, reason, now_ms);
        }
        state.charge_watches(self.limits.bytes, now_ms);
        state.by_principal.retain(|_, share| share.bytes > 0 || now_ms < share.pauses_until_ms);
    }
}

async fn sweep_periodically(unread: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(unread) = unread.upgrade() else { return };
        unread.sweep();
    }
}

impl State {
    fn make_room(&mut self, limits: &ResponseLimits, bytes: usize, total: usize, now_ms: u64) -> bool {
        if !limits.is_watch && self.responses.len() - self.watches >= MAX_RESPONSES {
            self.cut_off_stalled(|_| true, 0, now_ms);
        }
        if bytes <= SMALL {
            return true;
        }
        let connection = limits.exchange.as_ref().map(Exchange::connection);
        if let Some(connection) = connection {
            let of_connection = |response: &Response| {
                let own = response.limits.exchange.as_ref().map(Exchange::connection);
                response.bytes > SMALL && own.is_some_and(|own| Arc::ptr_eq(own, connection))
            };
            while connection.unread_bytes.load(Ordering::Relaxed) + bytes > total / 4 {
                if !self.cut_off_stalled(of_connection, MIN_STALL_TO_EVICT.as_millis() as u64, now_ms) {
                    return false;
                }
            }
        }
        if let Some(principal) = limits.principal {
            while self.by_principal.get(&principal).map_or(0, |share| share.bytes) + bytes > total / 4 {
                let of_principal =
                    |response: &Response| response.bytes > SMALL && response.limits.principal == Some(principal);
                if !self.cut_off_stalled(of_principal, MIN_STALL_TO_EVICT.as_millis() as u64, now_ms) {
                    return false;
                }
            }
        }
        while self.bytes + bytes > total {
            if !self.cut_off_stalled(|response| response.bytes > SMALL, MIN_STALL_TO_EVICT.as_millis() as u64, now_ms) {
                return false;
            }
        }
        true
    }

    /// Ends the one response of some that has stalled for longest. Returns whether there was one.
    fn cut_off_stalled(&mut self, which: impl Fn(&Response) -> bool, at_least_ms: u64, now_ms: u64) -> bool {
        let some = self.responses.iter().filter(|(_, response)| response.limits.exchange.is_some() && which(response));
        let stalled = some.filter_map(|(&number, response)| Some((response.stalled_ms(now_ms)?, number)));
        let Some((_, number)) = stalled.filter(|&(stalled, _)| stalled >= at_least_ms).max() else { return false };
        self.cut_off(number, "memory", now_ms);
        true
    }

    fn cut_off(&mut self, number: u64, reason: &'static str, now_ms: u64) {
        let Some(response) = self.remove(number) else { return };
        if let Some(principal) = response.limits.principal {
            self.by_principal.entry(principal).or_default().pause(now_ms);
        }
        if let Some(exchange) = response.limits.exchange {
            counter!("mainstay_responses_cut_off_total", "reason" => reason).increment(1);
            exchange.abort();
        }
    }

    /// Ends the count of a response. Its end lifts the pause of its principal, unless it was small: to read a refusal
    /// frees nothing.
    fn remove(&mut self, number: u64) -> Option<Response> {
        let response = self.responses.remove(&number)?;
        self.bytes -= response.bytes;
        if response.limits.is_watch {
            self.watches -= 1;
            self.watch_bytes -= response.bytes;
        }
        if let Some(exchange) = &response.limits.exchange {
            exchange.connection().unread_bytes.fetch_sub(response.bytes, Ordering::Relaxed);
        }
        if let Some(principal) = response.limits.principal
            && let Some(own) = self.by_principal.get_mut(&principal)
        {
            own.bytes -= response.bytes;
            if response.bytes > SMALL {
                own.pauses_until_ms = 0;
            }
            if own.bytes == 0 && own.pauses_until_ms == 0 {
                self.by_principal.remove(&principal);
            }
        }
        Some(response)
    }
}

impl Response {
    /// Whether its connection is to close, because the server drains.
    fn is_closing(&self) -> bool {
        self.limits.exchange.as_ref().is_some_and(|exchange| exchange.connection().closing.is_cancelled())
    }

    /// How long the reader has not taken what was passed on; `None` if it waits for more.
    fn stalled_ms(&self, now_ms: u64) -> Option<u64> {
        let last_piece_ms = self.last_piece_ms.load(Ordering::Relaxed);
        (last_piece_ms != ALL_READ).then(|| now_ms.saturating_sub(last_piece_ms))
    }
}

impl UnreadGuard {
    /// Notes that a piece was passed on: the reader took the one before it.
    pub(super) fn note_piece(&self) {
        self.last_piece_ms.store(self.unread.now_ms(), Ordering::Relaxed);
    }

    /// Notes that the reader has taken all there is so far.
    pub(super) fn note_all_read(&self) {
        self.last_piece_ms.store(ALL_READ, Ordering::Relaxed);
    }
}

impl Drop for UnreadGuard {
    fn drop(&mut self) {
        self.unread.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use metrics::Gauge;

    use super::*;

    const BYTES: usize = 1 << 20;

    /// Reserves memory for a response that no listener can end.
    fn reserve(unread: &Unread, principal: Uuid, bytes: usize) -> Option<UnreadGuard> {
        let limits = ResponseLimits { exchange: None, principal: Some(principal), deadline: None, is_watch: false };
        unread.reserve(bytes, limits, InFlightGuard::new(Gauge::noop(), None))
    }

    #[tokio::test]
    async fn a_principal_has_a_quarter_of_the_memory() {
        let unread = Unread::new(Limits { bytes: BYTES, stalled_after: Duration::from_secs(30) });
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = reserve(&unread, one, BYTES / 8).expect("an eighth");
        let _second = reserve(&unread, one, BYTES / 8).expect("a quarter");
        assert!(reserve(&unread, one, SMALL + 1).is_none(), "more than a quarter");
        let _small = reserve(&unread, one, SMALL).expect("small ones are not counted");
        let _others = reserve(&unread, other, BYTES / 4).expect("a quarter of its own");
        drop(first);
        reserve(&unread, one, BYTES / 8).expect("what was read makes room");
    }
}
