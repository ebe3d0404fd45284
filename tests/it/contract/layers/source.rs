//! The Rust files of a crate, and the paths that each of them names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::token::{Token, tokens};

/// A path that a file names, such as `crate::support::ticket::ops`, and the line where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    /// Whether a `pub use` re-exports the name.
    pub(super) exported: bool,
}

/// A file, and the names that it uses outside its tests.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the workspace.
    pub(super) file: PathBuf,
    /// The module path: empty for `lib.rs`.
    pub(super) module: Vec<String>,
    pub(super) paths: Vec<NamedPath>,
    /// The names that `use` brings into scope.
    pub(super) imports: BTreeMap<String, NamedPath>,
    /// The children that are visible only to this file and its descendants.
    pub(super) private: BTreeSet<String>,
    pub(super) tokens: Vec<Token>,
}

impl Source {
    pub(super) fn parse(file: PathBuf, module: Vec<String>, text: &str) -> Self {
        let tokens = tokens(text);
        let is_private = |at: usize| at == 0 || !["pub", ")"].contains(&tokens[at - 1].text.as_str());
        let private = tokens
            .windows(3)
            .enumerate()
            .filter(|(at, words)| words[0].text == "mod" && words[2].text == ";" && is_private(*at))
            .map(|(_, words)| words[1].text.clone())
            .collect();
        let mut source =
            Self { file, module, paths: Vec::new(), imports: BTreeMap::new(), private, tokens: tokens.clone() };
        let mut at = 0;
        while at < tokens.len() {
            let begins_path = at == 0 || !["::", "."].contains(&tokens[at - 1].text.as_str());
            if tokens[at].text == "use" && tokens.get(at + 1).is_some_and(|next| next.text != "<") {
                let exported = at > 0 && ["pub", ")"].contains(&tokens[at - 1].text.as_str());
                at = source.import(&tokens, at + 1, &[], exported);
            } else if tokens[at].is_name() && begins_path {
                at = source.path(&tokens, at);
            } else {
                at += 1;
            }
        }
        source
    }

    /// Reads one tree of a `use`, which follows these segments, and returns its end.
    fn import(&mut self, tokens: &[Token], mut at: usize, before: &[String], exported: bool) -> usize {
        let mut segments = before.to_vec();
        let line = tokens[at].line;
        let mut name = None;
        while let Some(token) = tokens.get(at) {
            match token.text.as_str() {
                "::" => at += 1,
                "{" => {
                    at += 1;
                    while tokens.get(at).is_some_and(|token| token.text != "}") {
                        at = self.import(tokens, at, &segments, exported);
                        at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                    }
                    return at + 1;
                }
                "as" => {
                    name = tokens.get(at + 1).map(|token| token.text.clone());
                    at += 2;
                }
                // `use a::{self}` names `a`.
                "self" if !segments.is_empty() => at += 1,
                "*" => {
                    segments.push(token.text.clone());
                    at += 1;
                }
                _ if token.is_name() => {
                    segments.push(token.text.clone());
                    at += 1;
                }
                _ => break,
            }
        }
        let named = NamedPath { segments, line, exported };
        if let Some(name) = name.or_else(|| named.segments.last().cloned()) {
            self.imports.insert(name, named.clone());
        }
        self.paths.push(named);
        at
    }

    /// Reads a path in the code, and returns its end.
    fn path(&mut self, tokens: &[Token], mut at: usize) -> usize {
        let mut segments = vec![tokens[at].text.clone()];
        let line = tokens[at].line;
        while tokens.get(at + 1).is_some_and(|token| token.text == "::")
            && tokens.get(at + 2).is_some_and(Token::is_name)
        {
            at += 2;
            segments.push(tokens[at].text.clone());
        }
        if segments.len() > 1 {
            self.paths.push(NamedPath { segments, line, exported: false });
        }
        at + 1
    }

    /// Returns the lines where the code has these consecutive tokens, such as `.`, `transaction`, `(`.
    pub(super) fn lines_with(&self, words: &[&str]) -> Vec<usize> {
        let same = |window: &[Token]| window.iter().zip(words).all(|(token, word)| token.text == *word);
        self.tokens.windows(words.len()).filter(|window| same(window)).map(|window| window[0].line).collect()
    }
}

/// Returns the Rust code of a template: without its statements, and with a name in place of each value.
fn without_jinja(template: &str) -> String {
    let replace = |text: &str, [begin, end]: [&str; 2], by: &str| {
        let mut parts = text.split(begin);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + by + part.split_once(end).map_or("", |(_, rest)| rest))
    };
    replace(&replace(template, ["{%", "%}"], ""), ["{{", "}}"], "inserted")
}

#[test]
fn a_template_is_read_as_rust() {
    let template = "use a::{b, {% if c %}d, {% endif %}e};\nuse crate::{{ f }}::g;\nfn h() { {{- i }}j }\n";
    let rust = "use a::{b, d, e};\nuse crate::inserted::g;\nfn h() { insertedj }\n";
    assert_eq!(without_jinja(template), rust);
}

/// Returns the sources below a `src` directory, except files of tests.
pub(super) fn sources(root: &Path, src: &str) -> Vec<Source> {
    let base = root.join(src);
    let (mut directories, mut sources) = (vec![base.clone()], Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.expect("a directory entry").path();
            let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() && !is_tests {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests {
                let below = path.strip_prefix(&base).expect("below src").with_extension("");
                let module = below.iter().map(|part| part.to_string_lossy().into_owned());
                let module = module.filter(|part| !["lib", "main"].contains(&part.as_str())).collect();
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let text = if src.starts_with("templates/") { without_jinja(&text) } else { text };
                let file = path.strip_prefix(root).expect("below the workspace").to_owned();
                // `main.rs` is a separate crate if `lib.rs` exists.
                if !file.ends_with("main.rs") || !base.join("lib.rs").exists() {
                    sources.push(Source::parse(file, module, &text));
                }
            }
        }
    }
    sources.sort_by(|one, other| one.file.cmp(&other.file));
    assert!(!sources.is_empty(), "no sources in {src}");
    sources
}
