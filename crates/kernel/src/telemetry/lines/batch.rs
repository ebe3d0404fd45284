//! Lines that are written together.

use std::io::{self, Write};

/// Lines that were not written yet. It keeps their order, and divides none of them.
#[derive(Debug)]
pub(super) struct Batch {
    lines: Vec<u8>,
    max_bytes: usize,
}

impl Batch {
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self { lines: Vec::new(), max_bytes }
    }

    /// Adds a line, for which those before it are written if there is no room. A line that is longer than all of it is
    /// written too.
    ///
    /// # Errors
    /// What was to be written is lost.
    pub(super) fn add(&mut self, line: &[u8], out: &mut impl Write) -> io::Result<()> {
        if self.lines.len() + line.len() > self.max_bytes {
            self.write_to(out)?;
        }
        self.lines.extend_from_slice(line);
        if self.lines.len() > self.max_bytes { self.write_to(out) } else { Ok(()) }
    }

    /// Writes the lines, if there are any.
    ///
    /// # Errors
    /// They are lost.
    pub(super) fn write_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = out.write_all(&self.lines);
        self.lines.clear();
        self.lines.shrink_to(self.max_bytes);
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what each call writes, or fails.
    #[derive(Default)]
    struct Written {
        calls: Vec<String>,
        is_closed: bool,
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.is_closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.calls.push(String::from_utf8(bytes.to_vec()).expect("text"));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_in_order_and_undivided() {
        let (mut batch, mut written) = (Batch::new(10), Written::default());
        for line in ["one\n", "two\n", "three\n", "a long line\n", "four\n"] {
            batch.add(line.as_bytes(), &mut written).expect("written");
        }
        assert_eq!(written.calls, ["one\ntwo\n", "three\n", "a long line\n"]);
        batch.write_to(&mut written).expect("written");
        batch.write_to(&mut written).expect("nothing to write");
        assert_eq!(written.calls[3..], ["four\n"]);
    }

    #[test]
    fn what_can_not_be_written_is_lost_and_nothing_after_it() {
        let (mut batch, mut written) = (Batch::new(10), Written { is_closed: true, ..Written::default() });
        batch.add(b"one\n", &mut written).expect("kept");
        batch.write_to(&mut written).expect_err("closed");
        written.is_closed = false;
        batch.add(b"two\n", &mut written).expect("kept");
        batch.write_to(&mut written).expect("written");
        assert_eq!(written.calls, ["two\n"]);
    }
}
