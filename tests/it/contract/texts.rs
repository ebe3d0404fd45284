//! No code branches on the text of an error: Postgres writes it in the language of its server, and a library may change
//! it. An error of Postgres is recognized by its SQLSTATE or kind (`mainstay_kernel::database`).
//!
//! Also, no text formats a reason with `Debug`, which prints the name of a Rust variant. A reason has a code, and an
//! error a detail.

use std::{fs, path::Path};

use crate::support::rust_files;

/// Postgres' English messages about errors that a program may want to distinguish.
const POSTGRES_TEXTS: [&str; 17] = [
    "duplicate key value",
    "violates unique",
    "violates foreign",
    "violates check",
    "violates not-null",
    "canceling statement",
    "could not serialize",
    "could not obtain lock",
    "deadlock detected",
    "terminating connection",
    "password authentication failed",
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "the database system is",
    "read-only transaction",
    "transaction is aborted",
];

/// The calls that return the text of an error.
const TEXT_GETTERS: [&str; 4] = ["message()", "to_string()", "detail()", "description()"];

/// The calls that compare a text.
const COMPARISONS: [&str; 6] = ["contains(", "starts_with(", "ends_with(", "find(", "matches(", "strip_prefix("];

/// Returns the code without its comments and its tests.
fn code(text: &str) -> String {
    let text = text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(before, _)| before);
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the texts of Postgres in a source file, and comparisons of any error's text.
fn faults(text: &str) -> Vec<String> {
    let code = code(text);
    let joined = code.replace('\n', "");
    let texts = POSTGRES_TEXTS.into_iter().filter(|text| code.contains(text)).map(str::to_owned);
    let calls =
        TEXT_GETTERS.into_iter().flat_map(|getter| COMPARISONS.map(|comparison| format!("{getter}.{comparison}")));
    texts.chain(calls.filter(|call| joined.contains(call))).collect()
}

/// Applies `find` to all sources, and returns its results with their files.
pub(super) fn findings(find: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = rust_files(&root.join("src"));
    for folder in ["crates", "examples"] {
        let crates = fs::read_dir(root.join(folder)).expect("a folder").flatten();
        sources.extend(crates.flat_map(|member| rust_files(&member.path().join("src"))));
    }
    let file = |path: &Path| path.strip_prefix(root).expect("below the root").to_owned();
    sources.retain(|path| file(path).with_extension("").iter().all(|part| part != "tests"));
    assert!(sources.len() > 300, "there are {}", sources.len());
    let mut findings = Vec::new();
    for path in sources {
        let text = fs::read_to_string(&path).expect("a text");
        findings.extend(find(&text).into_iter().map(|fault| format!("{}: {fault}", file(&path).display())));
    }
    findings
}

#[test]
fn no_code_decides_by_the_text_of_an_error() {
    let findings = findings(faults);
    assert!(findings.is_empty(), "recognize it by its SQLSTATE or kind:\n{}", findings.join("\n"));
}

/// The ways to format a reason by `Debug`.
const DEBUG_FORMATS: [&str; 5] = ["?error.reason()", "{:?}\", error.reason()", "{reason:?}", "= ?reason", "(?reason"];

fn reasons_by_debug(text: &str) -> Vec<String> {
    let code = code(text);
    DEBUG_FORMATS.into_iter().filter(|way| code.contains(way)).map(str::to_owned).collect()
}

#[test]
fn no_text_shows_a_reason_by_debug() {
    let findings = findings(reasons_by_debug);
    assert!(findings.is_empty(), "write its code, or the detail of its error:\n{}", findings.join("\n"));
    assert_eq!(reasons_by_debug("tracing::warn!(reason = ?error.reason(), \"lost\")"), ["?error.reason()"]);
}

#[test]
fn a_decision_by_a_text_is_found() {
    let wrong = "if error\n    .to_string()\n    .contains(\"anything\") {}\nif text == \"deadlock detected\" {}\n";
    assert_eq!(faults(wrong), ["deadlock detected", "to_string().contains("]);
    let right = "// Not `error.message().contains(\"deadlock detected\")`.\nlet text = error.to_string();\n";
    let tests = "#[cfg(test)]\nmod tests {\n    assert!(error.to_string().contains(\"too many clients\"));\n}\n";
    assert!(faults(&format!("{right}{tests}")).is_empty());
}
