//! `mainstay users import`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use mainstay_kernel::{
    app::App,
    command::{for_operator, print},
    error::Error,
};

use crate::identity::user::ops::{self, BATCH, Import, Imported};

/// The maximum length of a line, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// How many users an import has brought, and how many lines it has not taken.
#[derive(Default)]
struct Counts {
    created: usize,
    existing: usize,
    refused: usize,
}

/// Imports the users of a file. The exit status is 1 if any line was refused.
pub(super) async fn run(app: &App, path: &Path) -> anyhow::Result<ExitCode> {
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let (mut counts, mut batch, mut number) = (Counts::default(), Vec::new(), 0_u64);
    while let Some(line) = next_line(&mut reader).with_context(|| format!("{} can't be read", path.display()))? {
        number += 1;
        let mark = if number == 1 { "\u{feff}" } else { "" };
        let line = line.strip_prefix(mark.as_bytes()).unwrap_or(&line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = match u64::try_from(line.len()) {
            Ok(length) if length <= MAX_LINE_BYTES => {
                ops::read_import(line, app.clock.now()).map_err(|error| fault(&error))
            }
            _ => Err(format!("is longer than {MAX_LINE_BYTES} bytes")),
        };
        match read {
            Ok(import) => batch.push((number, import)),
            Err(fault) => refuse(&mut counts, number, &fault)?,
        }
        if batch.len() == BATCH {
            store(app, &mut counts, &mut batch).await?;
        }
    }
    store(app, &mut counts, &mut batch).await?;
    let Counts { created, existing, refused } = counts;
    print(&format!("Imported: {created}. Addresses that have a user: {existing}. Refused lines: {refused}.\n"))?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn store(app: &App, counts: &mut Counts, batch: &mut Vec<(u64, Import)>) -> anyhow::Result<()> {
    let (numbers, imports): (Vec<_>, Vec<_>) = std::mem::take(batch).into_iter().unzip();
    if imports.is_empty() {
        return Ok(());
    }
    let outcomes = for_operator(ops::import(app, &imports).await);
    let lines = numbers.first().zip(numbers.last()).map(|(first, last)| format!("lines {first} to {last}"));
    let outcomes = outcomes.with_context(|| format!("{} were not imported", lines.unwrap_or_default()))?;
    for (number, outcome) in numbers.into_iter().zip(outcomes) {
        match outcome {
            Imported::Created => counts.created += 1,
            Imported::Exists => counts.existing += 1,
            Imported::NoAccount => refuse(counts, number, "accountId names no account, or one that is to be deleted")?,
        }
    }
    Ok(())
}

/// Returns what is wrong with a line: its fields, or else its JSON.
fn fault(error: &Error) -> String {
    let fields: Vec<_> = error.fields().iter().map(|(field, message)| format!("{field} {message}")).collect();
    if fields.is_empty() { error.message().to_owned() } else { fields.join(", ") }
}

fn refuse(counts: &mut Counts, number: u64, fault: &str) -> io::Result<()> {
    counts.refused += 1;
    print(&format!("Line {number}: {fault}\n"))
}

/// Reads a line, without more of it than tells that it is too long; `None` at the end.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else {
        reader.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_bound() {
        let long = "x".repeat(100_000);
        let text = format!("one\n{long}\n\ntwo");
        let mut reader = text.as_bytes();
        let mut next = || next_line(&mut reader).expect("reads").map(|line| line.len());
        assert_eq!([next(), next(), next(), next(), next()], [Some(3), Some(16_385), Some(0), Some(3), None]);
    }
}
