//! `mainstay seed`.

use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cli::{Instance, for_operator},
    support::seed::ops::{self as seed, Plan},
};

/// Fill the database with generated tickets. Each run adds more.
#[derive(Debug, Args)]
pub(crate) struct Seed {
    /// How many tickets to add.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    tickets: i64,
    /// The number of accounts to spread the tickets over; missing ones are created, with one customer each.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u16).range(1..))]
    accounts: u16,
    /// Also add a comment to most tickets and an activity to each.
    #[arg(long)]
    history: bool,
}

impl Seed {
    pub(crate) async fn run(self, instance: Instance) -> anyhow::Result<()> {
        let began = Instant::now();
        crate::cli::migrate::apply(&instance.app).await?;
        let style = "{bar:40} {human_pos}/{human_len} tickets, {per_sec}, {eta} left";
        let bar = ProgressBar::new(self.tickets.unsigned_abs()).with_style(ProgressStyle::with_template(style)?);
        let plan = Plan { tickets: self.tickets, accounts: self.accounts.into(), history: self.history };
        for_operator(seed::run(&instance.app, plan, |count| bar.inc(count.unsigned_abs())).await)?;
        bar.finish();
        eprintln!("Updating statistics …");
        for_operator(seed::tidy(&instance.app).await)?;
        println!("{} tickets in {:.1} s", self.tickets, began.elapsed().as_secs_f64());
        instance.close().await;
        Ok(())
    }
}
