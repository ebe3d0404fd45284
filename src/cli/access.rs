//! `mainstay access`.

mod diff;
mod matrix;
mod table;

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use mainstay_kernel::{command::print, module::Modules};

pub(crate) use matrix::AccessMatrix;

/// Print what each role may call, and the scope that it needs.
///
/// `any`, `account` and `self` are the resources that a caller reaches; `-` is a caller who is refused. The service is a key
/// or a certificate with the scope of the method.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Access {
    /// Print JSON, such as for `mainstay access diff`.
    #[arg(long)]
    json: bool,
    /// Print Markdown.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(subcommand)]
    command: Option<AccessCommand>,
}

#[derive(Debug, Subcommand)]
enum AccessCommand {
    /// Print the differences between two contracts, for code review.
    Diff {
        /// The earlier contract: the output of `mainstay descriptors` or of `mainstay access --json`.
        old: PathBuf,
        /// The later contract, in either form.
        new: PathBuf,
    },
}

impl Access {
    pub(crate) fn run(self, modules: &Modules) -> anyhow::Result<()> {
        if let Some(AccessCommand::Diff { old, new }) = self.command {
            print(&read(old)?.diff(&read(new)?))?;
            return Ok(());
        }
        let matrix = AccessMatrix::of(&modules.contract.policies);
        print(&match (self.json, self.markdown) {
            (true, _) => serde_json::to_string_pretty(&matrix)? + "\n",
            (_, true) => matrix.markdown(),
            _ => matrix.text(),
        })?;
        Ok(())
    }
}

fn read(path: PathBuf) -> anyhow::Result<AccessMatrix> {
    let bytes = fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
    AccessMatrix::read(&bytes).map_err(|fault| anyhow::anyhow!("{}: {fault}", path.display()))
}
