//! The excerpts in README.md, CONTRIBUTING.md, the example's README, docs/mail.md, docs/seams.md, docs/change-an-api.md,
//! docs/validation.md and docs/test-kit.md match the files they quote.

use std::path::Path;

/// Returns the lines without indentation, because an excerpt is indented less than its source. `…` represents omitted
/// lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Returns the file and the lines of each code fence marked `file=`. Code of a contract or a module must be marked.
fn excerpts(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut excerpts = Vec::new();
    let mut fences = text.split("```");
    // Fences alternate: the text before a fence, then its content.
    while let (Some(_), Some(fence)) = (fences.next(), fences.next()) {
        let Some((head, body)) = fence.split_once('\n') else { continue };
        match head.split_once(" file=") {
            Some((_, file)) => excerpts.push((file.trim(), lines(body))),
            None => assert!(!["proto", "rust"].contains(&head.trim()), "name the file with `file=`:\n{body}"),
        }
    }
    excerpts
}

/// Returns whether the source contains every part of the excerpt, whole and in order.
fn quotes(source: &str, excerpt: &[&str]) -> bool {
    let mut rest = lines(source);
    excerpt.split(|line| *line == "…").all(|part| {
        let at = rest.windows(part.len()).position(|window| window == part);
        at.is_some_and(|at| {
            rest.drain(..at + part.len());
            true
        })
    })
}

#[test]
fn every_excerpt_matches_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stale = Vec::new();
    for (document, steps) in [
        ("README.md", 4),
        ("CONTRIBUTING.md", 4),
        ("examples/fleet/README.md", 3),
        ("docs/mail.md", 1),
        ("docs/seams.md", 1),
        ("docs/change-an-api.md", 1),
        ("docs/validation.md", 4),
        ("docs/test-kit.md", 8),
    ] {
        let text = std::fs::read_to_string(root.join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
        let excerpts = excerpts(&text);
        assert!(excerpts.len() >= steps, "{document} has an excerpt for each step: {excerpts:?}");
        for (file, excerpt) in excerpts {
            let source = std::fs::read_to_string(root.join(file));
            if !source.is_ok_and(|source| quotes(&source, &excerpt)) {
                stale.push(format!("{document}: {file} does not say\n{}", excerpt.join("\n")));
            }
        }
    }
    assert!(stale.is_empty(), "{}", stale.join("\n\n"));
}

#[test]
fn a_stale_excerpt_is_found() {
    let source = "  one\n\n  two\n    three\nfour";
    assert!(quotes(source, &["one", "two", "…", "four"]));
    assert!(!quotes(source, &["one", "three"]));
    assert!(!quotes(source, &["four", "…", "one"]));
}
