//! The dependency rules that crates do not enforce: between the files of a crate, and between the modules of the
//! product.

mod graph;
mod source;
mod token;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use graph::Graph;
use source::{Source, sources};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the `src` directories of the product, and of the example module if it is checked out.
fn products() -> Vec<String> {
    let examples = fs::read_dir(root().join("examples")).into_iter().flatten().flatten();
    let examples = examples.map(|entry| format!("examples/{}/src", entry.file_name().to_string_lossy()));
    std::iter::once("src".to_owned()).chain(examples.filter(|src| root().join(src).is_dir())).collect()
}

/// Returns the tests and benches of all crates, and the programs that fake external servers: a folder with a `main.rs`
/// is a separate crate.
fn tests() -> Vec<String> {
    let of_crates = machinery().into_iter().chain(products());
    let of_crates = of_crates.filter_map(|src| Some(format!("{}/tests", src.strip_suffix("/src")?)));
    let parents = ["benches", "tests", "tests/processes"].map(str::to_owned).into_iter().chain(of_crates);
    let crates: Vec<_> = parents
        .flat_map(|parent| {
            let folders = fs::read_dir(root().join(&parent)).into_iter().flatten().flatten();
            let crates = folders.filter(|folder| folder.path().join("main.rs").is_file());
            crates.map(move |folder| format!("{parent}/{}", folder.file_name().to_string_lossy()))
        })
        .collect();
    assert!(crates.iter().any(|src| src == "tests/it"), "these tests themselves are among {crates:?}");
    crates
}

/// Returns the directories that `mainstay new` and `mainstay add` copy.
fn templates() -> [String; 2] {
    ["templates/repository/src", "templates/resource/src"].map(str::to_owned)
}

fn machinery() -> Vec<String> {
    let crates = fs::read_dir(root().join("crates")).expect("crates").flatten();
    crates.map(|entry| format!("crates/{}/src", entry.file_name().to_string_lossy())).collect()
}

/// The layers of a module's files: the first of these names in a path is the file's layer.
const LAYERS: [&str; 11] =
    ["model", "store", "service", "command", "ops", "id", "event", "events", "job", "jobs", "config"];

fn layer(module: &[String]) -> Option<&'static str> {
    // A crate with a single resource has these files beside its `lib.rs`.
    let inside = if module.len() > 1 { &module[1..] } else { module };
    inside.iter().find_map(|part| LAYERS.into_iter().find(|layer| part == layer))
}

/// Returns whether the path refers to generated messages. An error reason is a plain enum, although a `.proto` file
/// declares it.
fn is_message(graph: &Graph<'_>, from: &Source, path: &[String]) -> bool {
    let ours = graph.resolve(from, path).is_some_and(|(to, rest)| {
        to.module.first().is_some_and(|module| module == "proto") && !rest.iter().any(|name| name == "Reason")
    });
    ours || path.iter().any(|segment| segment == "proto") && path[0] == "mainstay_kernel"
}

/// Collects each path of a product's files that breaks a rule, as `file:line names path`.
fn breaches(breaks: impl Fn(&Graph<'_>, &Source, &[String]) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for src in products() {
        let sources = sources(root(), &src);
        let graph = Graph::new(&sources);
        for source in &sources {
            let broken = source.paths.iter().filter(|named| breaks(&graph, source, &named.segments));
            findings.extend(broken.map(|named| at(&source.file, named.line, &named.segments.join("::"))));
        }
    }
    findings
}

fn at(file: &Path, line: usize, what: &str) -> String {
    format!("{}:{line} names {what}", file.display())
}

fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} breaches:\n{}", findings.len(), findings.join("\n"));
}

/// The modules of the kernel that are plain types and functions.
const PLAIN: [&str; 11] =
    ["caller", "clock", "contract", "error", "id", "money", "numbered", "page", "secret", "version", "events"];

