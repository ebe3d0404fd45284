//! A bounded buffer of log lines.

use std::{
    io::{self, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const RETRY: Duration = Duration::from_millis(10);

/// A buffer of lines from many threads to one writer. It preserves their order. A line is split between two writes only
/// if it exceeds the size of a write, or if the sink accepts less.
#[derive(Debug)]
pub(super) struct Buffer {
    /// The lock is never held during a write.
    state: Mutex<State>,
    change: Condvar,
    max_together: usize,
    max_waiting: usize,
}

#[derive(Debug)]
struct State {
    lines: Vec<u8>,
    /// The total of bytes that were added, and the total of those that were written or lost.
    added_bytes: u64,
    done_bytes: u64,
    is_idle: bool,
    writing_since: Option<Instant>,
    /// Whether the last written line is incomplete, because the sink failed.
    is_torn: bool,
}

impl Buffer {
    /// Creates a buffer that writes at most `max_together` bytes at once. It holds at most `max_waiting` bytes, beside
    /// those of the write in progress.
    pub(super) const fn new(max_together: usize, max_waiting: usize) -> Self {
        let state = State {
            lines: Vec::new(),
            added_bytes: 0,
            done_bytes: 0,
            is_idle: false,
            writing_since: None,
            is_torn: false,
        };
        Self { state: Mutex::new(state), change: Condvar::new(), max_together, max_waiting }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line. Returns `false` if the buffer is full.
    pub(super) fn add(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        if state.lines.len() + line.len() > self.max_waiting {
            return false;
        }
        state.lines.extend_from_slice(line);
        state.added_bytes += line.len() as u64;
        // Waking the thread is a system call. One call covers all lines until the thread has taken them.
        if mem::take(&mut state.is_idle) {
            drop(state);
            self.change.notify_all();
        }
        true
    }

    /// Waits for lines and writes them, without a time limit. Returns the number of lines that were lost because the
    /// sink failed. Only one thread may call it.
    pub(super) fn write_next(&self, out: &mut impl Write) -> usize {
        let mut state = self.lock();
        state.is_idle = true;
        let guard = self.change.wait_while(state, |state| state.lines.is_empty());
        let mut state = guard.unwrap_or_else(PoisonError::into_inner);
        state.is_idle = false;
        state.writing_since = Some(Instant::now());
        let (lines, is_torn) = (mem::take(&mut state.lines), state.is_torn);
        drop(state);

        let mut rest = lines.as_slice();
        // An incomplete line must not run into the next one.
        if !is_torn || self.write(b"\n", out).is_empty() {
            rest = self.write(rest, out);
        }

        let mut state = self.lock();
        state.is_torn = lines[..lines.len() - rest.len()].last().map_or(is_torn, |last| *last != b'\n');
        state.done_bytes += lines.len() as u64;
        state.writing_since = None;
        drop(state);
        self.change.notify_all();
        rest.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Writes lines, and returns the rest if the sink fails.
    fn write<'l>(&self, mut lines: &'l [u8], out: &mut impl Write) -> &'l [u8] {
        while !lines.is_empty() {
            match out.write(self.first_piece(lines)) {
                Ok(length @ 1..) => lines = &lines[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process with the same sink has made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause(RETRY),
                Ok(_) | Err(_) => break,
            }
        }
        lines
    }

    /// Returns the bytes of the next write: the complete lines that fit, or as much of the first one as fits.
    fn first_piece<'l>(&self, lines: &'l [u8]) -> &'l [u8] {
        if lines.len() <= self.max_together {
            return lines;
        }
        let piece = &lines[..self.max_together];
        piece.iter().rposition(|byte| *byte == b'\n').map_or(piece, |last| &piece[..=last])
    }

    /// Waits until the lines so far are written or lost, for at most `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let state = self.lock();
        let target = state.added_bytes;
        drop(self.change.wait_timeout_while(state, limit, |state| state.done_bytes < target));
    }

    /// Like [`Buffer::wait`], less the time for which the sink has already blocked the writer.
    pub(super) fn wait_unless_stuck(&self, limit: Duration) {
        let since = self.lock().writing_since;
        self.wait(limit.saturating_sub(since.map_or(Duration::ZERO, |since| since.elapsed())));
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread is no runtime's")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::mpsc, thread};

    use super::*;

    /// A limit that no test reaches.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A sink that records each write. By default it accepts everything; `answers` makes it accept less or fail.
    #[derive(Default)]
    struct Written {
        calls: Vec<String>,
        answers: VecDeque<Result<usize, io::ErrorKind>>,
    }

    impl Written {
        fn answering<const N: usize>(answers: [Result<usize, io::ErrorKind>; N]) -> Self {
            Self { answers: answers.into(), ..Self::default() }
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = self.answers.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.calls.push(String::from_utf8(bytes[..length].to_vec()).expect("text"));
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn add<const N: usize>(buffer: &Buffer, lines: [&str; N]) -> [bool; N] {
        lines.map(|line| buffer.add(line.as_bytes()))
    }

    #[test]
    fn lines_are_written_together_in_order_and_undivided() {
        let (buffer, mut sink) = (Buffer::new(10, 100), Written::default());
        assert_eq!(add(&buffer, ["one\n", "two\n", "three\n", "a long line\n", "four\n"]), [true; 5]);
        assert_eq!(buffer.write_next(&mut sink), 0);
        assert_eq!(sink.calls, ["one\ntwo\n", "three\n", "a long lin", "e\nfour\n"]);
        assert_eq!(add(&buffer, ["five\n"]), [true]);
        assert_eq!(buffer.write_next(&mut sink), 0);
        assert_eq!(sink.calls[4..], ["five\n"]);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_no_later_one() {
        let (buffer, mut sink) = (Buffer::new(10, 100), Written::answering([Err(io::ErrorKind::BrokenPipe)]));
        assert_eq!(add(&buffer, ["one\n", "two\n"]), [true; 2]);
        assert_eq!(buffer.write_next(&mut sink), 2);
        assert_eq!(add(&buffer, ["three\n"]), [true]);
        assert_eq!(buffer.write_next(&mut sink), 0);
        assert_eq!(sink.calls, ["three\n"]);
    }

    /// A disk becomes full within a line, and has space again later.
    #[test]
    fn a_line_that_has_no_end_does_not_run_into_the_next_one() {
        let full = Err(io::ErrorKind::StorageFull);
        let (buffer, mut sink) = (Buffer::new(10, 100), Written::answering([Ok(6), full, full]));
        assert_eq!(add(&buffer, ["one\n", "two\n"]), [true; 2]);
        assert_eq!(buffer.write_next(&mut sink), 1);
        assert_eq!(add(&buffer, ["three\n"]), [true]);
        assert_eq!(buffer.write_next(&mut sink), 1, "there is no room for the end either");
        for line in ["four\n", "five\n"] {
            assert_eq!(add(&buffer, [line]), [true]);
            assert_eq!(buffer.write_next(&mut sink), 0);
        }
        assert_eq!(sink.calls, ["one\ntw", "\n", "four\n", "five\n"]);
    }

    /// A terminal, or a socket that the peer has made non-blocking.
    #[test]
    fn a_partial_write_neither_loses_nor_repeats_bytes() {
        let (buffer, mut sink) = (Buffer::new(10, 100), Written::answering([Ok(3), Ok(3)]));
        assert_eq!(add(&buffer, ["one\n", "two\n"]), [true; 2]);
        assert_eq!(buffer.write_next(&mut sink), 0);
        assert_eq!(sink.calls, ["one", "\ntw", "o\n"]);
    }

    #[test]
    fn a_sink_that_takes_nothing_now_is_asked_again_after_a_pause() {
        let answers = [Err(io::ErrorKind::Interrupted), Err(io::ErrorKind::WouldBlock), Err(io::ErrorKind::WouldBlock)];
        let (buffer, mut sink) = (Buffer::new(10, 100), Written::answering(answers));
        assert_eq!(add(&buffer, ["one\n"]), [true]);
        let since = Instant::now();
        assert_eq!(buffer.write_next(&mut sink), 0);
        assert_eq!(sink.calls, ["one\n"]);
        assert!(since.elapsed() >= 2 * RETRY, "{:?}", since.elapsed());
    }

    /// A sink that blocks until it is opened.
    struct Gate {
        request: mpsc::Sender<()>,
        opening: mpsc::Receiver<()>,
        text: mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.request.send(()).ok();
            // The sink is opened by dropping the other end.
            self.opening.recv().ok();
            self.text.send(String::from_utf8(bytes.to_vec()).expect("text")).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Starts a thread that writes to a gate. Returns a receiver of write attempts, a sender whose drop opens the gate,
    /// and a receiver of the accepted text.
    fn write_to_gate(buffer: &'static Buffer) -> (mpsc::Receiver<()>, mpsc::Sender<()>, mpsc::Receiver<String>) {
        let ((request, is_asked), (open, opening), (text, texts)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let mut gate = Gate { request, opening, text };
        thread::spawn(move || {
            loop {
                buffer.write_next(&mut gate);
            }
        });
        (is_asked, open, texts)
    }

    /// Runs a call that must not wait for the gate.
    fn at_once<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, outcome) = mpsc::channel();
        thread::spawn(move || result.send(run()).ok());
        outcome.recv_timeout(PATIENCE).expect("it does not wait")
    }

    #[test]
    fn a_blocked_sink_delays_no_writer() {
        static BUFFER: Buffer = Buffer::new(10, 20);
        let (is_asked, open, texts) = write_to_gate(&BUFFER);
        assert_eq!(add(&BUFFER, ["one\n"]), [true]);
        is_asked.recv_timeout(PATIENCE).expect("the line wakes the writer");
        let lines = ["two\n", "three\n", "four\n", "five\n", "a long line\n", "six\n"];
        let answers = at_once(move || add(&BUFFER, lines));
        assert_eq!(answers, [true, true, true, true, false, false], "twenty bytes wait");
        drop(open);
        BUFFER.wait(PATIENCE);
        let text: String = texts.try_iter().collect();
        assert_eq!(text, "one\ntwo\nthree\nfour\nfive\n");
        assert_eq!(add(&BUFFER, ["seven\n"]), [true], "there is room again");
        BUFFER.wait(PATIENCE);
        assert_eq!(texts.try_iter().collect::<String>(), "seven\n");
    }

    #[test]
    fn the_last_lines_are_waited_for_but_not_for_ever() {
        static BUFFER: Buffer = Buffer::new(10, 100);
        const LIMIT: Duration = Duration::from_secs(1);
        at_once(|| BUFFER.wait(PATIENCE));
        let (is_asked, open, texts) = write_to_gate(&BUFFER);
        assert_eq!(add(&BUFFER, ["one\n"]), [true]);
        is_asked.recv_timeout(PATIENCE).expect("the line wakes the writer");
        assert_eq!(add(&BUFFER, ["two\n"]), [true]);
        for _ in 0..2 {
            let since = Instant::now();
            at_once(|| BUFFER.wait(LIMIT));
            assert!(since.elapsed() >= LIMIT, "{:?}", since.elapsed());
        }
        // The buffer has observed by now that the sink blocks.
        let since = Instant::now();
        at_once(|| BUFFER.wait_unless_stuck(2 * LIMIT));
        assert!(since.elapsed() < 2 * LIMIT, "{:?}", since.elapsed());
        drop(open);
        at_once(|| BUFFER.wait_unless_stuck(PATIENCE));
        assert_eq!(texts.try_iter().collect::<String>(), "one\ntwo\n");
    }

    #[test]
    fn lines_of_many_threads_are_whole_and_each_thread_has_its_order() {
        static BUFFER: Buffer = Buffer::new(4096, 1 << 20);
        const THREADS: usize = 4;
        const LINES: usize = 5_000;
        let (_is_asked, open, texts) = write_to_gate(&BUFFER);
        drop(open);
        let log =
            |thread: usize| move || (0..LINES).all(|number| BUFFER.add(format!("{thread} {number}\n").as_bytes()));
        let threads: Vec<_> = (0..THREADS).map(|thread| thread::spawn(log(thread))).collect();
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")), "there is room for all");
        BUFFER.wait(PATIENCE);
        let mut next = [0; THREADS];
        for line in texts.try_iter().collect::<String>().lines() {
            let (thread, number) = line.split_once(' ').expect("a whole line");
            let next = &mut next[thread.parse::<usize>().expect("a thread")];
            assert_eq!(number.parse::<usize>(), Ok(*next), "{line}");
            *next += 1;
        }
        assert_eq!(next, [LINES; THREADS]);
    }
}
