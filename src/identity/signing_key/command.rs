//! `mainstay keys`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::command::{Command, Program, for_operator, print};

use crate::identity::signing_key::ops;

/// Manage the keys that sign access tokens.
#[derive(Debug, Parser)]
pub(crate) enum Keys {
    /// Create a new signing key; tokens signed with the previous one stay valid.
    Rotate,
}

impl Command for Keys {
    const NAME: &'static str = "keys";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let Self::Rotate = self;
        let app = program.open().await?;
        let id = for_operator(ops::rotate(&app).await)?;
        print(&format!("New access tokens will be signed with {id} once every instance has published it.\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
