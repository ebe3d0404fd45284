//! The dependency rules between modules, checked against the sources.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The sources of a module: `src/name.rs` and everything below `src/name/`.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join(format!("{module}.rs"))];
    let mut directories = vec![root.join(module)];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    let read = |path: PathBuf| Some((path.clone(), std::fs::read_to_string(&path).ok()?));
    let found: Vec<_> = files.into_iter().filter_map(read).collect();
    assert!(!found.is_empty(), "there is no {module}");
    found
}

/// Every module that `lib.rs` declares.
fn modules() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("the map");
    let names = text.lines().filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod "));
    let names: Vec<_> = names.map(|name| name.trim_end_matches(';').to_owned()).collect();
    assert!(names.len() > 20, "the map is read: {names:?}");
    names
}

/// The text without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules named by `crate::a::…` and `crate::{a::…, b}`.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, rest) in text.match_indices("crate::").map(|(at, word)| text.split_at(at + word.len())) {
        match rest.strip_prefix('{') {
            None => drop(names.insert(word(rest))),
            Some(group) => names.extend(heads(group)),
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first identifier of each item in a group whose brace is already open.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut expecting) = (0, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expecting = true,
            c if expecting && (c.is_alphanumeric() || c == '_') => {
                heads.push(word(&group[at..]));
                expecting = false;
            }
            _ => {}
        }
    }
    heads
}

fn names_only(module: &str, allowed: &[&str]) {
    for (path, text) in sources(module) {
        let strangers: Vec<_> =
            named(&code(&text)).into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(strangers.is_empty(), "{} names {strangers:?}", path.display());
    }
}

fn never_says(module: &str, words: &[&str]) {
    for (path, text) in sources(module) {
        let code = code(&text);
        for word in words {
            assert!(!code.contains(word), "{} contains {word}", path.display());
        }
    }
}

#[test]
fn the_domain_depends_on_no_other_layer() {
    names_only("domain", &["domain", "error", "id", "clock", "numbered"]);
    never_says("domain", &["tonic", "diesel", "prost", "http::", "tokio"]);
}

/// Each layer with the modules it must not name: its callers and modules outside its concern. A layer may always name
/// the layers below it.
const STRANGERS: [(&str, &[&str]); 14] = [
    ("contract", &["ops", "jobs", "store", "services", "perimeter", "server", "worker", "cli", "app"]),
    ("store", &["app", "jobs", "ops", "services", "perimeter", "server", "worker", "cli"]),
    ("jobs", &["app", "ops", "services", "perimeter", "server", "worker", "cli"]),
    ("ops", &["services", "perimeter", "server", "worker", "cli"]),
    ("worker", &["services", "perimeter", "server", "cli"]),
    ("services", &["perimeter", "server", "worker", "jobs", "cli"]),
    ("perimeter", &["ops", "services", "jobs", "domain", "server", "worker", "cli"]),
    ("openapi", &["ops", "jobs", "store", "domain", "services", "perimeter", "server", "worker", "cli", "app"]),
    ("outbound", &["app", "ops", "jobs", "store", "services", "perimeter", "server", "worker", "cli"]),
    ("ephemeral", &["app", "ops", "jobs", "services", "perimeter", "server", "worker", "cli"]),
    ("identity", &["app", "ops", "jobs", "services", "perimeter", "server", "worker", "cli"]),
    ("email", &["app", "ops", "jobs", "services", "perimeter", "server", "worker", "cli"]),
    ("gateway", &["app", "ops", "jobs", "services", "perimeter", "server", "worker", "cli"]),
    ("webhooks", &["services", "perimeter", "server", "worker", "cli"]),
];

/// Files that name a forbidden module anyway, each with the reason. The list may only shrink.
const OTHER_NAMES: [(&str, &str); 1] = [
    // A credential is verified by an operation, which the perimeter calls before it grants a permit.
    ("perimeter/auth.rs", "ops"),
];

#[test]
fn no_layer_names_a_layer_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for (layer, strangers) in STRANGERS {
        for (path, text) in sources(layer) {
            let names = named(&code(&text));
            let file = path.strip_prefix(&root).expect("below src").display().to_string();
            let named = strangers.iter().filter(|stranger| names.contains(**stranger));
            found.extend(named.map(|stranger| (file.clone(), (*stranger).to_owned())));
        }
    }
    let allowed: BTreeSet<_> =
        OTHER_NAMES.iter().map(|(file, name)| ((*file).to_owned(), (*name).to_owned())).collect();
    assert_eq!(found, allowed);
}

#[test]
fn the_store_knows_no_protocol() {
    never_says("store", &["tonic", "prost::"]);
}

#[test]
fn services_leave_the_database_to_the_operations() {
    never_says("services", &["diesel", "sql_query", "batch_execute", "begin_transaction"]);
}

#[test]
fn operations_know_no_protocol() {
    for (path, text) in sources("ops") {
        let code = code(&text);
        // The unit of work stores the encoded response in the same transaction as the effect, so it must know messages.
        let is_the_knot = path.ends_with("ops/work.rs");
        assert!(is_the_knot || !code.contains("contract::proto"), "{} knows messages", path.display());
        assert!(!code.contains("tonic::Request") && !code.contains("axum"), "{} knows a protocol", path.display());
    }
}

/// Files outside `ops` and `store` that open a transaction, each with the reason. The list may only shrink.
const OTHER_TRANSACTIONS: [&str; 0] = [];

#[test]
fn only_operations_open_transactions() {
    let opens = |code: &str| {
        // A call that rustfmt broke over several lines counts too.
        let code: String = code.split_whitespace().collect();
        [".begin_transaction(", "database.transaction(", "::begin_transaction("].iter().any(|open| code.contains(open))
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    // `ops` may open transactions; `store` provides them.
    for module in modules().iter().filter(|module| !["ops", "store"].contains(&module.as_str())) {
        for (path, text) in sources(module) {
            if opens(&code(&text)) {
                found.insert(path.strip_prefix(&root).expect("below src").display().to_string());
            }
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), OTHER_TRANSACTIONS);
    assert!(sources("ops").iter().any(|(_, text)| opens(&code(text))), "the test looks for the wrong words");
}

#[test]
fn the_source_parser_finds_names() {
    let text =
        "use crate::{\n  caller::{Permit, Visibility},\n  error,\n};\nfn f() { crate::fault::point(); } // crate::no";
    let names: Vec<_> = named(&code(text)).into_iter().collect();
    assert_eq!(names, ["caller", "error", "fault"]);
}
