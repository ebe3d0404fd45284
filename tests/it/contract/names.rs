//! What a machine can hold of the rules for names: CONTRIBUTING.md, "Use standard technical English".

use super::texts::findings;

/// Participles. As the name of a variable, one says what was done and not what the thing is: `let found` may be a row, a
/// position or a flag.
const PARTICIPLES: [&str; 49] = [
    "accepted", "added", "admitted", "asked", "begun", "changed", "chosen", "claimed", "closed", "counted", "created",
    "done", "ended", "found", "given", "gone", "granted", "heard", "held", "kept", "known", "leased", "locked", "lost",
    "made", "moved", "noted", "opened", "passed", "picked", "received", "refused", "said", "seen", "sent", "shown",
    "spent", "started", "stored", "taken", "told", "tried", "turned", "waited", "wanted", "written", "queued",
    "finished", "returned",
];

/// The words of the patterns that a line of code declares variables by, with `let` and `for`; without the fields of a struct,
/// which are named elsewhere.
fn declared(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    // Every other part is a text.
    let code: String = code.split('"').step_by(2).collect();
    let patterns = [("let ", "="), ("for ", " in ")].into_iter().flat_map(|(keyword, end)| {
        code.match_indices(keyword).map(move |(at, _)| (at + keyword.len(), end)).collect::<Vec<_>>()
    });
    let patterns = patterns.filter_map(|(start, end)| code[start..].split(end).next()?.split('{').next());
    let words = patterns.flat_map(|pattern| pattern.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.map(str::to_owned).collect()
}

fn participles(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.flat_map(declared).filter(|name| PARTICIPLES.contains(&name.as_str())).collect()
}

#[test]
fn no_variable_is_called_by_what_was_done_to_it() {
    let findings = findings(participles);
    assert!(findings.is_empty(), "a noun says what it is:\n{}", findings.join("\n"));
}

#[test]
fn a_participle_is_found() {
    let wrong = "let found = 1;\nif let Some(taken) = row {}\nlet (mut kept, b) = c;\nfor told in all {}\n";
    assert_eq!(participles(wrong), ["found", "taken", "kept", "told"]);
    let right = "// let found = 1;\nlet row = found(rows);\nlet End { lost: count } = end;\nlet is_done = job.done;\n";
    assert!(participles(right).is_empty(), "{:?}", participles(right));
}
