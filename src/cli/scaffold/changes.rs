//! Writes all changes atomically: all of them, or none.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// Files to create and to change.
#[derive(Debug, Default)]
pub(super) struct Changes {
    new: Vec<(PathBuf, String)>,
    edits: Vec<Edit>,
}

#[derive(Debug)]
struct Edit {
    path: PathBuf,
    before: String,
    after: String,
}

/// A step, which is undone if a later one fails.
enum Step<'a> {
    Folder(PathBuf),
    File(&'a Path),
    Edit(&'a Edit),
}

impl Changes {
    pub(super) fn create(&mut self, path: PathBuf, text: String) {
        self.new.push((path, text));
    }

    pub(super) fn edit(
        &mut self,
        path: PathBuf,
        change: impl FnOnce(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let before = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let after = change(&before).with_context(|| format!("{} can't be changed", path.display()))?;
        self.edits.push(Edit { path, before, after });
        Ok(())
    }

    /// Writes all changes; returns the paths.
    ///
    /// # Errors
    /// An existing file, or the first step that fails; nothing has changed then.
    pub(super) fn write(self) -> anyhow::Result<Vec<PathBuf>> {
        if let Some((path, _)) = self.new.iter().find(|(path, _)| fs::symlink_metadata(path).is_ok()) {
            bail!("{} already exists", path.display());
        }
        let mut steps = Vec::new();
        let result = self.write_all(&mut steps);
        if result.is_err() {
            steps.iter().rev().for_each(Step::undo);
        }
        result?;
        Ok(self.new.into_iter().map(|(path, _)| path).chain(self.edits.into_iter().map(|edit| edit.path)).collect())
    }

    fn write_all<'a>(&'a self, steps: &mut Vec<Step<'a>>) -> anyhow::Result<()> {
        for (path, text) in &self.new {
            let writing = || format!("writing {}", path.display());
            let missing: Vec<_> = path.ancestors().skip(1).take_while(|folder| is_missing(folder)).collect();
            for folder in missing.into_iter().rev() {
                fs::create_dir(folder).with_context(writing)?;
                steps.push(Step::Folder(folder.to_owned()));
            }
            let mut file = fs::File::create_new(path).with_context(writing)?;
            steps.push(Step::File(path));
            file.write_all(text.as_bytes()).with_context(writing)?;
        }
        for edit in &self.edits {
            steps.push(Step::Edit(edit));
            fs::write(&edit.path, &edit.after).with_context(|| format!("writing {}", edit.path.display()))?;
        }
        Ok(())
    }
}

fn is_missing(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && !folder.is_dir()
}

impl Step<'_> {
    /// A step that can't be undone is left as it is, so that the original error is reported.
    fn undo(&self) {
        match self {
            Self::Folder(path) => fs::remove_dir(path).ok(),
            Self::File(path) => fs::remove_file(path).ok(),
            Self::Edit(edit) => fs::write(&edit.path, &edit.before).ok(),
        };
    }
}
