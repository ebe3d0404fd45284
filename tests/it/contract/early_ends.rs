//! No test ends early if a dependency is missing, because it would pass without a check. `scripts/test` excludes tests
//! of optional dependencies by name.

use std::{fs, path::Path};

use crate::support::rust_files;

const EARLY_ENDS: [&str; 3] = ["return;", "return }", "return Ok(())"];

/// Returns the names of the tests in a source file that may end early.
fn early_ends(text: &str) -> Vec<&str> {
    let starts = ["\n#[test]", "\n#[tokio::test"].map(|attribute| text.match_indices(attribute));
    let tests = starts.into_iter().flatten().map(|(start, _)| {
        let test = &text[start..];
        test.find("\n}").map_or(test, |end| &test[..end])
    });
    let early = tests.filter(|test| EARLY_ENDS.iter().any(|end| test.contains(end)));
    early.map(|test| test.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap_or_default()).collect()
}

#[test]
fn no_test_passes_without_a_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = rust_files(&root.join("tests"));
    for folder in ["crates", "examples"] {
        let members = fs::read_dir(root.join(folder)).expect("a folder").flatten();
        sources.extend(members.flat_map(|member| rust_files(&member.path().join("tests"))));
    }
    assert!(sources.len() > 200, "nothing was checked");
    for path in sources {
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(early_ends(&text), [""; 0], "{}", path.display());
    }
}

/// Returns a source file with one test that contains this line.
fn sample(line: &str) -> String {
    format!(
        "use a;\n\n#[tokio::test]\n#[cfg(unix)]\nasync fn one() {{\n    {line}\n}}\n\nfn other() {{\n    return;\n}}\n"
    )
}

#[test]
fn an_early_end_is_found() {
    for end in EARLY_ENDS {
        assert_eq!(early_ends(&sample(&format!("if a {{ {end}"))), ["one"], "{end}");
    }
    assert!(early_ends(&sample("let a = |b| return b;")).is_empty());
}
