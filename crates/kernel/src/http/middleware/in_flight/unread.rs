//! The responses that were not read yet, and the memory that they hold.

mod watches;

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::counter;
use parking_lot::Mutex;
use uuid::Uuid;

use super::InFlightGuard;
use crate::{
    fair_share::{FairShare, Held, Keys, Rule, Scope, Share},
    http::exchange::{Exchange, LINGER},
};

/// The size in bytes up to which a response is not charged: most responses, and every rejection. Only their number is
/// bounded.
pub(super) const SMALL: usize = 16 << 10;
/// A soft limit on the number of responses, each of which is a task and a stream. Beyond it, each new response cuts off the
/// reader that has stalled for longest, if one has. Watches have their own limit.
const MAX_RESPONSES: usize = 4096;
/// The time after which a stalled reader may be evicted.
const MIN_STALL_TO_EVICT: Duration = Duration::from_millis(250);
/// While memory is scarce, a principal whose unread bytes are at most all bytes divided by this is served without a
/// pause.
const PRINCIPAL_SHARE_DIVISOR: usize = 64;
/// The pause of other principals: the time between two of their responses while they do not read.
const PAUSE: Duration = Duration::from_secs(10);
/// The time that a response has, past its deadline, to end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// The interval between two searches for stalled responses.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// The value of `last_piece_ms` while the reader waits.
const ALL_READ: u64 = u64::MAX;

type Memory = FairShare<Reader, Response>;
type HeldResponse = Held<Reader, Response>;

/// The responses that were not read yet.
#[derive(Debug)]
pub(crate) struct Unread {
    max_bytes: usize,
    stalled_after: Duration,
    started_at: Instant,
    memory: Memory,
    /// The number of responses that are not watches.
    others: AtomicUsize,
    /// The principals that are not served while memory is scarce, with the end of the pause in milliseconds after the start.
    pauses: Mutex<HashMap<Uuid, u64>>,
}

#[derive(Debug, Clone, Copy)]
struct Reader {
    /// The address of the [`Connection`](crate::http::exchange::Connection), which the response keeps alive.
    connection: Option<usize>,
    principal: Option<Uuid>,
    is_watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ReaderKey {
    Connection(usize),
    Principal(Uuid),
    Watches,
}

impl Keys for Reader {
    type Key = ReaderKey;

    fn each(self) -> impl Iterator<Item = (ReaderKey, Scope)> {
        let connection = self.connection.map(|connection| (ReaderKey::Connection(connection), Scope::Own));
        let principal = self.principal.map(|principal| (ReaderKey::Principal(principal), Scope::Own));
        let watches = self.is_watch.then_some((ReaderKey::Watches, Scope::Counted));
        connection.into_iter().chain(principal).chain(watches)
    }
}

#[derive(Debug)]
struct Response {
    limits: ResponseLimits,
    /// The amount with which it was counted at first. A watch counts with more while its reader is stalled.
    reserved_bytes: usize,
    /// When a piece was last passed on, in milliseconds after the start; [`ALL_READ`] if the reader has taken all so far.
    last_piece_ms: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(super) struct ResponseLimits {
    /// The handle that ends the response; `None` outside of a listener.
    pub(super) exchange: Option<Exchange>,
    pub(super) principal: Option<Uuid>,
    pub(super) deadline: Option<Instant>,
    /// Whether it is a watch; most watches wait.
    pub(super) is_watch: bool,
    /// Whether it reports a write, which may be committed.
    pub(super) reports_write: bool,
}

/// Counts a response until it is dropped.
#[derive(Debug)]
pub(super) struct UnreadGuard {
    unread: Arc<Unread>,
    share: Share<Reader, Response>,
    principal: Option<Uuid>,
    is_watch: bool,
    last_piece_ms: Arc<AtomicU64>,
    _in_flight: InFlightGuard,
}

impl Unread {
    /// Bounds all responses to `max_bytes`, of which a connection and a principal may each have a quarter. A reader may take
    /// nothing for `stalled_after`, and for less while the server drains. Searches for stalled responses periodically, until
    /// the result is dropped.
    pub(crate) fn new(max_bytes: usize, stalled_after: Duration) -> Arc<Self> {
        let (memory, started_at) = (FairShare::new(max_bytes, Rule::Fixed(max_bytes / 4)), Instant::now());
        let (others, pauses) = Default::default();
        let unread = Arc::new(Self { max_bytes, stalled_after, started_at, memory, others, pauses });
        tokio::spawn(sweep_periodically(Arc::downgrade(&unread)));
        unread
    }