/// [`Call::commit`](mainstay_kernel::grpc::Call::commit) refuses a response that clients of gRPC would not accept before it
/// commits. Every method that writes passes it, because nothing else runs a unit of work.
#[test]
fn only_a_call_commits_its_response() {
    let runs = |path: &[String]| path.windows(2).any(|pair| pair == ["unit_of_work", "run"]);
    none(&breaches(|_, _, path| runs(path)));
    let kernel = sources(root(), "crates/kernel/src");
    let callers = kernel.iter().filter(|source| source.paths.iter().any(|named| runs(&named.segments)));
    let callers: Vec<_> = callers.map(|source| source.file.clone()).collect();
    assert_eq!(callers, [PathBuf::from("crates/kernel/src/grpc.rs")]);
}

#[test]
fn a_model_does_no_io_and_knows_no_protocol() {
    const OUTSIDE: [&str; 12] = [
        "axum",
        "diesel",
        "diesel_async",
        "http",
        "hyper",
        "prost",
        "prost_types",
        "reqwest",
        "tokio",
        "tonic",
        "tower",
        "mainstay_dev_servers",
    ];
    const SYSTEM: [&str; 5] = ["env", "fs", "net", "process", "thread"];
    none(&breaches(|graph, from, path| {
        let is_value = path.last().is_some_and(|name| name == "IpAddr");
        let system = !is_value && path[0] == "std" && path.get(1).is_some_and(|name| SYSTEM.contains(&name.as_str()));
        let machinery = path[0] == "mainstay_kernel" && path.get(1).is_some_and(|name| !PLAIN.contains(&name.as_str()));
        let ours = graph.resolve(from, path).is_some_and(|(to, _)| {
            matches!(layer(&to.module), Some("store" | "service" | "command" | "ops" | "job" | "jobs" | "config"))
        });
        let outside = OUTSIDE.contains(&path[0].as_str());
        layer(&from.module) == Some("model")
            && (system || machinery || ours || outside || is_message(graph, from, path))
    }));
}

#[test]
fn a_store_knows_no_protocol_and_no_caller_of_its_own() {
    const OUTSIDE: [&str; 6] = ["axum", "http", "prost", "prost_types", "reqwest", "tonic"];
    none(&breaches(|graph, from, path| {
        let above = graph
            .resolve(from, path)
            .is_some_and(|(to, _)| matches!(layer(&to.module), Some("service" | "command" | "ops" | "jobs")));
        let outside = OUTSIDE.contains(&path[0].as_str());
        layer(&from.module) == Some("store") && (outside || above || is_message(graph, from, path))
    }));
}

#[test]
fn operations_know_no_protocol_and_no_service() {
    const OUTSIDE: [&str; 3] = ["axum", "prost", "tonic"];
    none(&breaches(|graph, from, path| {
        let above =
            graph.resolve(from, path).is_some_and(|(to, _)| matches!(layer(&to.module), Some("service" | "command")));
        let outside = OUTSIDE.contains(&path[0].as_str());
        layer(&from.module) == Some("ops") && (outside || above || is_message(graph, from, path))
    }));
}

#[test]
fn a_service_and_a_command_leave_the_database_to_the_operations() {
    none(&breaches(|graph, from, path| {
        let store = graph.resolve(from, path).is_some_and(|(to, _)| layer(&to.module) == Some("store"));
        let outside = ["diesel", "diesel_async", "tokio_postgres"].contains(&path[0].as_str());
        matches!(layer(&from.module), Some("service" | "command")) && (store || outside)
    }));
}

/// A service may read through an operation with `autocommit`, which is one statement or a few that need no common
/// snapshot. Atomic changes belong in `ops`.
#[test]
fn only_operations_open_transactions() {
    const OPENS: [&[&str]; 3] = [&[".", "transaction", "("], &["begin_transaction"], &["::", "transaction", "("]];
    let (mut findings, mut in_ops) = (Vec::new(), 0);
    for src in products().into_iter().chain(machinery()) {
        for source in sources(root(), &src) {
            let is_unit_of_work = src == "crates/kernel/src"
                && source.module.first().is_some_and(|module| module == "unit_of_work")
                // The test kit prepares data for tests.
                || src == "crates/test-kit/src";
            let lines: Vec<_> = OPENS.iter().flat_map(|words| source.lines_with(words)).collect();
            if layer(&source.module) == Some("ops") {
                in_ops += lines.len();
            } else if !is_unit_of_work {
                findings.extend(lines.into_iter().map(|line| at(&source.file, line, "a transaction")));
            }
            // A model has no connection, and a store receives one.
            if matches!(layer(&source.module), Some("model" | "store")) {
                let lines = source.lines_with(&[".", "autocommit", "("]);
                findings.extend(lines.into_iter().map(|line| at(&source.file, line, "autocommit")));
            }
        }
    }
    none(&findings);
    assert!(in_ops > 0, "the test looks for the wrong words");
}

