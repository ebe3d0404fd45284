//! The templates, and the names in them.

#[derive(rust_embed::RustEmbed)]
#[folder = "templates"]
struct Templates;

/// The words in the templates, with their replacements.
pub(super) type Names = Vec<(&'static str, String)>;

/// Returns the files of a template folder, renamed.
pub(super) fn files<'a>(folder: &'a str, names: &'a Names) -> impl Iterator<Item = (String, String)> + 'a {
    let files = Templates::iter().filter_map(move |path| {
        let name = path.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
        Some((name, Templates::get(&path)?.data.into_owned()))
    });
    files.map(|(name, text)| {
        let text = String::from_utf8(text).expect("the templates are text");
        // Under their real names, cargo and git would treat these files as their own.
        let name = match name.as_str() {
            "_Cargo.toml" => "Cargo.toml",
            "_gitignore" => ".gitignore",
            name => name,
        };
        (rename(name, names), rename(&text, names))
    })
}

/// Replaces the words, the longest first, because a word may contain another.
fn rename(text: &str, names: &Names) -> String {
    let mut names: Vec<_> = names.iter().collect();
    names.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    names.iter().fold(text.to_owned(), |text, (word, name)| text.replace(word, name))
}