    /// Returns how long a principal is not served unless it reads: memory is scarce, and the principal has more than its
    /// part unread, or one of its responses was just cut off. `None`: it is served.
    pub(super) fn pause_left(&self, principal: Uuid) -> Option<Duration> {
        let (used, of_watches) = {
            let memory = self.memory.lock();
            (memory.used(), memory.used_by(ReaderKey::Watches))
        };
        // The bytes of watches are not scarce memory: most watches have read everything. They are not free memory either.
        let is_scarce = used - of_watches > self.max_bytes.saturating_sub(of_watches) / 2;
        let until_ms = if is_scarce { self.pauses.lock().get(&principal).copied() } else { None };
        let left_ms = until_ms?.saturating_sub(self.now_ms());
        (left_ms > 0).then(|| Duration::from_millis(left_ms))
    }

    /// Reserves memory for a response; `None` if there is too little. Responses whose readers have stalled make room.
    pub(super) fn reserve(
        self: &Arc<Self>,
        bytes: usize,
        limits: ResponseLimits,
        in_flight: InFlightGuard,
    ) -> Option<UnreadGuard> {
        let now_ms = self.now_ms();
        // Small responses are not charged: many of them must not leave too little for a large one.
        let bytes = if bytes > SMALL || limits.is_watch { bytes } else { 0 };
        let ResponseLimits { principal, is_watch, reports_write, .. } = limits;
        let connection = limits.exchange.as_ref().map(|exchange| Arc::as_ptr(exchange.connection()).addr());
        let reader = Reader { connection, principal, is_watch };
        let last_piece_ms = Arc::new(AtomicU64::new(now_ms));
        let response = Response { limits, reserved_bytes: bytes, last_piece_ms: last_piece_ms.clone() };
        if !is_watch {
            self.bound_number(now_ms);
        }
        let share = if bytes <= SMALL || reports_write {
            // Not rejected. A watch is charged with what it holds when its reader stalls. A write may be committed, and its
            // rejection would ask for a repetition; the concurrency limit bounds the excess.
            self.memory.count(reader, bytes, response)
        } else {
            let (share, evicted) = self.memory.take_over(reader, bytes, response, |_, _, (_, held)| {
                let may_evict = held.amount > SMALL && held.holder.limits.exchange.is_some();
                held.holder.stalled_ms(now_ms).filter(|&stalled_ms| may_evict && is_evictable(stalled_ms))
            });
            evicted.into_iter().for_each(|held| self.cut_off(held, "memory", now_ms));
            let Ok(share) = share else {
                counter!("mainstay_responses_cut_off_total", "reason" => "memory").increment(1);
                return None;
            };
            share
        };
        if let Some(principal) = principal
            && bytes > 0
            && self.memory.lock().used_by(ReaderKey::Principal(principal)) > self.max_bytes / PRINCIPAL_SHARE_DIVISOR
        {
            self.pause(principal, now_ms);
        }
        if !is_watch {
            self.others.fetch_add(1, Ordering::Relaxed);
        }
        Some(UnreadGuard { unread: self.clone(), share, principal, is_watch, last_piece_ms, _in_flight: in_flight })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(ALL_READ - 1)
    }

    fn pause(&self, principal: Uuid, now_ms: u64) {
        self.pauses.lock().insert(principal, now_ms + PAUSE.as_millis() as u64);
    }

    /// Cuts off the reader that has stalled for longest, if there are too many responses.
    fn bound_number(&self, now_ms: u64) {
        if self.others.load(Ordering::Relaxed) < MAX_RESPONSES {
            return;
        }
        let mut memory = self.memory.lock();
        let can_end = |held: &HeldResponse| held.holder.limits.exchange.is_some() && !held.keys.is_watch;
        let evicted = memory.evict(|_, held| held.holder.stalled_ms(now_ms).filter(|_| can_end(held)));
        drop(memory);
        evicted.into_iter().for_each(|held| self.cut_off(held, "memory", now_ms));
    }

