//! `mainstay import`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use crate::contract::proto::{
    google::api::HttpBody,
    operations::v1::{
        GetOperationRequest, ListOperationErrorsRequest, Operation, OperationState,
        operation_service_client::OperationServiceClient,
    },
    support::v1::{ImportTicketsRequest, ticket_service_client::TicketServiceClient},
};

/// Import a file through a running server.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import tickets from a CSV file with a header, or from NDJSON. Importing a file again adds nothing.
    Tickets(Tickets),
}

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
    /// An access token of an agent or admin, or a service key that may write tickets.
    #[arg(long, value_name = "TOKEN", env = "MAINSTAY_TOKEN", hide_env_values = true)]
    token: SecretString,
}

/// A piece of the upload.
const CHUNK: usize = 256 << 10;

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Tickets(command) => command.run().await,
        }
    }
}

impl Tickets {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let file = tokio::fs::read(&self.file).await.with_context(|| self.file.display().to_string())?;
        let channel = Channel::from_shared(self.server.clone())?.connect().await;
        let channel = channel.with_context(|| format!("{} does not answer", self.server))?;
        let begun = self.upload(channel.clone(), Bytes::from(file)).await?;
        let ended = self.follow(channel.clone(), begun).await?;
        let progress = ended.progress.unwrap_or_default();
        println!(
            "{} tickets made, {} known from before, {} rows wrong",
            progress.rows_created, progress.rows_known, progress.rows_failed
        );
        if let Some(failure) = &ended.failure {
            eprintln!("{}: {}", failure.code, failure.message);
        }
        self.print_errors(channel, &ended.id).await?;
        let good = ended.failure.is_none() && progress.rows_failed == 0;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The same file and account make the same key, so a second try of a broken upload begins nothing twice.
    async fn upload(&self, channel: Channel, file: Bytes) -> anyhow::Result<Operation> {
        let content_type = match self.file.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => "text/csv",
            Some("ndjson" | "jsonl") => "application/x-ndjson",
            _ => anyhow::bail!("{}: must end in .csv, .ndjson or .jsonl", self.file.display()),
        };
        let hash = Sha256::digest(&file);
        let key: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let account_id = self.account.to_string();
        let pieces: Vec<Bytes> =
            (0..file.len()).step_by(CHUNK).map(|at| file.slice(at..file.len().min(at + CHUNK))).collect();
        let messages = pieces.into_iter().map(move |data| ImportTicketsRequest {
            account_id: account_id.clone(),
            file: Some(HttpBody { content_type: content_type.to_owned(), data, extensions: Vec::new() }),
        });
        let mut request = self.authorize(tokio_stream::iter(messages))?;
        request.metadata_mut().insert("idempotency-key", format!("import-{key}").parse()?);
        let answer = TicketServiceClient::new(channel).import_tickets(request).await.map_err(told)?;
        answer.into_inner().data.context("the server told of no operation")
    }

    async fn follow(&self, channel: Channel, mut operation: Operation) -> anyhow::Result<Operation> {
        let bar =
            ProgressBar::no_length().with_style(ProgressStyle::with_template("{spinner} {human_pos} rows, {elapsed}")?);
        let mut client = OperationServiceClient::new(channel);
        while matches!(operation.state(), OperationState::Pending | OperationState::Running) {
            bar.set_position(operation.progress.unwrap_or_default().rows_done.unsigned_abs());
            tokio::time::sleep(Duration::from_millis(300)).await;
            let request = self.authorize(GetOperationRequest { operation_id: operation.id.clone() })?;
            let answer = client.get_operation(request).await.map_err(told)?;
            operation = answer.into_inner().data.context("the server told of no operation")?;
        }
        bar.finish_and_clear();
        Ok(operation)
    }

    async fn print_errors(&self, channel: Channel, operation: &str) -> anyhow::Result<()> {
        let mut client = OperationServiceClient::new(channel);
        let mut page_token = String::new();
        loop {
            let message =
                ListOperationErrorsRequest { operation_id: operation.to_owned(), page: 0, page_size: 100, page_token };
            let page = client.list_operation_errors(self.authorize(message)?).await.map_err(told)?.into_inner();
            for error in page.data {
                eprintln!("{}:{}: {}", self.file.display(), error.line, error.message);
            }
            match page.meta.and_then(|meta| meta.next_page_token) {
                Some(next) => page_token = next,
                None => return Ok(()),
            }
        }
    }

    fn authorize<M>(&self, message: M) -> anyhow::Result<Request<M>> {
        let mut request = Request::new(message);
        let mut value: MetadataValue<_> = format!("Bearer {}", self.token.expose_secret()).parse()?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// What the server said, with what is wrong with which field.
fn told(status: tonic::Status) -> anyhow::Error {
    use tonic_types::StatusExt as _;
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let fields: Vec<_> = fields.iter().map(|field| format!(" {} {}", field.field, field.description)).collect();
    anyhow::anyhow!("{}{}", status.message(), fields.join(","))
}
