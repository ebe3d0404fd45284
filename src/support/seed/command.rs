//! The command `mainstay seed`.

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mainstay_kernel::command::{Command, Program, for_operator, print};

use crate::support::seed::ops::{self as seed, Plan};

/// Fill the database with generated tickets. Each run adds more.
#[derive(Debug, Parser)]
pub(crate) struct Seed {
    /// The number of tickets to add.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    tickets: i64,
    /// The number of accounts to spread the tickets over; missing ones are created, with one customer each.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u16).range(1..))]
    accounts: u16,
    /// Also add a comment to most tickets and an activity to each.
    #[arg(long)]
    history: bool,
}

impl Command for Seed {
    const NAME: &'static str = "seed";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let app = program.open().await?;
        let began = Instant::now();
        let style = "{bar:40} {human_pos}/{human_len} tickets, {per_sec}, {eta} left";
        let bar = ProgressBar::new(self.tickets.unsigned_abs()).with_style(ProgressStyle::with_template(style)?);
        let plan = Plan { tickets: self.tickets, accounts: self.accounts.into(), history: self.history };
        for_operator(seed::run(&app, plan, |count| bar.inc(count.unsigned_abs())).await)?;
        bar.finish();
        eprintln!("Updating statistics …");
        for_operator(seed::tidy(&app).await)?;
        print(&format!("{} tickets in {:.1} s\n", self.tickets, began.elapsed().as_secs_f64()));
        Ok(ExitCode::SUCCESS)
    }
}
