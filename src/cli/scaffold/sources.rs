//! The location of Mainstay's sources.

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context as _, ensure};

/// Returns Mainstay's sources: the folder or one of its ancestors, as under `cargo run -p fleet`.
pub(super) fn find(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| format!("there are no sources in {}", folder.display()))?;
    let sources = folder.ancestors().find(|folder| folder.join("crates/kernel/Cargo.toml").is_file());
    let sources = sources.with_context(|| format!("{} has none of Mainstay's sources", folder.display()))?;
    Ok(sources.to_owned())
}

/// Returns the section of a Cargo.toml in `folder` that replaces the published crates by the sources.
///
/// # Errors
/// An error if the version of the sources is not `version`, because cargo would not accept them in place of the
/// published one.
pub(super) fn patch(folder: &Path, sources: &Path, version: &str) -> anyhow::Result<String> {
    let path = relative(folder, sources)?;
    let manifest = sources.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let crates = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" = { path = \"")?;
        let (below, rest) = rest.split_once('"')?;
        Some((name, below, rest))
    });
    let mut section =
        "\n# The sources beside this repository, in place of the published crates.\n[patch.crates-io]\n".to_owned();
    for (name, below, rest) in crates {
        ensure!(
            rest.contains(&format!("\"{version}\"")),
            "{} is not of version {version}, as this program is",
            sources.display()
        );
        let below = if below == "." { String::new() } else { format!("/{below}") };
        section.push_str(&format!("{name} = {{ path = \"{path}{below}\" }}\n"));
    }
    Ok(section)
}

/// Returns the section of a Cargo.toml that replaces the published crates by those at a tag of a git repository. The names of
/// the crates are those in the lock file of this program.
///
/// # Errors
/// An error if the address or the tag has a character that TOML would need to escape.
pub(super) fn git_patch(url: &str, tag: &str, lock: &str) -> anyhow::Result<String> {
    for text in [url, tag] {
        ensure!(!text.is_empty() && !text.contains(['"', '\\', '\n']), "{text:?} is not an address or tag of git");
    }
    let crates = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let crates = crates.filter(|name| *name == "mainstay" || name.starts_with("mainstay-"));
    let heading = "\n# The sources in git, in place of the published crates.\n[patch.crates-io]\n".to_owned();
    Ok(crates.fold(heading, |section, name| format!("{section}{name} = {{ git = \"{url}\", tag = \"{tag}\" }}\n")))
}

/// Returns the relative path from a folder that is to be created to the sources, so that both can be moved together.
pub(super) fn relative(folder: &Path, sources: &Path) -> anyhow::Result<String> {
    let folder = absolute(folder)?;
    let (parent, name) = (folder.parent().context("a folder has a parent")?, folder.file_name().unwrap_or_default());
    let parent = parent.canonicalize().with_context(|| format!("there is no folder {}", parent.display()))?;
    let folder = parent.join(name);
    ensure!(
        !folder.starts_with(sources),
        "{} is within Mainstay's sources: choose a folder beside them, such as ../{}",
        folder.display(),
        name.to_string_lossy()
    );
    let common = folder.components().zip(sources.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| "..".into());
    let path: PathBuf =
        up.chain(sources.components().skip(common).map(|part| PathBuf::from(part.as_os_str()))).collect();
    path.to_str().map(str::to_owned).context("the path to Mainstay's sources is no text")
}
