//! `mainstay keys`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::command::{Command, Program, for_operator, print};

use crate::identity::{
    account_provider::ops as account_provider, second_factor::ops as second_factor, signing_key::ops,
};

/// Manage the keys that sign access tokens.
#[derive(Debug, Parser)]
pub(crate) enum Keys {
    /// Create a new signing key; tokens signed with the previous one stay valid.
    Rotate,
    /// Seal the second factors and the secrets of accounts' providers again with the present SECRET_KEY, so that the earlier ones in it can be dropped.
    Reseal,
}

impl Command for Keys {
    const NAME: &'static str = "keys";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let app = program.open().await?;
        match self {
            Self::Rotate => {
                let id = for_operator(ops::rotate(&app).await)?;
                print(&format!("New access tokens will be signed with {id} once every instance has published it.\n"))?;
            }
            Self::Reseal => {
                let count = for_operator(second_factor::reseal(&app).await)?;
                print(&format!("{count} second factors are sealed with the present SECRET_KEY.\n"))?;
                let count = for_operator(account_provider::reseal(&app).await)?;
                print(&format!("{count} secrets of accounts' providers are sealed with it, too.\n"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
