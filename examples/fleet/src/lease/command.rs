//! The command `fleet leases`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::command::{Command, Program, for_operator, print};

use super::ops;

/// Look after leases.
#[derive(Debug, Parser)]
pub enum LeasesCommand {
    /// End the leases whose time is over, as the workers do every minute; at most one batch of them.
    Expire,
}

impl Command for LeasesCommand {
    const NAME: &'static str = "leases";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let Self::Expire = self;
        let app = program.open().await?;
        let count = for_operator(ops::expire_due(&app).await)?;
        print(&format!("leases ended: {count}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
