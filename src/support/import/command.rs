//! The command `mainstay import`.

mod remote;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use mainstay_kernel::command::{Command, Program, print};
use secrecy::SecretString;

use crate::proto::operations::v1::{Operation, OperationState};
use remote::{Remote, Upload};

/// Import a file through a running server.
#[derive(Debug, Parser)]
pub(crate) enum Import {
    /// Import tickets from a CSV file with a header, or from NDJSON. Importing the same file again adds nothing.
    Tickets(Tickets),
}

/// Prints each invalid row as FILE:LINE: message. The exit status is 0 if every row was stored, 2 if some rows are
/// invalid, and 1 if the import failed.
#[derive(Debug, Args)]
pub(crate) struct Tickets {
    /// The file; its extension selects the format: .csv, .tsv, .ndjson or .jsonl.
    file: PathBuf,
    /// The account the tickets belong to.
    #[arg(long, value_name = "ID")]
    account: uuid::Uuid,
    #[command(flatten)]
    options: Options,
    /// The URL of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "MAINSTAY_SERVER")]
    server: String,
    #[command(flatten)]
    credentials: Credentials,
}

/// How the file is to be read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Options {
    /// Read the two characters \n as a line break.
    #[arg(long, value_parser = ["newlines"])]
    unescape: Option<String>,
    /// The delimiter of a CSV file; by default, it is found in the header.
    #[arg(long, value_parser = ["comma", "semicolon", "tab", "pipe"])]
    delimiter: Option<String>,
    /// The charset, such as windows-1252; by default, UTF-8, or what a byte order mark says.
    #[arg(long, value_name = "LABEL")]
    charset: Option<String>,
}

/// The credentials: an e-mail address and a password, or a token.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// An access token of an agent or admin, or a service key with permission to write tickets.
    #[arg(long, value_name = "TOKEN", env = "MAINSTAY_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// The e-mail address of an agent or admin; requires MAINSTAY_PASSWORD.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "token")]
    email: Option<String>,
    /// The password for the e-mail address; prefer MAINSTAY_PASSWORD, because other users can see command lines.
    #[arg(long, env = "MAINSTAY_PASSWORD", hide_env_values = true)]
    password: Option<SecretString>,
}

/// The interval between two queries of the progress.
const POLL: Duration = Duration::from_millis(300);

impl Command for Import {
    const NAME: &'static str = "import";

    /// The server runs the import, so that the command opens no database.
    async fn run(self, _: &mut dyn Program) -> anyhow::Result<ExitCode> {
        let Self::Tickets(tickets) = self;
        tickets.run().await
    }
}

impl Tickets {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let upload = Upload::read(&self.file, self.account, self.options).await?;
        let mut remote = Remote::connect(&self.server, self.credentials).await?;
        let operation = remote.begin(&upload).await?;
        let operation = follow(&mut remote, operation).await?;
        let progress = operation.progress.unwrap_or_default();
        let mut page_token = Some(String::new());
        while let Some(token) = page_token {
            let page = remote.errors(&operation.id, token).await?;
            for error in page.data {
                eprintln!("{}:{}: {}", self.file.display(), error.line, error.message);
            }
            page_token = page.meta.and_then(|meta| meta.next_page_token);
        }
        print(&format!(
            "Tickets created: {}. Already imported: {}. Invalid rows: {}.\n",
            progress.rows_created, progress.rows_known, progress.rows_failed
        ))?;
        if let Some(failure) = &operation.failure {
            anyhow::bail!("the import failed: {} ({})", failure.message, failure.code);
        }
        if operation.state() == OperationState::Cancelled {
            anyhow::bail!("the import was cancelled; what was stored stays");
        }
        Ok(if progress.rows_failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }
}

/// Follows an operation until it ends.
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
            OperationState::Unspecified => anyhow::bail!("the server reports an unknown state"),
        }
        operation =
            remote.operation(&operation.id).await.context("the import continues, but its progress can't be read")?;
    }
    bar.finish();
    Ok(operation)
}
