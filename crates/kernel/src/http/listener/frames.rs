//! Counts the frames of an HTTP/2 connection, to detect floods of control frames.
//!
//! SETTINGS, PING, PRIORITY, WINDOW_UPDATE and empty DATA cost their sender next to nothing and occupy a server
//! (CVE-2019-9512, 9513, 9515, 9518). h2 bounds the memory of its replies and the number of reset streams, but not the
//! number of these frames. Requests, sent data and read data earn a peer further control frames.

use std::time::Instant;

/// The connection preface of HTTP/2 (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame's header (RFC 9113, 4.1).
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// The initial and the maximum balance of a connection.
const MOST: i64 = 10_000;
const PER_SECOND: i64 = 100;
const PER_REQUEST: i64 = 8;
/// The bytes read per window update, at least: a peer that opens its window byte by byte only keeps a stream open.
const BYTES_READ_PER_FRAME: usize = 256;
/// A DATA frame with less payload than this is small, as h2 counts.
pub(super) const SMALL: usize = 256;
/// The flag of the last frame of a stream.
const END_STREAM: u8 = 1;

#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER],
    /// The bytes of the header that have arrived.
    filled: usize,
    /// The bytes of the payload that have not arrived.
    payload: usize,
    balance: i64,
    refilled: Instant,
    /// Bytes written that have not earned a frame yet.
    unearned_bytes: usize,
    /// The small DATA frames, but for the last one of a stream, that were not taken yet.
    small: usize,
}

impl Frames {
    pub(super) fn new(now: Instant) -> Self {
        Self { header: [0; HEADER], filled: 0, payload: 0, balance: MOST, refilled: now, unearned_bytes: 0, small: 0 }
    }

    /// Reads bytes after the preface. Returns whether the balance suffices.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        loop {
            let skipped = self.payload.min(bytes.len());
            (self.payload, bytes) = (self.payload - skipped, &bytes[skipped..]);
            let missing = (HEADER - self.filled).min(bytes.len());
            if self.payload > 0 || missing == 0 {
                return true;
            }
            let (head, rest) = bytes.split_at(missing);
            self.header[self.filled..self.filled + missing].copy_from_slice(head);
            (self.filled, bytes) = (self.filled + missing, rest);
            if self.filled == HEADER && !self.frame(now) {
                return false;
            }
        }
    }

    /// Returns the number of small DATA frames since the last call, without the last one of a stream, which h2 does not count.
    pub(super) fn take_small(&mut self) -> usize {
        std::mem::take(&mut self.small)
    }

    pub(super) fn wrote(&mut self, bytes: usize) {
        self.unearned_bytes += bytes;
        self.earn(i64::try_from(self.unearned_bytes / BYTES_READ_PER_FRAME).unwrap_or(MOST));
        self.unearned_bytes %= BYTES_READ_PER_FRAME;
    }

    fn frame(&mut self, now: Instant) -> bool {
        let [high, middle, low, kind, flags, ..] = self.header;
        (self.filled, self.payload) = (0, usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low));
        match kind {
            HEADERS => self.earn(PER_REQUEST),
            DATA if self.payload > 0 => {
                self.small += usize::from(self.payload < SMALL && flags & END_STREAM == 0);
                self.earn(1);
            }
            // Bounded by the limit on headers.
            CONTINUATION => {}
            _ => self.balance -= 1,
        }
        if self.balance >= 0 {
            return true;
        }
        let elapsed_ms = i64::try_from(now.duration_since(self.refilled).as_millis()).unwrap_or(MOST);
        self.refilled = now;
        self.earn(elapsed_ms * PER_SECOND / 1000);
        self.balance >= 0
    }

    fn earn(&mut self, frames: i64) {
        self.balance = (self.balance + frames).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
        frame.resize(HEADER + usize::from(length), 0xff);
        frame
    }

    fn count_accepted(frames: &mut Frames, kind: u8, length: u8, now: Instant) -> usize {
        (0..100_000).take_while(|_| frames.read(&frame(kind, length), now)).count()
    }

    #[test]
    fn a_flood_of_control_frames_ends() {
        let now = Instant::now();
        for (kind, length) in [(2, 5), (3, 4), (4, 0), (PING, 8), (8, 4), (DATA, 0), (200, 0)] {
            assert_eq!(count_accepted(&mut Frames::new(now), kind, length, now), MOST as usize, "{kind}");
        }
    }

    #[test]
    fn small_frames_are_counted_but_for_the_last_one_of_a_stream() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        let mut last = frame(DATA, 5);
        last[4] = END_STREAM;
        let large = [vec![0, 1, 0, DATA, 0, 0, 0, 0, 0], vec![0; SMALL]].concat();
        assert!(frames.read(&[frame(DATA, 5), last, large, frame(PING, 8), frame(DATA, 255)].concat(), now));
        assert_eq!((frames.take_small(), frames.take_small()), (2, 0));
    }

    #[test]
    fn requests_and_bytes_earn_control_frames() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        assert_eq!(count_accepted(&mut frames, HEADERS, 50, now), 100_000);
        count_accepted(&mut frames, SETTINGS, 0, now);
        frames.balance = 0;
        assert!(frames.read(&frame(HEADERS, 50), now));
        assert_eq!(count_accepted(&mut frames, SETTINGS, 0, now), PER_REQUEST as usize);
        frames.balance = 0;
        frames.wrote(BYTES_READ_PER_FRAME * 3 / 2);
        frames.wrote(BYTES_READ_PER_FRAME * 3 / 2);
        assert_eq!(count_accepted(&mut frames, SETTINGS, 0, now), 3);
        frames.balance = 0;
        assert_eq!(count_accepted(&mut frames, SETTINGS, 0, now + Duration::from_secs(1)), PER_SECOND as usize);
    }

    #[test]
    fn frames_are_found_however_they_arrive() {
        let now = Instant::now();
        let stream: Vec<u8> =
            [frame(PING, 8), frame(DATA, 200), frame(4, 0), frame(HEADERS, 3), frame(PING, 8)].concat();
        for size in 1..stream.len() {
            let mut frames = Frames::new(now);
            frames.balance = 100;
            assert!(stream.chunks(size).all(|piece| frames.read(piece, now)));
            assert_eq!(frames.balance, 100 - 3 + 1 + PER_REQUEST, "in pieces of {size}");
        }
    }
}
