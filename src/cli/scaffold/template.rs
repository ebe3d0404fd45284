//! The templates, and the names in them.

use minijinja::Environment;

/// The templates. The words of a sample are replaced. The fields of a resource are then inserted into the templates of
/// `mainstay add`, in the syntax of Jinja.
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
            "_cargo_config.toml" => ".cargo/config.toml",
            name => name,
        };
        (rename(name, names), rename(&text, names))
    })
}

/// Inserts values into the text of a template.
///
/// # Errors
/// A fault in the template.
pub(super) fn fill(text: &str, values: &minijinja::Value) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    Ok(environment.render_str(text, values)?)
}

/// Replaces the words in one pass, because a name may contain a word: `todo_item` has `do_it`. Of several words at a place, the
/// longest counts, because a word may contain another.
fn rename(text: &str, names: &Names) -> String {
    let mut names: Vec<_> = names.iter().collect();
    names.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let (mut renamed, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let found = names.iter().find_map(|(word, name)| Some((rest.strip_prefix(word)?, name)));
        if let Some((behind, name)) = found {
            renamed.push_str(name);
            rest = behind;
        } else {
            renamed.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_contains_a_word_is_inserted_whole() {
        let names = vec![("do_it", "complete".to_owned()), ("sample_item", "todo_item".to_owned())];
        assert_eq!(rename("sample_item/do_it_sample_items", &names), "todo_item/complete_todo_items");
    }
}
