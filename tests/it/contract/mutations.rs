//! The mutations of `make mutants` match the current sources.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The contents of a file under tests/mutations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    /// The tests that should detect the mutations, unless a mutation names others.
    tests: Option<String>,
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    name: String,
    file: String,
    /// The place of the snippet, if the file has it several times.
    within: Option<String>,
    original: String,
    mutated: String,
    tests: Option<String>,
    /// The reason why no test can detect it.
    reason: Option<String>,
}

/// The minimum number of mutations, so that none is lost unnoticed.
const AT_LEAST: usize = 450;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations")
}

/// Returns the areas by their names.
fn areas() -> Vec<(String, Area)> {
    let files = std::fs::read_dir(folder()).expect("a directory").map(|file| file.expect("a file").path());
    let areas = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a text");
        let area: Area = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().expect("a name").to_string_lossy().into_owned(), area)
    };
    areas.map(read).collect()
}

#[test]
fn every_mutation_has_its_place_in_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut names, mut faults) = (Vec::new(), Vec::new());
    // The file, the first byte of the snippet, and the byte after it.
    let mut places = BTreeSet::new();
    for (_, area) in areas() {
        for mutation in area.mutation {
            let Mutation { name, file, within, original, mutated, tests, reason } = mutation;
            let source = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
            let within = within.as_ref().unwrap_or(&original);
            if source.matches(within.as_str()).count() != 1 || within.matches(&original).count() != 1 {
                faults.push(format!("{name}: {file} must have its snippet once"));
            }
            if let Some(place) = source.find(within.as_str()).zip(within.find(&original)).map(|(at, in_it)| at + in_it)
            {
                places.insert((file.clone(), place, place + original.len()));
            }
            if original == mutated || tests.or_else(|| area.tests.clone()).is_none() {
                faults.push(format!("{name} changes nothing, or names no tests"));
            }
            // Each snippet is put into braces: `if … { mutated } else { original }`.
            if original.starts_with('.') || original.starts_with("let ") || original.ends_with('{') {
                faults.push(format!("{name} must replace an expression, or statements that bind nothing"));
            }
            if reason.is_some_and(|reason| reason.len() < 20) {
                faults.push(format!("{name} needs a better reason"));
            }
            if names.contains(&name) {
                faults.push(format!("{name} is the name of two"));
            }
            names.push(name);
        }
    }
    let places: Vec<_> = places.into_iter().collect();
    for ((file, _, end), (next_file, start, _)) in places.iter().zip(places.iter().skip(1)) {
        if file == next_file && start < end {
            faults.push(format!("{file}: two snippets overlap at byte {start}; give both the same"));
        }
    }
    assert!(names.len() >= AT_LEAST, "there are only {}", names.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns whether the sources of a test binary have a test of this path. The function is in the file of its module, or of a
/// module around that.
fn exists(binary: &str, test: &str) -> bool {
    let sources = match binary {
        "mainstay" => "src",
        "mainstay::it" => "tests/it",
        "mainstay-kernel" => "crates/kernel/src",
        "mainstay-transcoder" => "crates/transcoder/src",
        "mainstay-transcoder::transcode" => "crates/transcoder/tests/transcode",
        "fleet" => "examples/fleet/src",
        "fleet::it" => "examples/fleet/tests/it",
        _ => return false,
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(sources);
    let (modules, name) = test.rsplit_once("::").unwrap_or(("", test));
    let modules: Vec<_> = modules.split("::").collect();
    let declaration = format!("fn {name}(");
    (1..=modules.len()).any(|depth| {
        let file = sources.join(modules[..depth].join("/")).with_extension("rs");
        std::fs::read_to_string(file).is_ok_and(|text| text.contains(&declaration))
    })
}

/// The runner would try a recorded test in vain if it had another name by now.
#[test]
fn a_test_without_a_function_does_not_exist() {
    assert!(exists("mainstay::it", "contract::mutations::a_test_without_a_function_does_not_exist"));
    assert!(exists("mainstay-kernel", "page::token::tests::a_token_of_another_list_or_secret_is_refused"));
    for (binary, test) in [
        ("mainstay::it", "contract::mutations::a_test_without_a_function"),
        ("mainstay::it", "contract::readme::a_test_without_a_function_does_not_exist"),
        ("mainstay", "contract::mutations::a_test_without_a_function_does_not_exist"),
        ("unknown", "contract::mutations::a_test_without_a_function_does_not_exist"),
    ] {
        assert!(!exists(binary, test), "{binary} {test}");
    }
}

/// A test that is recorded for an unknown mutation would never run, nor would one that has been renamed.
#[test]
fn every_recorded_test_exists_and_belongs_to_a_mutation() {
    let areas = areas();
    let titles = areas.iter().flat_map(|(area, of)| of.mutation.iter().map(move |one| format!("{area}/{}", one.name)));
    let titles: BTreeSet<_> = titles.collect();
    let text = std::fs::read_to_string(folder().join("killers.txt")).expect("a text");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut faults = Vec::new();
    for line in &lines {
        let [title, binary, test] = line.split(' ').collect::<Vec<_>>()[..] else {
            faults.push(format!("not AREA/NAME BINARY TEST: {line}"));
            continue;
        };
        if !titles.contains(title) {
            faults.push(format!("no mutation is called {title}"));
        }
        if !exists(binary, test) {
            faults.push(format!("{binary} has no test {test}, which is recorded for {title}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(lines.is_sorted_by_key(|line| line.split(' ').next()), "the lines are not sorted");
}
