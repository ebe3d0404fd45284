//! `mainstay ledger`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::command::{Command, Program, for_operator, print};

use crate::payments::ledger::ops::{self as ledger, Report};

/// Inspect the ledger.
#[derive(Debug, Parser)]
pub(crate) enum Ledger {
    /// Check the ledger for consistency, and compare it with the gateway.
    ///
    /// The exit status is 0 if they agree, 3 if they differ, and 1 if they could not be compared; 2 is that of a wrong
    /// command line.
    Check {
        /// Print the report as JSON: `booked`, `moved`, `unsettled`, and `faults`.
        #[arg(long)]
        json: bool,
    },
}

/// The exit status of a difference. It differs from that of an error, which says nothing about the ledger.
const DIFFERS: u8 = 3;

impl Command for Ledger {
    const NAME: &'static str = "ledger";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let Self::Check { json } = self;
        let app = program.open().await?;
        let report = for_operator(ledger::check(&app).await)?;
        print(&if json { format!("{}\n", serde_json::to_string(&report)?) } else { sentences(&report) })?;
        Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
    }
}

fn sentences(report: &Report) -> String {
    let Report { booked, moved, unsettled, faults } = report;
    let mut text =
        format!("{}, the gateway has {}.\n", count(*booked, "movement is booked", "movements are booked"), moved);
    if *unsettled > 0 {
        let settled = "not settled here yet; background jobs will do it.";
        text += &format!("{} {settled}\n", count(*unsettled, "movement is", "movements are"));
    }
    for fault in faults {
        text += &format!("{fault}\n");
    }
    text += &match faults.len() {
        0 => "The ledger agrees with the gateway.\n".to_owned(),
        number => format!("The ledger and the gateway differ: {}.\n", count(number, "discrepancy", "discrepancies")),
    };
    text
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
