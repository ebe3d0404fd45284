//! The charge of watches: little while their readers read, since most watches wait and what they send is shared, and what
//! they hold while their readers are stalled.

use super::{HeldResponse, Memory, is_evictable};

/// About what a watch holds whose reader does not read: a part of a page, its encoded form, and the buffers of the
/// connection. Measured: 200 kB.
const STALLED_WATCH_BYTES: usize = 256 << 10;

/// Charges each watch whose reader has stalled with what it holds, and the others with what they began with. Returns the
/// watches that no longer fit into the memory of all responses, of their connection or of their principal: the longest
/// stalled watches first.
pub(super) fn charge(memory: &Memory, now_ms: u64) -> Vec<HeldResponse> {
    let mut memory = memory.lock();
    let watches = memory.held().filter(|(_, held)| held.keys.is_watch).map(|(number, held)| {
        (held.holder.stalled_ms(now_ms).unwrap_or_default(), number, held.holder.reserved_bytes, held.keys)
    });
    let mut watches: Vec<_> = watches.collect();
    for &(_, number, reserved_bytes, _) in &watches {
        memory.resize(number, reserved_bytes);
    }
    watches.retain(|&(stalled_ms, ..)| is_evictable(stalled_ms));
    watches.sort_unstable_by_key(|&(stalled_ms, number, ..)| (stalled_ms, number));
    let mut evicted = Vec::new();
    for (_, number, _, reader) in watches {
        memory.resize(number, STALLED_WATCH_BYTES);
        if memory.check(reader, 0).is_err() {
            evicted.extend(memory.remove(number));
        }
    }
    evicted
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use metrics::Gauge;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::http::{
        exchange::{Connection, Exchange},
        middleware::in_flight::{
            InFlightGuard, Unread,
            unread::{MIN_STALL_TO_EVICT, ReaderKey, ResponseLimits, UnreadGuard},
        },
    };

    const BYTES: usize = 16 << 20;
    const RESERVED: usize = 4 << 10;

    struct Watch {
        connection: Arc<Connection>,
        guard: UnreadGuard,
    }

    fn unread() -> Arc<Unread> {
        Unread::new(BYTES, Duration::from_secs(30))
    }

    /// Counts a watch on a separate connection, whose reader has stalled or waits for more.
    fn watch(unread: &Arc<Unread>, principal: u128, is_stalled: bool) -> Watch {
        let connection = Connection::new(CancellationToken::new());
        let limits = ResponseLimits {
            reports_write: false,
            exchange: Some(Exchange::of_test(&connection)),
            principal: Some(Uuid::from_u128(principal)),
            deadline: None,
            is_watch: true,
        };
        let guard = unread.reserve(RESERVED, limits, InFlightGuard::new(Gauge::noop(), None)).expect("room");
        if is_stalled {
            guard.record_piece();
        } else {
            guard.record_all_read();
        }
        Watch { connection, guard }
    }

    /// Returns the number of responses after a sweep, and the bytes of all and of watches.
    fn charged(unread: &Arc<Unread>) -> (usize, usize, usize) {
        unread.sweep();
        let memory = unread.memory.lock();
        (memory.held().len(), memory.used(), memory.used_by(ReaderKey::Watches))
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
        let connection = ReaderKey::Connection(Arc::as_ptr(&stalled[0].connection).addr());
        let of_connection = || unread.memory.lock().used_by(connection);
        assert_eq!(of_connection(), STALLED_WATCH_BYTES);
        stalled.iter().for_each(|watch| watch.guard.record_all_read());
        assert_eq!((charged(&unread), of_connection()), (at_first, RESERVED), "they have read");
        drop((waiting, stalled));
        assert_eq!(charged(&unread), (0, 0, 0));
    }

    #[tokio::test]
    async fn watches_whose_readers_stall_get_no_more_than_their_share() {
        let unread = unread();
        let waiting = watch(&unread, 9, false);
        // All may hold as much as 64 of them, a principal as much as 16.
        let many: Vec<_> = (0..32).map(|_| watch(&unread, 1, true)).collect();
        let others: Vec<_> = (0..64).map(|number| watch(&unread, 2 + number % 4, true)).collect();
        tokio::time::sleep(MIN_STALL_TO_EVICT).await;
        let (responses, bytes, of_watches) = charged(&unread);
        assert!(bytes <= BYTES && bytes > BYTES / 4 * 3 && of_watches == bytes, "{responses} with {bytes}");
        for principal in 1..6 {
            let of_principal = unread.memory.lock().used_by(ReaderKey::Principal(Uuid::from_u128(principal)));
            assert!(of_principal <= BYTES / 4, "{principal} has {of_principal}");
        }
        assert!(waiting.guard.share.amount().is_some(), "a watch whose reader reads is not cut off");
        assert_eq!(charged(&unread), (responses, bytes, bytes), "it stays like that");
        drop((many, others, waiting));
    }
}