    /// Ends responses that have stalled for too long or are past their deadlines, and charges watches for what they hold.
    fn sweep(&self) {
        let (now, now_ms) = (Instant::now(), self.now_ms());
        let limit_ms = u64::try_from(self.stalled_after.as_millis()).unwrap_or(ALL_READ);
        let mut memory = self.memory.lock();
        let overdue = memory.held().filter_map(|(number, held)| {
            let response = &held.holder;
            let limit_ms = if response.is_closing() { limit_ms.min(LINGER.as_millis() as u64) } else { limit_ms };
            let late = response.limits.deadline.is_some_and(|deadline| now > deadline + GRACE);
            let stalled = response.stalled_ms(now_ms).is_some_and(|stalled| stalled >= limit_ms);
            let reason = if late { "deadline" } else { "stalled" };
            (late || stalled).then_some((number, reason))
        });
        let mut ended = Vec::new();
        for (number, reason) in overdue.collect::<Vec<_>>() {
            ended.extend(memory.remove(number).map(|held| (held, reason)));
        }
        drop(memory);
        ended.extend(watches::charge(&self.memory, now_ms).into_iter().map(|held| (held, "memory")));
        for (held, reason) in ended {
            self.cut_off(held, reason, now_ms);
        }
        self.pauses.lock().retain(|_, until_ms| now_ms < *until_ms);
    }

    /// Ends a response that is no longer counted.
    fn cut_off(&self, held: HeldResponse, reason: &'static str, now_ms: u64) {
        let ResponseLimits { principal, exchange, .. } = held.holder.limits;
        if let Some(principal) = principal {
            self.pause(principal, now_ms);
        }
        if let Some(exchange) = exchange {
            counter!("mainstay_responses_cut_off_total", "reason" => reason).increment(1);
            exchange.abort();
        }
    }
}

fn is_evictable(stalled_ms: u64) -> bool {
    Duration::from_millis(stalled_ms) >= MIN_STALL_TO_EVICT
}

async fn sweep_periodically(unread: Weak<Unread>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(unread) = unread.upgrade() else { return };
        unread.sweep();
    }
}

impl Response {
    /// Whether its connection is to close, because the server drains.
    fn is_closing(&self) -> bool {
        self.limits.exchange.as_ref().is_some_and(|exchange| exchange.connection().closing.is_cancelled())
    }

    /// Returns how long the reader has not taken what was passed on; `None` if the reader waits for more.
    fn stalled_ms(&self, now_ms: u64) -> Option<u64> {
        let last_piece_ms = self.last_piece_ms.load(Ordering::Relaxed);
        (last_piece_ms != ALL_READ).then(|| now_ms.saturating_sub(last_piece_ms))
    }
}

impl UnreadGuard {
    /// Records that a piece was passed on: the reader took the piece before it.
    pub(super) fn record_piece(&self) {
        self.last_piece_ms.store(self.unread.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn record_all_read(&self) {
        self.last_piece_ms.store(ALL_READ, Ordering::Relaxed);
    }
}

impl Drop for UnreadGuard {
    fn drop(&mut self) {
        if !self.is_watch {
            self.unread.others.fetch_sub(1, Ordering::Relaxed);
        }
        // A small response lifts no pause: to read a rejection frees no memory.
        let was_read = self.share.release().is_some_and(|bytes| bytes > SMALL);
        if let Some(principal) = self.principal.filter(|_| was_read) {
            self.unread.pauses.lock().remove(&principal);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::Gauge;

    use super::*;

    const BYTES: usize = 1 << 20;

    /// The bounds of a response outside of a listener, which nothing can end.
    fn limits(principal: Uuid) -> ResponseLimits {
        let principal = Some(principal);
        ResponseLimits { exchange: None, principal, deadline: None, is_watch: false, reports_write: false }
    }

    fn reserve(unread: &Arc<Unread>, principal: Uuid, bytes: usize) -> Option<UnreadGuard> {
        unread.reserve(bytes, limits(principal), InFlightGuard::new(Gauge::noop(), None))
    }

    #[tokio::test]
    async fn a_principal_has_a_quarter_of_the_memory() {
        let unread = Unread::new(BYTES, Duration::from_secs(30));
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = reserve(&unread, one, BYTES / 8).expect("an eighth");
        let _second = reserve(&unread, one, BYTES / 8).expect("a quarter");
        assert!(reserve(&unread, one, SMALL + 1).is_none(), "more than a quarter");
        let _small = reserve(&unread, one, SMALL).expect("small ones are not counted");
        let _others = reserve(&unread, other, BYTES / 4).expect("a quarter of its own");
        let limits = ResponseLimits { reports_write: true, ..limits(one) };
        let write = unread.reserve(BYTES, limits, InFlightGuard::new(Gauge::noop(), None));
        drop(write.expect("a committed write is reported"));
        drop(first);
        reserve(&unread, one, BYTES / 8).expect("what was read makes room");
    }
}