#[test]
fn a_module_reaches_another_only_through_what_it_offers() {
    const OFFERED: [&str; 6] = ["event", "events", "id", "job", "model", "ops"];
    let folders: Vec<_> = fs::read_dir(root().join("src")).expect("src").flatten().collect();
    let is_module =
        |name: &str| folders.iter().any(|entry| entry.path().is_dir() && entry.file_name() == name) && name != "cli";
    none(&breaches(|graph, from, path| {
        let Some(own) = from.module.first() else { return false };
        // The defining file is exempt: these exports are the offered interface.
        let Some(to) = graph.reach(from, path) else { return false };
        let Some(other) = to.module.first() else { return false };
        let offered = to.module.len() == 1 || layer(&to.module).is_some_and(|layer| OFFERED.contains(&layer));
        is_module(own) && is_module(other) && own != other && !offered
    }));
}

/// A module registers everything that it offers to the whole program, as a team's own module can, too.
#[test]
fn the_command_line_names_no_module() {
    let is_cli = |source: &Source| source.module.first().is_some_and(|module| module == "cli");
    let mut findings =
        breaches(|graph, from, path| is_cli(from) && graph.resolve(from, path).is_some_and(|(to, _)| !is_cli(to)));
    // No text there names a package of a contract either.
    let sources = sources(root(), "src");
    let others = sources.iter().filter(|source| !is_cli(source));
    let modules: BTreeSet<_> = others.filter_map(|source| source.module.first()).collect();
    for source in sources.iter().filter(|source| is_cli(source)) {
        let text = fs::read_to_string(root().join(&source.file)).expect("a file");
        let packages = modules.iter().map(|module| format!("mainstay.{module}.v"));
        let named = packages.filter(|package| text.contains(package));
        findings.extend(named.map(|package| format!("{} names {package}", source.file.display())));
    }
    none(&findings);
    assert!(sources.iter().any(is_cli) && modules.len() > 1, "the test looks for the wrong folders");
}

/// Items that a module does not offer are public for the tests of the product only.
#[test]
fn a_team_reaches_the_product_only_through_what_it_offers() {
    none(&breaches(|_, _, path| {
        path[0] == "mainstay" && path.iter().any(|part| ["store", "service"].contains(&part.as_str()))
    }));
}

#[test]
fn configuration_holds_plain_values() {
    // A plain struct of durations and numbers.
    let is_plain = |path: &[String]| path.ends_with(&["outbound".to_owned(), "Bounds".to_owned()]);
    let kernel = sources(root(), "crates/kernel/src");
    let graph = Graph::new(&kernel);
    let is_config = |source: &Source| source.module.first().is_some_and(|module| module == "config");
    let mut findings = Vec::new();
    for source in kernel.iter().filter(|source| is_config(source)) {
        let foreign = source
            .paths
            .iter()
            .filter(|named| graph.resolve(source, &named.segments).is_some_and(|(to, _)| !is_config(to)));
        findings.extend(foreign.map(|named| at(&source.file, named.line, &named.segments.join("::"))));
    }
    findings.extend(breaches(|graph, from, path| {
        let machinery =
            path[0] == "mainstay_kernel" && path.get(1).is_some_and(|name| name != "config") && !is_plain(path);
        let ours = graph.resolve(from, path).is_some_and(|(to, _)| {
            to.module != from.module && !matches!(layer(&to.module), Some("config" | "model" | "id"))
        });
        layer(&from.module) == Some("config") && (machinery || ours)
    }));
    none(&findings);
}

