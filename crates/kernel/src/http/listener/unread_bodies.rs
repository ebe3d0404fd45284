//! The bodies of an HTTP/2 connection whose handlers do not read them.
//!
//! h2 counts the small DATA frames of a connection that are not read yet, and ends the connection with some two thousand of
//! them. One stream could thus end the requests of all clients that share the connection through a proxy. The frames of handlers
//! that are behind are therefore received for them, and once no more bytes can be held, the handler with the most of them loses
//! its body.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::request_body::Rest;
use crate::http::exchange::Connection;

/// The most bytes that are held for all handlers of a connection, as many as its window has. A last frame may exceed them.
const MAX_HELD_BYTES: usize = 1 << 20;
/// The small frames with which a handler may be behind, even if no more bytes can be held. While there is room, a handler may be
/// behind with any number: a busy machine may run it late.
const MAX_SMALL_WITHOUT_ROOM: usize = 64;

/// The bodies of a connection that have not ended. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreadBodies(Arc<Mutex<Vec<Weak<Rest>>>>);

impl UnreadBodies {
    pub(super) fn add(&self, body: &Arc<Rest>) {
        let mut bodies = self.0.lock();
        if bodies.len() == bodies.capacity() {
            bodies.retain(|body| body.strong_count() > 0);
        }
        bodies.push(Arc::downgrade(body));
    }

    /// Receives small frames for their handlers, until no more than `max_unread` of the connection are unread. Large frames,
    /// which bound their senders by the window, are only received if small ones may follow them. No body is lost for them: only
    /// one with many small frames is.
    pub(super) fn receive(&self, connection: &Connection, max_unread: usize) {
        let bodies: Vec<_> = {
            let mut bodies = self.0.lock();
            bodies.retain(|body| body.strong_count() > 0);
            bodies.iter().filter_map(Weak::upgrade).collect()
        };
        let held: usize = bodies.iter().map(|body| body.held().0).sum();
        let mut room = MAX_HELD_BYTES.saturating_sub(held);
        loop {
            for is_all in [false, true] {
                for body in &bodies {
                    if connection.unread_small() <= max_unread {
                        return;
                    }
                    room = room.saturating_sub(body.receive(is_all, room));
                }
            }
            // There is room again, or nothing that could be received is left.
            let most = bodies.iter().max_by_key(|body| body.held().1);
            match most.filter(|body| room == 0 && body.held().1 > MAX_SMALL_WITHOUT_ROOM) {
                Some(body) => room += body.lose(),
                None => return,
            }
        }
    }
}
