//! `mainstay sample`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::{
    app::App,
    command::{Command, Program, for_operator, print},
    schedule,
};

use crate::sample::{
    model::{MARK, STAFF_ROLE},
    ops::{self, Removal, State},
};

/// Add sample data to the private database, or remove it.
///
/// The server that uses the database must be stopped. A database of DATABASE_URL gets no sample data.
#[derive(Debug, Parser)]
pub(crate) enum Sample {
    /// Add the sample data: people, tickets, orders, payments and more of the last 90 days.
    Add,
    /// Remove the sample data, with everything that was added to the sample accounts since.
    Remove,
}

impl Command for Sample {
    const NAME: &'static str = "sample";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let is_given = program.config()?.database.url.is_some();
        anyhow::ensure!(!is_given, "sample data is for the private database only: unset DATABASE_URL");
        let app = program.open().await?;
        print(&match self {
            Self::Add => add(&app).await?,
            Self::Remove => {
                // First: the next start of an unused database would add the data again.
                for_operator(schedule::record_use(&app, "remove_sample_data").await)?;
                sentence(for_operator(ops::remove(&app).await)?)
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn add(app: &App) -> anyhow::Result<String> {
    if for_operator(ops::state(app).await)? == State::Complete {
        return Ok("The sample data is there already.\n".to_owned());
    }
    for_operator(ops::add(app).await)?;
    Ok("The sample data is added.\n".to_owned())
}

fn sentence(removal: Removal) -> String {
    let Removal { accounts, tickets, orders, archived_products, is_role_kept } = removal;
    if accounts == 0 {
        return "There is no sample data.\n".to_owned();
    }
    let mut text = format!("Removed {accounts} accounts with {tickets} tickets and comments and {orders} orders.\n");
    if archived_products > 0 {
        text += &format!("{archived_products} products are archived only: orders of other accounts refer to them.\n");
    }
    if is_role_kept {
        text += &format!("The role {STAFF_ROLE}{MARK} is kept: users of other accounts have it.\n");
    }
    text
}
