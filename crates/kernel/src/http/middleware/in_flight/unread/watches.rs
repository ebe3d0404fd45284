//! What watches count with: little while their readers read, since most of them wait and what they send is shared, and
//! what they hold once their readers have stalled.

use std::sync::atomic::Ordering;

use super::{MIN_STALL_TO_EVICT, ResponseLimits, State};

/// About what a watch holds whose reader does not read: a part of a page, what is encoded of it, and the buffers of the
/// connection. Measured: 200 kB.
const STALLED_WATCH_BYTES: usize = 256 << 10;

impl State {
    /// Charges each watch whose reader has stalled with what it holds, and the others with what they began with. Beyond
    /// what a connection, a principal and all of them may hold, those that have stalled for longest are cut off.
    pub(super) fn charge_watches(&mut self, total: usize, now_ms: u64) {
        let watches = self.responses.iter().filter(|(_, response)| response.limits.is_watch);
        let watches = watches
            .map(|(&number, watch)| (watch.stalled_ms(now_ms).unwrap_or_default(), number, watch.reserved_bytes));
        let mut watches: Vec<_> = watches.collect();
        for &(_, number, reserved_bytes) in &watches {
            self.charge(number, reserved_bytes);
        }
        watches.retain(|&(stalled_ms, ..)| stalled_ms >= MIN_STALL_TO_EVICT.as_millis() as u64);
        watches.sort_unstable();
        for (_, number, _) in watches {
            self.charge(number, STALLED_WATCH_BYTES);
            if self.responses.get(&number).is_some_and(|watch| self.is_over(&watch.limits, total)) {
                self.cut_off(number, "memory", now_ms);
            }
        }
    }

    /// Returns whether more is unread than may be: of all, of a connection, or of a principal.
    fn is_over(&self, limits: &ResponseLimits, total: usize) -> bool {
        let exchange = limits.exchange.as_ref();
        let of_connection = exchange.map_or(0, |exchange| exchange.connection().unread_bytes.load(Ordering::Relaxed));
        let of_principal = limits.principal.and_then(|principal| self.by_principal.get(&principal));
        self.bytes > total || of_connection > total / 4 || of_principal.is_some_and(|share| share.bytes > total / 4)
    }

    /// Changes what a watch counts with.
    fn charge(&mut self, number: u64, bytes: usize) {
        let Some(watch) = self.responses.get_mut(&number).filter(|watch| watch.bytes != bytes) else { return };
        let before = std::mem::replace(&mut watch.bytes, bytes);
        let change = |sum: &mut usize| *sum = *sum + bytes - before;
        change(&mut self.bytes);
        change(&mut self.watch_bytes);
        if let Some(exchange) = &watch.limits.exchange {
            // Wraps around where it becomes less.
            exchange.connection().unread_bytes.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
        }
        if let Some(principal) = watch.limits.principal {
            change(&mut self.by_principal.entry(principal).or_default().bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use metrics::Gauge;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::{
        http::{
            exchange::{Connection, Exchange},
            middleware::in_flight::{Limits, Unread, guard::InFlightGuard, unread::UnreadGuard},
        },
        rate_limit::Network,
    };

    const BYTES: usize = 16 << 20;
    const RESERVED: usize = 4 << 10;

    struct Watch {
        connection: Arc<Connection>,
        guard: UnreadGuard,
    }

    fn unread() -> Unread {
        Unread::new(Limits { bytes: BYTES, stalled_after: Duration::from_secs(30) })
    }

    /// Counts a watch on a connection of its own, whose reader has stalled or waits for more.
    fn watch(unread: &Unread, principal: u128, is_stalled: bool) -> Watch {
        let peer = Network::of(std::net::IpAddr::from([127, 0, 0, 1]));
        let connection = Connection::new(peer, CancellationToken::new());
        let limits = ResponseLimits {
            exchange: Some(Exchange::of_test(&connection)),
            principal: Some(Uuid::from_u128(principal)),
            deadline: None,
            is_watch: true,
        };
        let guard = unread.reserve(RESERVED, limits, InFlightGuard::new(Gauge::noop(), None)).expect("room");
        if is_stalled {
            guard.note_piece();
        } else {
            guard.note_all_read();
        }
        Watch { connection, guard }
    }

    /// How many responses there are after a sweep, and the bytes of all and of watches.
    fn charged(unread: &Unread) -> (usize, usize, usize) {
        unread.0.sweep();
        let state = unread.0.lock();
        (state.responses.len(), state.bytes, state.watch_bytes)
    }

    #[tokio::test]
    async fn a_watch_whose_reader_has_stalled_is_charged_for_what_it_holds() {
        let unread = unread();
        let waiting: Vec<_> = (0..8).map(|_| watch(&unread, 1, false)).collect();
        let stalled: Vec<_> = (0..8).map(|_| watch(&unread, 2, true)).collect();
        let at_first = (16, 16 * RESERVED, 16 * RESERVED);
        assert_eq!(charged(&unread), at_first, "no reader has stalled for long");
        tokio::time::sleep(MIN_STALL_TO_EVICT).await;
        let bytes = 8 * RESERVED + 8 * STALLED_WATCH_BYTES;
        assert_eq!(charged(&unread), (16, bytes, bytes));
        let of_connection = || stalled[0].connection.unread_bytes.load(Ordering::Relaxed);
        assert_eq!(of_connection(), STALLED_WATCH_BYTES);
        stalled.iter().for_each(|watch| watch.guard.note_all_read());
        assert_eq!((charged(&unread), of_connection()), (at_first, RESERVED), "they have read");
        drop((waiting, stalled));
        assert_eq!(charged(&unread), (0, 0, 0));
    }

    #[tokio::test]
    async fn watches_whose_readers_stall_get_no_more_than_their_share() {
        let unread = unread();
        let waiting = watch(&unread, 9, false);
        // All may hold as much as 64 of them, a principal as much as 16.
        let greedy: Vec<_> = (0..32).map(|_| watch(&unread, 1, true)).collect();
        let others: Vec<_> = (0..64).map(|number| watch(&unread, 2 + number % 4, true)).collect();
        tokio::time::sleep(MIN_STALL_TO_EVICT).await;
        let (responses, bytes, of_watches) = charged(&unread);
        assert!(bytes <= BYTES && bytes > BYTES / 4 * 3 && of_watches == bytes, "{responses} with {bytes}");
        let state = unread.0.lock();
        assert!(state.by_principal.values().all(|share| share.bytes <= BYTES / 4), "{:?}", state.by_principal);
        assert!(state.responses.contains_key(&waiting.guard.number), "who reads is not cut off");
        drop(state);
        assert_eq!(charged(&unread), (responses, bytes, bytes), "it stays like that");
        drop((greedy, others, waiting));
    }
}
