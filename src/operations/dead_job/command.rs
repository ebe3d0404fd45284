//! `mainstay jobs`.

use std::process::ExitCode;

use clap::Parser;
use mainstay_kernel::{
    command::{Command, Program, for_operator, print},
    queue::dead,
};

/// The maximum number of dead jobs that one command lists or redrives.
const BATCH: i64 = 500;

/// Inspect and redrive dead jobs, which have used up their attempts.
#[derive(Debug, Parser)]
pub(crate) enum Jobs {
    /// List dead jobs, newest first, one JSON object per line; at most 500.
    Dead {
        /// Only jobs of this kind.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Run dead jobs again, with a full set of attempts.
    Redrive {
        /// The ids of the jobs, as listed.
        #[arg(required_unless_present = "kind", conflicts_with = "kind")]
        ids: Vec<i64>,
        /// All dead jobs of this kind, oldest first; at most 500.
        #[arg(long)]
        kind: Option<String>,
    },
}

impl Command for Jobs {
    const NAME: &'static str = "jobs";

    async fn run(self, program: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let app = program.open().await?;
        let database = &app.database;
        match self {
            Self::Dead { kind } => {
                let list = async move |connection: &mut _| dead::list(connection, kind.as_deref(), BATCH).await;
                for job in for_operator(database.autocommit(list).await)? {
                    print(&format!("{}\n", serde_json::to_string(&job)?))?;
                }
            }
            Self::Redrive { ids, kind } => {
                let redrive =
                    async move |connection: &mut _| dead::redrive(connection, &ids, kind.as_deref(), BATCH).await;
                let count = for_operator(database.autocommit(redrive).await)?;
                print(&format!("Scheduled {count} dead {} again.\n", if count == 1 { "job" } else { "jobs" }))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