#[test]
fn each_file_is_a_module_of_its_crate() {
    let mut findings = Vec::new();
    for src in products().into_iter().chain(machinery()).chain(tests()) {
        let sources = sources(root(), &src);
        for source in &sources {
            let Some((name, parent)) = source.module.split_last() else { continue };
            let declares = |parent: &Source| !parent.lines_with(&["mod", name, ";"]).is_empty();
            if !sources.iter().any(|source| source.module == parent && declares(source)) {
                findings.push(format!("{}: no module declares it, so it is not compiled", source.file.display()));
            }
        }
    }
    none(&findings);
}

#[test]
fn no_files_need_each_other_in_a_circle() {
    let mut findings = Vec::new();
    for src in products().into_iter().chain(machinery()).chain(tests()).chain(templates()) {
        let sources = sources(root(), &src);
        let graph = Graph::new(&sources);
        for circle in graph.circles() {
            findings.push(format!("{src}:"));
            for source in sources.iter().filter(|source| circle.contains(&&*source.module)) {
                let within = graph.needs(source).into_iter().filter(|(to, _)| circle.contains(to));
                findings.extend(
                    within
                        .map(|(_, named)| "  ".to_owned() + &at(&source.file, named.line, &named.segments.join("::"))),
                );
            }
        }
    }
    none(&findings);
}

fn parse(module: &str, text: &str) -> Source {
    let module = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Source::parse(PathBuf::from("file.rs"), module, text)
}

#[test]
fn the_source_parser_finds_paths() {
    let text = "use crate::{a::{B, c::{self, D as E}}, f};\n/* crate::no */ fn g<'a>(x: &'a str) -> char { \
                crate::h::i(\"crate::no\", 'x', '\\'', r#\"crate::no\"#); E::j(); '\"' } // crate::no\n\
                #[cfg(test)]\nmod tests { use crate::no; }\nfn k() -> impl L + use<> { super::m() }";
    let paths: Vec<_> = parse("", text).paths.iter().map(|named| named.segments.join("::")).collect();
    assert_eq!(paths, ["crate::a::B", "crate::a::c", "crate::a::c::D", "crate::f", "crate::h::i", "E::j", "super::m"]);
}

#[test]
fn the_graph_finds_circles() {
    let circles = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(module, text)| parse(module, text)).collect();
        Graph::new(&sources).circles().len()
    };
    assert_eq!(circles(&[("a", "use crate::b::B;"), ("b", "fn f() { crate::a::f() }")]), 1);
    assert_eq!(circles(&[("a", "use crate::b;"), ("b", "use crate::c::{self};"), ("c", "use super::a::A;")]), 1);
    assert_eq!(circles(&[("a", "use crate::b::B;"), ("b", "use crate::c::C;"), ("c", "")]), 0);
    // A parent that calls its child, which uses the parent's type: the child is first a separate module, then a part;
    // and a parent that only re-exports it.
    assert_eq!(circles(&[("a", "pub mod b; fn f() { b::g() }"), ("a::b", "use super::A;")]), 1);
    assert_eq!(circles(&[("a", "mod b; fn f() { b::g() }"), ("a::b", "use super::A;")]), 0);
    assert_eq!(circles(&[("a", "pub mod b; pub use b::B;"), ("a::b", "use super::A;")]), 0);
    // Two parts of a module.
    let parts = [("a", "mod b; mod c;"), ("a::b", "use super::c::C;"), ("a::c", "use super::b::B;")];
    assert_eq!(circles(&parts), 1);
    // The child depends on a sibling through the parent's re-export, not on the parent.
    let sibling = [("a", "mod b; mod c; pub use c::C; fn f() { b::g() }"), ("a::b", "use super::C;"), ("a::c", "")];
    assert_eq!(circles(&sibling), 0);
    // A re-export by another module, although the exported file has no dependencies.
    let facade = [("a", "mod b; pub use b::B; fn f() { crate::c::g() }"), ("a::b", ""), ("c", "use crate::a::B;")];
    assert_eq!(circles(&facade), 1);
}
