//! The gRPC client of an import. It retries calls where a retry is safe: an upload under its idempotency key, and any
//! read.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    transport::{Channel, ClientTlsConfig},
};

use super::{Credentials, Options};
use crate::proto::{
    identity::v1::{LoginRequest, auth_service_client::AuthServiceClient},
    operations::v1::{
        GetOperationRequest, ListOperationErrorsRequest, ListOperationErrorsResponse, Operation, OperationState,
        operation_service_client::OperationServiceClient,
    },
    support::v1::{ImportTicketsRequest, ticket_service_client::TicketServiceClient},
};
use mainstay_kernel::contract::proto::google::api::HttpBody;

/// The file content per message of the upload, in bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// The number of attempts at a call.
const MAX_ATTEMPTS: u32 = 6;

/// A file to upload.
pub(crate) struct Upload {
    account: uuid::Uuid,
    content_type: &'static str,
    options: Options,
    content: Bytes,
    key: String,
}

impl Upload {
    /// Reads a file. The idempotency key depends on the file and the account, so that neither a retry of a broken
    /// upload nor a second run of the command starts a second import.
    pub(crate) async fn read(path: &Path, account: uuid::Uuid, options: Options) -> anyhow::Result<Self> {
        let content_type = match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => "text/csv",
            Some("tsv" | "tab") => "text/tab-separated-values",
            Some("ndjson" | "jsonl") => "application/x-ndjson",
            _ => anyhow::bail!("{}: must end in .csv, .tsv, .ndjson or .jsonl", path.display()),
        };
        let content = Bytes::from(tokio::fs::read(path).await.with_context(|| path.display().to_string())?);
        let Options { unescape, delimiter, charset } = &options;
        let options_text = [unescape, delimiter, charset].map(|option| option.as_deref().unwrap_or_default());
        let how = format!("{content_type} {}", options_text.join(" "));
        let hash = Sha256::new().chain_update(account.as_bytes()).chain_update(how.trim_end()).chain_update(&content);
        let key = hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { account, content_type, options, content, key })
    }

    fn chunks(&self) -> impl Iterator<Item = ImportTicketsRequest> + Send + use<> {
        let (account_id, content_type, content) =
            (self.account.to_string(), self.content_type.to_owned(), self.content.clone());
        let Options { unescape, delimiter, charset } = self.options.clone();
        // An empty file is sent as one empty message, which the server rejects with a proper error.
        (0..content.len().max(1)).step_by(CHUNK_BYTES).map(move |at| ImportTicketsRequest {
            account_id: account_id.clone(),
            file: Some(HttpBody {
                content_type: content_type.clone(),
                data: content.slice(at..content.len().min(at + CHUNK_BYTES)),
                extensions: Vec::new(),
            }),
            unescape: unescape.clone().unwrap_or_default(),
            delimiter: delimiter.clone().unwrap_or_default(),
            charset: charset.clone().unwrap_or_default(),
        })
    }
}

/// An authenticated connection to a server.
pub(crate) struct Remote {
    channel: Channel,
    credentials: Credentials,
    token: SecretString,
}

impl Remote {
    pub(crate) async fn connect(server: &str, credentials: Credentials) -> anyhow::Result<Self> {
        let mut endpoint = Channel::from_shared(server.to_owned()).with_context(|| server.to_owned())?;
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        let endpoint = endpoint.connect_timeout(Duration::from_secs(10));
        let channel = endpoint.connect().await.with_context(|| format!("{server} does not answer"))?;
        let token = credentials.token.clone().unwrap_or_default();
        let mut remote = Self { channel, credentials, token };
        if remote.credentials.email.is_some() {
            remote.sign_in().await.map_err(describe)?;
        }
        Ok(remote)
    }

    /// Uploads the file. If an earlier import of the same upload failed or was cancelled, starts a new one.
    pub(crate) async fn begin(&mut self, upload: &Upload) -> anyhow::Result<Operation> {
        for attempt in 1..=20 {
            let response = self.upload(upload, &format!("import-{}-{attempt}", upload.key)).await?;
            let (operation, replayed) = response;
            let has_failed = matches!(operation.state(), OperationState::Failed | OperationState::Cancelled);
            if !(replayed && has_failed) {
                return Ok(operation);
            }
        }
        anyhow::bail!("the import failed or was cancelled too often")
    }

