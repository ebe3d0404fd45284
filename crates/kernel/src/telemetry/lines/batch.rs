//! Lines that are written together.

use std::{
    io::{self, Write},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long [`Batch::write_until`] waits for a sink that took nothing although it seemed to be ready.
const PAUSE: Duration = Duration::from_millis(10);

/// Where lines are written to.
pub(super) trait Sink: Write {
    /// Returns whether it takes as much as is written at once without a wait, now or within `wait`, which a signal may
    /// shorten.
    fn is_ready(&self, wait: Duration) -> bool;
}

impl Sink for io::Stderr {
    /// A pipe is ready if it has room for `PIPE_BUF`, a socket if it has room for a multiple of that, a file always.
    fn is_ready(&self, wait: Duration) -> bool {
        let mut stderr = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        poll(&mut stderr, wait).is_ok_and(|ready| ready > 0)
    }
}

/// Lines that were not written yet. It keeps their order. Lines are divided between two writes only if they are longer
/// than what is written at once, or if the sink takes less.
#[derive(Debug)]
pub(super) struct Batch {
    lines: Vec<u8>,
    max_together: usize,
    max_waiting: usize,
}

impl Batch {
    /// A batch of which at most `max_together` bytes are written at once, and of which at most `max_waiting` bytes wait
    /// for a sink that takes nothing.
    pub(super) const fn new(max_together: usize, max_waiting: usize) -> Self {
        Self { lines: Vec::new(), max_together, max_waiting }
    }

    /// Adds a line, for which those before it are written if there is no room to write them together. One that is longer
    /// than all that is written together is written too. Returns how many lines were lost.
    pub(super) fn add(&mut self, line: &[u8], out: &mut impl Sink) -> usize {
        let mut lost = 0;
        if self.lines.len() + line.len() > self.max_together {
            lost += self.write_to(out);
        }
        if self.lines.len() + line.len() > self.max_waiting {
            return lost + 1;
        }
        self.lines.extend_from_slice(line);
        if self.lines.len() > self.max_together { lost + self.write_to(out) } else { lost }
    }

    /// Writes the lines, as far as the sink takes them now. Returns how many were lost because it failed.
    pub(super) fn write_to(&mut self, out: &mut impl Sink) -> usize {
        let (mut written, mut lost) = (0, 0);
        while written < self.lines.len() && out.is_ready(Duration::ZERO) {
            let end = self.end_of_piece(written);
            match out.write(&self.lines[written..end]) {
                Ok(taken @ 1..) => written += taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares it made it non-blocking, and it has less room than it said.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {
                    lost = self.lines[written..].iter().filter(|byte| **byte == b'\n').count();
                    written = self.lines.len();
                }
            }
        }
        self.lines.drain(..written);
        if self.lines.is_empty() {
            self.lines.shrink_to(self.max_together);
        }
        lost
    }

    /// Writes the lines, and waits until `deadline` for a sink that takes nothing.
    pub(super) fn write_until(&mut self, deadline: Instant, out: &mut impl Sink) {
        while !self.lines.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return;
            }
            let waiting = self.lines.len();
            if out.is_ready(wait) {
                self.write_to(out);
            }
            // A signal has ended the wait, or the sink has less room than it said, as it may go on to say.
            if self.lines.len() == waiting {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the process ends, and needs no thread for anything else"
                )]
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Where that which is written at once from `start` on ends: after the last line that fits, or within the first one.
    fn end_of_piece(&self, start: usize) -> usize {
        let end = self.lines.len().min(start + self.max_together);
        if end == self.lines.len() {
            return end;
        }
        self.lines[start..end].iter().rposition(|byte| *byte == b'\n').map_or(end, |last| start + last + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Notes what each call writes, takes nothing, or fails.
    struct Written {
        calls: Vec<String>,
        /// How many more calls it takes.
        room: usize,
        /// How many bytes each of them takes; none: it would have to wait.
        bytes: usize,
        /// How many writes it was asked for.
        attempts: usize,
        /// How many waits signals end.
        signals: Cell<usize>,
        is_closed: bool,
    }

    impl Default for Written {
        fn default() -> Self {
            let (room, bytes, signals) = (usize::MAX, usize::MAX, Cell::new(0));
            Self { calls: Vec::new(), room, bytes, attempts: 0, signals, is_closed: false }
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.attempts += 1;
            if self.is_closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            assert!(self.room > 0, "it would wait");
            let taken = bytes.len().min(self.bytes);
            if taken == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= 1;
            self.calls.push(String::from_utf8(bytes[..taken].to_vec()).expect("text"));
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Written {
        fn is_ready(&self, wait: Duration) -> bool {
            if !wait.is_zero() && self.signals.get() > 0 {
                self.signals.set(self.signals.get() - 1);
                return false;
            }
            self.room > 0
        }
    }

    #[test]
    fn lines_are_written_together_in_order_and_undivided() {
        let (mut batch, mut written) = (Batch::new(10, 100), Written::default());
        for line in ["one\n", "two\n", "three\n", "a long line\n", "four\n"] {
            assert_eq!(batch.add(line.as_bytes(), &mut written), 0);
        }
        assert_eq!(written.calls, ["one\ntwo\n", "three\n", "a long lin", "e\n"]);
        assert_eq!(batch.write_to(&mut written), 0);
        assert_eq!(batch.write_to(&mut written), 0, "there is nothing to write");
        assert_eq!(written.calls[4..], ["four\n"]);
    }

    #[test]
    fn what_can_not_be_written_is_lost_and_nothing_after_it() {
        let (mut batch, mut written) = (Batch::new(10, 100), Written { is_closed: true, ..Written::default() });
        for line in ["one\n", "two\n"] {
            assert_eq!(batch.add(line.as_bytes(), &mut written), 0, "it is kept");
        }
        assert_eq!(batch.write_to(&mut written), 2);
        written.is_closed = false;
        assert_eq!(batch.add(b"three\n", &mut written), 0);
        assert_eq!(batch.write_to(&mut written), 0);
        assert_eq!(written.calls, ["three\n"]);
    }

    #[test]
    fn lines_wait_for_a_sink_that_takes_nothing_until_there_are_too_many() {
        let (mut batch, mut written) = (Batch::new(10, 20), Written { room: 0, ..Written::default() });
        let lines = ["one\n", "two\n", "three\n", "four\n", "five\n", "a\n"];
        let lost = lines.map(|line| batch.add(line.as_bytes(), &mut written));
        assert_eq!(lost, [0, 0, 0, 0, 1, 1], "nineteen bytes wait");
        written.room = 1;
        assert_eq!(batch.write_to(&mut written), 0);
        assert_eq!(batch.add(b"six\n", &mut written), 0, "there is room again");
        written.room = usize::MAX;
        assert_eq!(batch.write_to(&mut written), 0);
        assert_eq!(written.calls, ["one\ntwo\n", "three\n", "four\nsix\n"]);
        assert!(batch.lines.is_empty());
    }

    /// A terminal, or a socket that its other end made non-blocking.
    #[test]
    fn what_is_taken_in_part_is_neither_lost_nor_repeated() {
        let (mut batch, mut written) = (Batch::new(10, 100), Written { bytes: 3, ..Written::default() });
        for line in ["one\n", "two\n"] {
            assert_eq!(batch.add(line.as_bytes(), &mut written), 0);
        }
        assert_eq!(batch.write_to(&mut written), 0);
        assert_eq!(written.calls, ["one", "\ntw", "o\n"]);
        assert_eq!(batch.add(b"three\n", &mut written), 0);
        written.bytes = 0;
        assert_eq!(batch.write_to(&mut written), 0, "it waits");
        written.bytes = usize::MAX;
        assert_eq!(batch.write_to(&mut written), 0);
        assert_eq!(written.calls[3..], ["three\n"]);
    }

    #[test]
    fn the_last_lines_wait_until_the_deadline_whatever_signals_come() {
        let (mut batch, signals) = (Batch::new(10, 100), Cell::new(2));
        let mut written = Written { signals, ..Written::default() };
        assert_eq!(batch.add(b"last\n", &mut written), 0);
        batch.write_until(Instant::now(), &mut written);
        assert!(written.calls.is_empty(), "its time is up");
        batch.write_until(Instant::now() + Duration::from_secs(60), &mut written);
        assert_eq!((written.calls, batch.lines.len()), (vec!["last\n".to_owned()], 0));
    }

    /// A socket or a terminal may be ready for a byte, and still not for a line.
    #[test]
    fn a_sink_that_is_ready_and_takes_nothing_is_asked_now_and_then() {
        let (mut batch, mut written) = (Batch::new(10, 100), Written { bytes: 0, ..Written::default() });
        assert_eq!(batch.add(b"last\n", &mut written), 0);
        batch.write_until(Instant::now() + 10 * PAUSE, &mut written);
        assert!((1..=10).contains(&written.attempts), "{} attempts", written.attempts);
        assert_eq!(batch.lines, b"last\n");
    }
}
