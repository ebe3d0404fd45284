//! The files of the templates.

use std::{collections::BTreeMap, fs, path::Path};

use crate::identity::user::model::Language;

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

/// The built-in files.
const BUILT_IN: &[(&str, &str)] = built_in![
    "layout.html" "layout.txt" "page.html" "parts.html" "parts.txt"
    "already_registered.de.j2" "already_registered.en.j2"
    "deletion_done.de.j2" "deletion_done.en.j2"
    "deletion_scheduled.de.j2" "deletion_scheduled.en.j2"
    "domain_lapsed.de.j2" "domain_lapsed.en.j2"
    "email_change.de.j2" "email_change.en.j2"
    "email_changed.de.j2" "email_changed.en.j2"
    "email_taken.de.j2" "email_taken.en.j2"
    "identity_linked.de.j2" "identity_linked.en.j2"
    "identity_unlinked.de.j2" "identity_unlinked.en.j2"
    "impersonation.de.j2" "impersonation.en.j2"
    "invitation.de.j2" "invitation.en.j2"
    "order_confirmation.de.j2" "order_confirmation.en.j2"
    "passkey_added.de.j2" "passkey_added.en.j2"
    "passkey_refused.de.j2" "passkey_refused.en.j2"
    "passkey_removed.de.j2" "passkey_removed.en.j2"
    "password_changed.de.j2" "password_changed.en.j2"
    "password_reset.de.j2" "password_reset.en.j2"
    "payment_receipt.de.j2" "payment_receipt.en.j2"
    "recovery_code_used.de.j2" "recovery_code_used.en.j2"
    "refund.de.j2" "refund.en.j2"
    "registration.de.j2" "registration.en.j2"
    "second_factor_added.de.j2" "second_factor_added.en.j2"
    "second_factor_removed.de.j2" "second_factor_removed.en.j2"
    "second_factor_reset.de.j2" "second_factor_reset.en.j2"
    "sign_in.de.j2" "sign_in.en.j2"
    "subscription_receipt.de.j2" "subscription_receipt.en.j2"
    "subscription_unpaid.de.j2" "subscription_unpaid.en.j2"
    "ticket_received.de.j2" "ticket_received.en.j2"
    "ticket_reply.de.j2" "ticket_reply.en.j2"
];

/// The files that all templates need.
pub(super) const SHARED: [&str; 5] = ["layout.html", "layout.txt", "page.html", "parts.html", "parts.txt"];

/// The maximum size of a template file, in bytes; a larger file is a mistake.
const MAX_BYTES: u64 = 256 << 10;

/// Splits a file name into the template's name and its language; `None` for files that all languages share.
pub(super) fn language(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(".j2")?.split_once('.')
}

/// Returns the names of all templates.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = BUILT_IN.iter().filter_map(|(name, _)| Some(language(name)?.0)).collect();
    names.dedup();
    names
}

/// Returns the built-in files, replaced and supplemented by those of a directory, and the errors in that directory.
pub(super) fn sources(directory: Option<&Path>) -> (Vec<Source>, Vec<String>) {
    let mut files: BTreeMap<String, String> =
        BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
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
                    match read(&name, &entry.path()) {
                        Ok(text) => drop(files.insert(name, text)),
                        Err(why) => faults.push(format!("{name}: {why}")),
                    }
                }
            }
        }
    }
    (files.into_iter().map(|(name, text)| Source { name, text }).collect(), faults)
}

fn read(name: &str, path: &Path) -> Result<String, String> {
    let is_known = match language(name) {
        None => BUILT_IN.iter().any(|(file, _)| *file == name),
        Some((template, tag)) => {
            names().contains(&template) && Language::parse(tag).is_ok_and(|language| language.as_str() == tag)
        }
    };
    if !is_known {
        return Err(format!(
            "is not the name of a template: NAME.LANGUAGE.j2 with one of {}, or layout.html, layout.txt, page.html, \
             parts.html, parts.txt",
            names().join(", ")
        ));
    }
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err("is larger than 256 KiB".to_owned());
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_built_in() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/templates");
        let entries = fs::read_dir(directory).expect("the templates").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.ends_with(".rs"));
        names.sort();
        let mut expected: Vec<_> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
        expected.sort();
        assert_eq!(names, expected);
    }
}
