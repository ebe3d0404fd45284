//! The files of the templates.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{identity::user::model::Language, mail::kind::Kinds};

/// A template file.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(($name, include_str!($name))),*]
    };
}

/// The files that all templates need.
const SHARED_FILES: &[(&str, &str)] = built_in![
    "authorize.html" "device.html" "layout.html" "layout.txt" "page.html" "page_head.html" "page_permissions.html"
    "page_style.html" "parts.html" "parts.txt" "sign_in.html"
];

/// Their names.
pub(super) const SHARED: [&str; 11] = [
    "authorize.html",
    "device.html",
    "layout.html",
    "layout.txt",
    "page.html",
    "page_head.html",
    "page_permissions.html",
    "page_style.html",
    "parts.html",
    "parts.txt",
    "sign_in.html",
];

/// The maximum size of a template file, in bytes; a larger file is a mistake.
const MAX_BYTES: u64 = 256 << 10;

/// Splits a file name into the template's name and its language; `None` for files that all languages share.
pub(super) fn language(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(".j2")?.rsplit_once('.')
}

/// Returns the names of all templates.
pub(super) fn names(kinds: &Kinds) -> impl Iterator<Item = &'static str> {
    kinds.iter().flat_map(|kind| kind.templates).map(|template| template.name)
}

/// Returns the shared files and those of the kinds, replaced and supplemented by those of a directory, and the errors in
/// that directory.
pub(super) fn sources(kinds: &Kinds, directory: Option<&Path>) -> (Vec<Source>, Vec<String>) {
    let mut files: BTreeMap<String, String> =
        SHARED_FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    for template in kinds.iter().flat_map(|kind| kind.templates) {
        let file = |(language, text): &(&str, &str)| (format!("{}.{language}.j2", template.name), (*text).to_owned());
        files.extend(template.texts.iter().map(file));
    }
    let mut faults = Vec::new();
    if let Some(directory) = directory {
        match fs::read_dir(directory) {
            Err(error) => faults.push(format!("{}: {error}", directory.display())),
            Ok(entries) => {
                for entry in entries.flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    // A hidden file, such as .gitignore.
                    if name.starts_with('.') {
                        continue;
                    }
                    match read(kinds, &name, &entry.path()) {
                        Ok(text) => drop(files.insert(name, text)),
                        Err(why) => faults.push(format!("{name}: {why}")),
                    }
                }
            }
        }
    }
    (files.into_iter().map(|(name, text)| Source { name, text }).collect(), faults)
}

fn read(kinds: &Kinds, name: &str, path: &Path) -> Result<String, String> {
    let is_known = match language(name) {
        None => SHARED.contains(&name),
        Some((template, tag)) => {
            names(kinds).any(|name| name == template)
                && Language::parse(tag).is_ok_and(|language| language.as_str() == tag)
        }
    };
    if !is_known {
        return Err(format!(
            "is not the name of a template: NAME.LANGUAGE.j2 with one of {}, or {}",
            names(kinds).collect::<Vec<_>>().join(", "),
            SHARED.join(", ")
        ));
    }
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err("is larger than 256 KiB".to_owned());
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}
