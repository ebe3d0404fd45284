//! `mainstay dashboard`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::command::{Command, Program, for_operator, print};

use crate::payments::ledger::ops::sums::{self, RebuildReport};

/// Maintain the data of the dashboard.
#[derive(Debug, Parser)]
pub(crate) enum Dashboard {
    /// Compare the sums behind revenue with the ledger and rebuild them; fails if they differed. Safe while servers run.
    Rebuild,
}

impl Command for Dashboard {
    const NAME: &'static str = "dashboard";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let Self::Rebuild = self;
        let app = program.open().await?;
        let rebuilt = for_operator(sums::rebuild(&app).await)?;
        print(&sentences(&rebuilt))?;
        Ok(if rebuilt.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn sentences(rebuilt: &RebuildReport) -> String {
    let RebuildReport { sums, faults } = rebuilt;
    let mut text: String = faults.iter().map(|fault| format!("{fault}.\n")).collect();
    text += &match faults.len() {
        0 => "The sums agreed with the ledger.\n".to_owned(),
        1 => "1 sum differed from the ledger.\n".to_owned(),
        number => format!("{number} sums differed from the ledger.\n"),
    };
    text + &format!("Rebuilt {sums} sums.\n")
}
