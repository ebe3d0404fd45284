//! Lines that are written together.

use std::{
    io::{self, Write},
    os::fd::AsFd as _,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Where lines are written to.
pub(super) trait Sink: Write {
    /// Returns whether it takes as much as is written at once without a wait, now or within `wait`.
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
/// than what is written at once.
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
            if out.write_all(&self.lines[written..end]).is_err() {
                lost = self.lines[written..].iter().filter(|byte| **byte == b'\n').count();
                written = self.lines.len();
            } else {
                written = end;
            }
        }
        self.lines.drain(..written);
        if self.lines.is_empty() {
            self.lines.shrink_to(self.max_together);
        }
        lost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
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
    use super::*;

    /// Notes what each call writes, takes nothing, or fails.
    struct Written {
        calls: Vec<String>,
        /// How many more calls it takes.
        room: usize,
        is_closed: bool,
    }

    impl Default for Written {
        fn default() -> Self {
            Self { calls: Vec::new(), room: usize::MAX, is_closed: false }
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.is_closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            assert!(self.room > 0, "it would wait");
            self.room -= 1;
            self.calls.push(String::from_utf8(bytes.to_vec()).expect("text"));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Written {
        fn is_ready(&self, _: Duration) -> bool {
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
        assert!(batch.is_empty());
    }
}
