//! Where Mainstay's sources are.

use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, ensure};

/// Returns Mainstay's sources: a folder, or one above it, as under `cargo run -p fleet`.
pub(super) fn find(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| format!("there are no sources in {}", folder.display()))?;
    let sources = folder.ancestors().find(|folder| folder.join("crates/kernel/Cargo.toml").is_file());
    let sources = sources.with_context(|| format!("{} has none of Mainstay's sources", folder.display()))?;
    Ok(sources.to_owned())
}

/// Returns the path from a folder that is to be created to the sources, so that both can be moved together.
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