    async fn upload(&mut self, upload: &Upload, key: &str) -> anyhow::Result<(Operation, bool)> {
        let mut retries = Retries::new();
        loop {
            let mut request = self.authorize(tokio_stream::iter(upload.chunks()))?;
            request.metadata_mut().insert("idempotency-key", key.parse()?);
            match TicketServiceClient::new(self.channel.clone()).import_tickets(request).await {
                Ok(response) => {
                    let replayed = response.metadata().contains_key("idempotent-replayed");
                    let operation = response.into_inner().data.context("the server returned no operation")?;
                    return Ok((operation, replayed));
                }
                Err(status) => self.recover(status, &mut retries).await?,
            }
        }
    }

    /// Returns the current state of an operation.
    pub(crate) async fn operation(&mut self, id: &str) -> anyhow::Result<Operation> {
        let mut retries = Retries::new();
        loop {
            let request = self.authorize(GetOperationRequest { operation_id: id.to_owned(), read_mask: None })?;
            match OperationServiceClient::new(self.channel.clone()).get_operation(request).await {
                Ok(response) => return response.into_inner().data.context("the server returned no operation"),
                Err(status) => self.recover(status, &mut retries).await?,
            }
        }
    }

    /// Returns a page of an operation's invalid rows.
    pub(crate) async fn errors(&mut self, id: &str, page_token: String) -> anyhow::Result<ListOperationErrorsResponse> {
        let message = ListOperationErrorsRequest {
            operation_id: id.to_owned(),
            page_size: 100,
            page_token,
            ..ListOperationErrorsRequest::default()
        };
        let mut retries = Retries::new();
        loop {
            let request = self.authorize(message.clone())?;
            match OperationServiceClient::new(self.channel.clone()).list_operation_errors(request).await {
                Ok(page) => return Ok(page.into_inner()),
                Err(status) => self.recover(status, &mut retries).await?,
            }
        }
    }

    async fn sign_in(&mut self) -> Result<(), Status> {
        let email = self.credentials.email.clone().unwrap_or_default();
        let password = self.credentials.password.as_ref().map(|password| password.expose_secret().to_owned());
        let password =
            password.ok_or_else(|| Status::unauthenticated("MAINSTAY_PASSWORD is needed beside --email."))?;
        let response = AuthServiceClient::new(self.channel.clone())
            .login(LoginRequest { email, password, ..LoginRequest::default() })
            .await?;
        self.token = response.into_inner().data.unwrap_or_default().access_token.into();
        Ok(())
    }

    /// Waits before the next attempt, or signs in again. It fails if neither can help.
    async fn recover(&mut self, status: Status, retries: &mut Retries) -> anyhow::Result<()> {
        retries.remaining -= 1;
        if retries.remaining == 0 {
            return Err(describe(status));
        }
        match status.code() {
            // Access tokens are short-lived, and an import may outlast them.
            Code::Unauthenticated if self.credentials.email.is_some() => self.sign_in().await.map_err(describe),
            Code::Unavailable | Code::Aborted | Code::ResourceExhausted if retryable(&status) => {
                tokio::time::sleep(retries.wait(&status)).await;
                Ok(())
            }
            _ => Err(describe(status)),
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

/// Returns whether the error catalogue marks the error as retryable. A broken connection has no reason and is
/// retryable.
fn retryable(status: &Status) -> bool {
    use tonic_types::StatusExt as _;
    let reason = status.get_details_error_info();
    reason.is_none_or(|info| {
        mainstay_kernel::contract::Reason::from_code(&info.reason).is_some_and(|reason| reason.facts().retryable)
    })
}

/// The attempts of one call.
struct Retries {
    remaining: u32,
}

impl Retries {
    fn new() -> Self {
        Self { remaining: MAX_ATTEMPTS }
    }

    /// Returns the delay that the server requests, or else one that doubles with each attempt.
    fn wait(&self, status: &Status) -> Duration {
        use tonic_types::StatusExt as _;
        let retry_delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        retry_delay.unwrap_or_else(|| Duration::from_millis(200) * (1 << (MAX_ATTEMPTS - self.remaining)))
    }
}

/// Converts the server's error, with the violation of each field.
fn describe(status: Status) -> anyhow::Error {
    use tonic_types::StatusExt as _;
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let fields: Vec<_> = fields.iter().map(|field| format!(" {} {}", field.field, field.description)).collect();
    anyhow::anyhow!("{}{}", status.message(), fields.join(","))
}
