//! `mainstay new` and `mainstay add`: generate a team's repository, and resources in it.
//!
//! `templates/` contains a module `my_module` with a resource `sample_item`. The commands write that code under other
//! names, with the fields of the resource.

mod addition;
mod changes;
mod edit;
mod field;
mod git;
mod name;
mod sources;
mod template;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use mainstay_kernel::{clock::Clock, module::Modules};

use changes::{Changes, Outcome};
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
///
/// Nothing is overwritten. For a piece that exists, the command prints what differs from the generated files, as a patch.
#[derive(Debug, Subcommand)]
pub(crate) enum Add {
    /// Add a resource that can be created, read, listed, changed, deleted and watched: contract, code, table and tests.
    Resource {
        /// The name, in the singular: lower-case words joined by `_`, such as purchase_order.
        name: String,
        /// The fields, such as title:string or 'author:ref(author)'; name:string if there are none. The kinds are string,
        /// text, int, bool, date, timestamp, money, uuid, string[], map, ref(resource) and enum(value,value). A `?` behind
        /// the kind makes the field optional, and a `!` at the end leaves it to the server: no request has it.
        #[arg(value_name = "FIELD:KIND")]
        fields: Vec<String>,
        /// The plural, if it does not follow the pattern of taxes, entries or orders.
        #[arg(long)]
        plural: Option<String>,
    },
    /// Add a method that changes a resource, such as `publish`: contract, route, code and test.
    Rpc {
        /// The resource.
        resource: String,
        /// The name: a verb, such as publish or mark_read.
        name: String,
    },
    /// Add a background job for a resource, such as `index`: the job, its handler and a test.
    Job {
        /// The resource.
        resource: String,
        /// The name: a verb.
        name: String,
    },
    /// Add a kind of event of a resource, such as `published`: contract, type and test.
    Event {
        /// The resource.
        resource: String,
        /// The name: a verb in the past tense.
        name: String,
    },
    /// Add a kind of mail about a resource, to the members of its account: the values, a template and a test.
    Mail {
        /// The resource.
        resource: String,
        /// The name, such as remind.
        name: String,
    },
    /// Add a tile to the home page of the console, with the number of the resources, and a test.
    Tile {
        /// The resource.
        resource: String,
        /// The name, such as count.
        name: String,
    },
    /// Add a migration with further columns of a resource.
    Migration {
        /// The resource.
        resource: String,
        /// The fields that need the columns: optional ones and lists, because the previous version stores rows without them.
        #[arg(value_name = "FIELD:KIND", required = true)]
        fields: Vec<String>,
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
        let (root, now) = (Path::new(""), Clock::default().now());
        let outcome = match self {
            Self::Resource { name, fields, plural } => {
                if let Ok(resource) = Resource::parse(name, plural.as_deref()) {
                    let route = format!("/api/v1/{}", resource.collection());
                    let is_taken = modules.openapi(None)["paths"].get(&route).is_some();
                    // The program that serves the resource adds nothing, but says what differs.
                    let is_own = root.join(format!("src/{name}.rs")).exists();
                    ensure!(is_own || !is_taken, "{route} is taken: choose another name");
                }
                addition::resource(root, name, plural.as_deref(), fields, now)?
            }
            Self::Rpc { resource, name } => addition::rpc(root, resource, name)?,
            Self::Job { resource, name } => addition::part(root, &addition::JOB, resource, name)?,
            Self::Event { resource, name } => addition::event(root, resource, name)?,
            Self::Mail { resource, name } => addition::part(root, &addition::MAIL, resource, name)?,
            Self::Tile { resource, name } => addition::part(root, &addition::TILE, resource, name)?,
            Self::Migration { resource, fields } => addition::migration(root, resource, fields, now)?,
        };
        report(root, outcome)
    }
}

/// Prints the written files, or what differs from them.
fn report(root: &Path, outcome: Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Written(files) => {
            println!("Written; `make test` tests it:\n");
            files.iter().for_each(|file| println!("  {}", file.display()));
        }
        Outcome::Exists { differences, notes } if differences.is_empty() && notes.is_empty() => {
            println!("Nothing was written: the files exist, and nothing differs.");
        }
        Outcome::Exists { differences, notes } => {
            for difference in &differences {
                let file = difference.path.strip_prefix(root).unwrap_or(&difference.path);
                let patch = git::patch(root, file, difference.exists, &difference.generated);
                print!("{}", patch.unwrap_or_else(|| format!("{} differs\n", file.display())));
            }
            notes.iter().for_each(|note| eprintln!("{note}"));
            bail!(
                "nothing was written, because some of the files exist. The patch above leads from the present files to the \
                 generated files. A table that exists gets further columns by `add migration`."
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
