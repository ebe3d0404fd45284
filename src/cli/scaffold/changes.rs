//! Writes all changes atomically: all of them, or none. Nothing is overwritten: if a new file exists, the differences
//! between the files and the generated ones are reported instead.

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
    /// Insertions that are there in another form.
    notes: Vec<String>,
}

/// The outcome of the changes.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All changes were made; the new files, followed by the changed files.
    Written(Vec<PathBuf>),
    /// Some of it was there; nothing was written.
    Exists { differences: Vec<Difference>, notes: Vec<String> },
}

/// A file that differs from the generated one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) path: PathBuf,
    /// Whether it exists.
    pub(super) exists: bool,
    /// The generated text.
    pub(super) generated: String,
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
        let earlier = self.edits.iter().position(|edit| edit.path == path).map(|edit| self.edits.swap_remove(edit));
        let (before, now) = match earlier {
            Some(Edit { before, after, .. }) => (before, after),
            None => {
                let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                (text.clone(), text)
            }
        };
        let after = change(&now).with_context(|| format!("{} can't be changed", path.display()))?;
        self.edits.push(Edit { path, before, after });
        Ok(())
    }

    /// Inserts a piece into a file. If the file has the `marker` of the piece already, it is left as it is.
    pub(super) fn insert(
        &mut self,
        path: PathBuf,
        marker: &str,
        piece: &str,
        insert: impl FnOnce(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let (mut note, place) = (None, path.display().to_string());
        self.edit(path, |text| {
            if !text.contains(marker) {
                return insert(text);
            }
            if !dense(text).contains(&dense(piece)) {
                note = Some(format!("{place} has another `{marker}` than the generator writes"));
            }
            Ok(text.to_owned())
        })?;
        self.notes.extend(note);
        Ok(())
    }

    /// Makes all changes, unless a new file exists.
    ///
    /// # Errors
    /// The first step that fails; nothing has changed then.
    pub(super) fn finish(self) -> anyhow::Result<Outcome> {
        let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
        if !self.new.iter().any(|(path, _)| exists(path)) {
            return self.write().map(Outcome::Written);
        }
        let read = |path: &Path| if exists(path) { fs::read_to_string(path).map(Some) } else { Ok(None) };
        let mut differences = Vec::new();
        for (path, generated) in self.new {
            let text = read(&path).with_context(|| format!("reading {}", path.display()))?;
            if text.as_ref() != Some(&generated) {
                differences.push(Difference { path, exists: text.is_some(), generated });
            }
        }
        let edits = self.edits.into_iter().filter(|edit| edit.before != edit.after);
        differences.extend(edits.map(|edit| Difference { path: edit.path, exists: true, generated: edit.after }));
        Ok(Outcome::Exists { differences, notes: self.notes })
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

/// Returns a text without white space and commas, which `rustfmt` changes.
fn dense(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect()
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
