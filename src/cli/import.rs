//! `mainstay import`.

mod remote;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;

use crate::contract::proto::operations::v1::{Operation, OperationState};
use remote::{Remote, Upload};

/// Import a file through a running server.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import tickets from a CSV file with a header, or from NDJSON. Importing a file again adds nothing.
    Tickets(Tickets),
}

/// Wrong rows are printed as FILE:LINE: what is wrong. The exit status is 0 when every row is stored, 2 when single rows
/// are wrong, 1 when the import failed.
#[derive(Debug, Args)]
pub(super) struct Tickets {
    /// The file; its ending tells the format: .csv, .ndjson or .jsonl.
    file: PathBuf,
    /// The account the tickets belong to.
    #[arg(long, value_name = "ID")]
    account: uuid::Uuid,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "MAINSTAY_SERVER")]
    server: String,
    #[command(flatten)]
    credentials: Credentials,
}

/// How to sign in: with an e-mail address and a password, or else with a token.
#[derive(Debug, Args)]
pub(super) struct Credentials {
    /// An access token of an agent or admin, or a service key that may write tickets.
    #[arg(long, value_name = "TOKEN", env = "MAINSTAY_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// The e-mail address of an agent or admin; needs MAINSTAY_PASSWORD.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "token")]
    email: Option<String>,
    /// The password to the e-mail address; better given as MAINSTAY_PASSWORD than here, where others may see it.
    #[arg(long, env = "MAINSTAY_PASSWORD", hide_env_values = true)]
    password: Option<SecretString>,
}

/// How often the server is asked how far it is.
const POLL: Duration = Duration::from_millis(300);

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Tickets(command) => command.run().await,
        }
    }
}

impl Tickets {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let upload = Upload::read(&self.file, self.account).await?;
        let mut remote = Remote::connect(&self.server, self.credentials).await?;
        let begun = remote.begin(&upload).await?;
        let ended = follow(&mut remote, begun).await?;
        let progress = ended.progress.unwrap_or_default();
        let mut page_token = Some(String::new());
        while let Some(token) = page_token {
            let page = remote.errors(&ended.id, token).await?;
            for error in page.data {
                eprintln!("{}:{}: {}", self.file.display(), error.line, error.message);
            }
            page_token = page.meta.and_then(|meta| meta.next_page_token);
        }
        println!(
            "{} tickets made, {} known from before, {} rows wrong",
            progress.rows_created, progress.rows_known, progress.rows_failed
        );
        if let Some(failure) = &ended.failure {
            anyhow::bail!("the import failed: {} ({})", failure.message, failure.code);
        }
        if ended.state() == OperationState::Cancelled {
            anyhow::bail!("the import was cancelled; what was stored stays");
        }
        Ok(if progress.rows_failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }
}

/// Watches an operation to its end.
async fn follow(remote: &mut Remote, mut operation: Operation) -> anyhow::Result<Operation> {
    let style = "{bar:40} {human_pos}/{human_len} rows, {per_sec}, {eta} left";
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?);
    loop {
        let progress = operation.progress.unwrap_or_default();
        bar.set_length(progress.rows_total.unsigned_abs());
        bar.set_position(progress.rows_done.unsigned_abs());
        match operation.state() {
            OperationState::Succeeded | OperationState::Failed | OperationState::Cancelled => break,
            OperationState::Pending | OperationState::Running => tokio::time::sleep(POLL).await,
            OperationState::Unspecified => anyhow::bail!("the server speaks of a state unknown here"),
        }
        operation = remote.operation(&operation.id).await.context("the import goes on, but can't be followed")?;
    }
    bar.finish();
    Ok(operation)
}
