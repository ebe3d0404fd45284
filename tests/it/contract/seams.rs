//! docs/seams.md lists every declaration of a module, with an example and a test.

use std::{collections::BTreeSet, fs, path::Path};

/// Returns the names of the functions that take and return a module.
fn declarations(text: &str) -> impl Iterator<Item = &str> {
    let heads = text.split("fn ").skip(1).filter(|rest| {
        let arguments = rest.split_once('(').map_or("", |(_, arguments)| arguments.trim_start());
        ["mut self", "self"].iter().any(|own| arguments.starts_with(own))
    });
    heads.filter_map(|rest| rest.split(['(', '<']).next())
}

/// Returns the text of the files of the product that extend `Module`.
fn extensions(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            extensions(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path)
            && let Some((_, extension)) = text.split_once(" for Module {\n")
        {
            found.push_str(extension.split("\n}\n").next().expect("one part at least"));
        }
    }
}

#[test]
fn every_declaration_of_a_module_has_an_example_and_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = fs::read_to_string(root.join("crates/kernel/src/module.rs")).expect("the file");
    let mut extended = String::new();
    extensions(&root.join("src"), &mut extended);
    let declared: BTreeSet<_> = declarations(&module).chain(declarations(&extended)).collect();
    for known in ["on_every_event", "mail", "operation", "tile"] {
        assert!(declared.contains(known), "the test reads the wrong files: {declared:?}");
    }

    let page = fs::read_to_string(root.join("docs/seams.md")).expect("the file");
    let (_, table) = page.split_once("\n## All declarations\n").expect("the section");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `."));
    let rows: BTreeSet<_> = rows
        .map(|row| {
            let links = row.matches("](../").count();
            assert!(links >= 2, "a row has an example and a test: {row}");
            row.split(['(', ':']).next().expect("a name")
        })
        .collect();
    assert_eq!(declared, rows);
}
