//! `mainstay ledger`.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    cli::{Instance, plain},
    payments::ledger::ops as ledger,
};

/// Inspect the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Check the ledger for consistency and against the gateway; fails if they differ.
    Check,
}

impl Ledger {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<ExitCode> {
        let Self::Check = self;
        let report = plain(ledger::check(&instance.app).await);
        instance.close().await;
        let report = report?;
        println!("{} movements are booked, the gateway has {}.", report.booked, report.moved);
        if report.unsettled > 0 {
            println!(
                "{} movements of the gateway are not settled here yet; background jobs will settle them.",
                report.unsettled
            );
        }
        for fault in &report.faults {
            println!("{fault}");
        }
        Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
