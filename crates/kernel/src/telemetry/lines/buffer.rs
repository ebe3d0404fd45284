//! Lines that wait to be written.

use std::{
    io::{self, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The pause before a sink is tried again that took nothing.
const RETRY: Duration = Duration::from_millis(10);

/// Lines on their way from many threads to the one that writes them. It keeps their order. Lines are divided between two
/// writes only if they are longer than what is written at once, or if the sink takes less.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Never locked while anything is written.
    state: Mutex<State>,
    change: Condvar,
    max_together: usize,
    max_waiting: usize,
}

#[derive(Debug)]
struct State {
    /// The lines that wait.
    lines: Vec<u8>,
    /// How many bytes were ever added, and how many of them were written or lost.
    added_bytes: u64,
    done_bytes: u64,
    /// Whether the writer waits for a line.
    is_idle: bool,
    /// When the writer began with the lines that it has taken.
    writing_since: Option<Instant>,
    /// Whether the last line that was written has no end, because the sink failed.
    is_torn: bool,
}

impl Buffer {
    /// A buffer of which at most `max_together` bytes are written at once, and in which at most `max_waiting` bytes wait,
    /// beside those that are being written.
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

    /// Adds a line, if there is room; returns whether there is.
    pub(super) fn add(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        if state.lines.len() + line.len() > self.max_waiting {
            return false;
        }
        state.lines.extend_from_slice(line);
        state.added_bytes += line.len() as u64;
        // To wake a thread is a system call: one for all lines that come until it has taken them.
        if mem::take(&mut state.is_idle) {
            drop(state);
            self.change.notify_all();
        }
        true
    }

    /// Waits until there are lines, and writes them, however long that takes. Returns how many were lost because the sink
    /// failed. Only one thread may call it.
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
        // The line without an end must not run into the next one.
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

    /// Writes lines, and returns what is left of them if the sink fails.
    fn write<'l>(&self, mut lines: &'l [u8], out: &mut impl Write) -> &'l [u8] {
        while !lines.is_empty() {
            match out.write(self.first_piece(lines)) {
                Ok(length @ 1..) => lines = &lines[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares the sink made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause(RETRY),
                Ok(_) | Err(_) => break,
            }
        }
        lines
    }

    /// What is written at once: the lines that fit, or as much of the first one as does.
    fn first_piece<'l>(&self, lines: &'l [u8]) -> &'l [u8] {
        if lines.len() <= self.max_together {
            return lines;
        }
        let piece = &lines[..self.max_together];
        piece.iter().rposition(|byte| *byte == b'\n').map_or(piece, |last| &piece[..=last])
    }

    /// Waits until the lines so far are written or lost, for `limit` at most.
    pub(super) fn wait(&self, limit: Duration) {
        let state = self.lock();
        let target = state.added_bytes;
        drop(self.change.wait_timeout_while(state, limit, |state| state.done_bytes < target));
    }

    /// As [`Buffer::wait`], less the time for which the sink has kept the writer waiting already.
    pub(super) fn wait_unless_stuck(&self, limit: Duration) {
        let since = self.lock().writing_since;
        self.wait(limit.saturating_sub(since.map_or(Duration::ZERO, |since| since.elapsed())));
    }
}

/// Has the thread that writes do nothing for a while.
#[expect(clippy::disallowed_methods, reason = "the thread is no runtime's")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::mpsc, thread};

    use super::*;

    /// More than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Notes what each call writes. It takes all, unless it is told to take less or to fail.
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
    fn what_can_not_be_written_is_lost_and_nothing_after_it() {
        let (buffer, mut sink) = (Buffer::new(10, 100), Written::answering([Err(io::ErrorKind::BrokenPipe)]));
        assert_eq!(add(&buffer, ["one\n", "two\n"]), [true; 2]);
        assert_eq!(buffer.write_next(&mut sink), 2);
        assert_eq!(add(&buffer, ["three\n"]), [true]);
        assert_eq!(buffer.write_next(&mut sink), 0);
        assert_eq!(sink.calls, ["three\n"]);
    }

    /// A disk becomes full within a line, and has room again later.
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

    /// A terminal, or a socket that its other end made non-blocking.
    #[test]
    fn what_is_taken_in_part_is_neither_lost_nor_repeated() {
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

    /// Takes nothing until it is opened.
    struct Gate {
        request: mpsc::Sender<()>,
        opening: mpsc::Receiver<()>,
        text: mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.request.send(()).ok();
            // Whoever opens it drops the other end.
            self.opening.recv().ok();
            self.text.send(String::from_utf8(bytes.to_vec()).expect("text")).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Starts the thread that writes to a gate. Returns what tells that it is asked, opens it, and has what it took.
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

    /// Runs what must not wait for the gate.
    fn at_once<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, outcome) = mpsc::channel();
        thread::spawn(move || result.send(run()).ok());
        outcome.recv_timeout(PATIENCE).expect("it does not wait")
    }

    #[test]
    fn nobody_waits_for_a_sink_that_takes_nothing() {
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
        // By now it is known that the sink takes nothing.
        let since = Instant::now();
        at_once(|| BUFFER.wait_unless_stuck(LIMIT));
        assert!(since.elapsed() < LIMIT, "{:?}", since.elapsed());
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
