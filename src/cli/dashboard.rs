//! `mainstay dashboard`.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    cli::{Instance, for_operator, print},
    payments::ledger::ops::sums::{self, Rebuilt},
};

/// Maintain what the dashboard shows.
#[derive(Debug, Subcommand)]
pub(crate) enum Dashboard {
    /// Compare the sums behind revenue with the ledger and make them anew; fails if they differed. Safe while servers
    /// run.
    Rebuild,
}

impl Dashboard {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<ExitCode> {
        let Self::Rebuild = self;
        let rebuilt = async {
            super::migrate::require(&instance.app).await?;
            for_operator(sums::rebuild(&instance.app).await)
        };
        let rebuilt = rebuilt.await;
        instance.close().await;
        let rebuilt = rebuilt?;
        print(&sentences(&rebuilt));
        Ok(if rebuilt.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn sentences(rebuilt: &Rebuilt) -> String {
    let Rebuilt { sums, faults } = rebuilt;
    let mut text: String = faults.iter().map(|fault| format!("{fault}.\n")).collect();
    text += &match faults.len() {
        0 => "The sums agreed with the ledger.\n".to_owned(),
        1 => "1 sum differed from the ledger.\n".to_owned(),
        number => format!("{number} sums differed from the ledger.\n"),
    };
    text + &format!("{sums} sums were made anew, and agree with it.\n")
}
