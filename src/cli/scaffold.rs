//! `mainstay new` and `mainstay add`: generate a team's repository, and resources in it.
//!
//! `templates/` contains a module `my_module` with a resource `sample_item`. The commands write that code under other
//! names.

mod changes;
mod edit;
mod git;
mod name;
mod sources;
mod template;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use mainstay_kernel::{clock::Clock, module::Modules};

use changes::Changes;
use name::{Module, Resource};

/// The version of Mainstay that a repository depends on.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The lock file with the versions of dependencies that Mainstay is tested with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Generate a repository: Mainstay with an empty module.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The folder to create, such as ../book_shop; its name is that of the module: lower-case words joined by `_`.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// Build against Mainstay's sources in this folder, of the version of this program, instead of the published crates.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Build against a git repository with Mainstay's sources, instead of the published crates.
    #[arg(long, value_name = "URL", conflicts_with = "path")]
    git: Option<String>,
    /// The tag in that repository, if it is not `v` with the version of this program.
    #[arg(long, requires = "git")]
    tag: Option<String>,
}

/// Add to the module in this folder, which `new` wrote.
#[derive(Debug, Subcommand)]
pub(crate) enum Add {
    /// Add a resource that can be created, read, listed, changed and deleted: contract, code, table and tests.
    Resource {
        /// The name, in the singular: lower-case words joined by `_`, such as purchase_order.
        name: String,
        /// The plural, if it does not follow the pattern of taxes, entries or orders.
        #[arg(long)]
        plural: Option<String>,
    },
}

impl New {
    pub(crate) fn run(&self, modules: &Modules) -> anyhow::Result<()> {
        let name = self.folder.file_name().and_then(|name| name.to_str()).context("the folder needs a name")?;
        let module = Module::parse(name, modules)?;
        ensure!(fs::symlink_metadata(&self.folder).is_err(), "{} already exists", self.folder.display());
        let mut names = module.names();
        names.push(("MAINSTAY_VERSION", VERSION.to_owned()));
        let mut files: Vec<_> = template::files("repository", &names).collect();
        let patch = match (&self.path, &self.git) {
            (Some(path), _) => sources::patch(&self.folder, &sources::find(path)?, VERSION)?,
            (None, Some(url)) => {
                let tag = self.tag.clone().unwrap_or_else(|| format!("v{VERSION}"));
                sources::git_patch(url, &tag, LOCK)?
            }
            (None, None) => String::new(),
        };
        files.iter_mut().filter(|(file, _)| file == "Cargo.toml").for_each(|(_, text)| text.push_str(&patch));
        let mut changes = Changes::default();
        for (file, text) in files {
            changes.create(self.folder.join(file), text);
        }
        changes.create(self.folder.join("Cargo.lock"), LOCK.to_owned());
        changes.write()?;
        println!("Created a back end in {}. {} Next:\n", self.folder.display(), git::init(&self.folder));
        println!("  cd {}", self.folder.display());
        println!("  cargo run -- add resource purchase_order    # or another name");
        println!("  make test");
        println!("  make run\n");
        println!("README.md describes the files.");
        Ok(())
    }
}

impl Add {
    pub(crate) fn run(&self, modules: &Modules) -> anyhow::Result<()> {
        let Self::Resource { name, plural } = self;
        let resource = Resource::parse(name, plural.as_deref())?;
        let route = format!("/api/v1/{}", resource.collection());
        ensure!(modules.openapi(None)["paths"].get(&route).is_none(), "{route} is taken: choose another name");
        let files = add(Path::new(""), &resource, Clock::default().now())?;
        println!("Added {name}. `make test` tests it. Begin with its contract:\n");
        for file in &files {
            println!("  {}", file.display());
        }
        Ok(())
    }
}

/// Adds a resource to the repository in a folder; returns the written files, followed by the changed files.
fn add(root: &Path, resource: &Resource, now: DateTime<Utc>) -> anyhow::Result<Vec<PathBuf>> {
    let module = module_of(root)?;
    let mut names = resource.names();
    names.extend([("my_module", module.clone()), ("0000-00-00-000000", stamp(&root.join("migrations"), now))]);
    let mut changes = Changes::default();
    for (file, text) in template::files("resource", &names) {
        changes.create(root.join(file), text);
    }
    let snippets: Vec<_> = template::files("insert", &names).collect();
    let snippet = |name: &str| snippets.iter().find(|(file, _)| file == name).map_or("", |(_, text)| text);
    let (name, plural) = (&resource.name, &resource.plural);
    changes.edit(root.join("src/lib.rs"), |text| {
        let text = edit::add_mod(text, &format!("pub mod {name};"))?;
        edit::add_service(&text, &format!(".service({name}::service::server)"))
    })?;
    changes.edit(root.join("src/schema.rs"), |text| {
        let table = format!("{module}.{plural} (");
        if text.contains(&table) {
            bail!(
                "The table {plural} already exists. Choose another name for the resource, or another --plural. To replace \
                 the table, first remove it from src/schema.rs and its migration from migrations/."
            )
        }
        Ok(format!("{text}{}", snippet("schema.rs")))
    })?;
    changes.edit(root.join(format!("proto/{module}/v1/module.proto")), |text| {
        edit::add_to_option(text, "(mainstay.policy.v1.module)", snippet("module.proto"))
    })?;
    changes.edit(root.join("tests/it/main.rs"), |text| edit::add_mod(text, &format!("mod {plural};")))?;
    let files = changes.write()?;
    format(&[root.join(format!("src/{name}.rs")), root.join(format!("tests/it/{plural}.rs"))]);
    Ok(files)
}

/// Returns the name of the module in a folder.
fn module_of(root: &Path) -> anyhow::Result<String> {
    let packages = fs::read_dir(root.join("proto")).into_iter().flatten().flatten();
    let mut modules: Vec<_> = packages
        .filter(|package| package.path().join("v1/module.proto").is_file())
        .map(|package| package.file_name().to_string_lossy().into_owned())
        .collect();
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => Ok(module),
        (None, _) => bail!("there is no proto/<module>/v1/module.proto here: run this in a folder that `new` wrote"),
        (Some(_), false) => bail!("there are several modules in proto/: run this in a folder with one"),
    }
}

/// Returns the version of a new migration: the current time, unless another migration has it.
fn stamp(migrations: &Path, now: DateTime<Utc>) -> String {
    let names: Vec<_> =
        fs::read_dir(migrations).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    let is_known = |stamp: &str| names.iter().any(|name| name.to_string_lossy().starts_with(stamp));
    let mut times = (0..).map(|seconds| (now + TimeDelta::seconds(seconds)).format("%Y-%m-%d-%H%M%S").to_string());
    times.find(|stamp| !is_known(stamp)).expect("the times do not end")
}

/// Formats sources, because names change the lengths of lines. A failure is ignored: the code compiles unformatted.
fn format(files: &[PathBuf]) {
    let formatted = Command::new("rustfmt").args(["--edition", "2024"]).args(files).status();
    if !formatted.is_ok_and(|status| status.success()) {
        eprintln!("mainstay: rustfmt did not run; run `cargo fmt` when it is there");
    }
}

#[cfg(test)]
mod tests;
