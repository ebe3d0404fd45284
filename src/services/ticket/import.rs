//! The upload of an import: a client stream over gRPC, a raw body over REST.

use bytes::Bytes;
use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Streaming};

use crate::{
    app::App,
    contract::{Validate as _, proto::support::v1 as pb},
    domain::operation::Format,
    error::{Error, Reason, Result},
    id::{AccountId, OperationId},
    ops::{operation as ops, work::Answer},
    services::{Call, Reply, operation::operation},
};

/// A file that has arrived, and the first message it came with.
struct Upload {
    account: String,
    format: Format,
    chunks: Vec<Bytes>,
    fingerprint: [u8; 32],
}

/// Takes the file and answers with the operation that imports it. At most `MAX_IMPORT_BYTES` are held, by as many
/// uploads at once as there are places.
pub(super) async fn import_tickets(
    app: &App,
    request: Request<Streaming<pb::ImportTicketsRequest>>,
) -> Reply<pb::ImportTicketsResponse> {
    let (metadata, extensions, messages) = request.into_parts();
    let _place = app
        .uploads
        .try_acquire()
        .map_err(|_| Error::new(Reason::Overloaded).retry_after(std::time::Duration::from_secs(5)))?;
    let Upload { account, format, chunks, fingerprint } =
        receive(messages, app.config.support.max_import_bytes).await?;
    let account = AccountId::parse(&account)?;
    let mut call = Call::admit_stream(&metadata, &extensions, fingerprint)?;
    let (permit, now) = (call.permit()?, app.clock.now());
    let begun = call.run(
        app,
        move |connection| ops::begin_import(connection, permit, account, format, chunks, now).boxed(),
        |begun| pb::ImportTicketsResponse { data: Some(operation(begun)) },
    );
    let answer = match begun.await? {
        Answer::Pending(id) => {
            let (permit, id) = (call.permit()?, OperationId(id));
            let current = app.database.read(move |connection| ops::get(connection, permit, id).boxed()).await?;
            Answer::Replayed(pb::ImportTicketsResponse { data: Some(operation(current)) })
        }
        answer => answer,
    };
    call.respond(answer)
}

async fn receive(mut messages: Streaming<pb::ImportTicketsRequest>, max_bytes: usize) -> Result<Upload> {
    let broken = |status: tonic::Status| Error::new(Reason::MalformedRequest).caused_by(status);
    let first = messages.message().await.map_err(broken)?.ok_or_else(|| Error::field("file", "is required"))?;
    first.check().map_err(|violations| Error::validation(violations.into_inner()))?;
    let account = first.account_id.clone();
    if account.parse::<uuid::Uuid>().is_err() {
        return Err(Error::field("accountId", "must be a UUID"));
    }
    let format = format(first.file.as_ref().map_or("", |file| file.content_type.as_str()))?;
    let mut hash = Sha256::new().chain_update(account.as_bytes()).chain_update(format.number().to_be_bytes());
    let (mut chunks, mut left) = (Vec::new(), max_bytes);
    let mut next = Some(first);
    while let Some(message) = next {
        let data = message.file.map(|file| file.data).unwrap_or_default();
        let too_large =
            || Error::with_message(Reason::PayloadTooLarge, format!("The file may be {max_bytes} bytes at most."));
        left = left.checked_sub(data.len()).ok_or_else(too_large)?;
        hash.update(&data);
        if !data.is_empty() {
            chunks.push(data);
        }
        next = messages.message().await.map_err(broken)?;
    }
    if chunks.is_empty() {
        return Err(Error::field("file", "must not be empty"));
    }
    Ok(Upload { account, format, chunks, fingerprint: hash.finalize().into() })
}

fn format(content_type: &str) -> Result<Format> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "text/csv" => Ok(Format::Csv),
        "application/x-ndjson" => Ok(Format::Ndjson),
        _ => {
            Err(Error::with_message(Reason::UnsupportedMediaType, "The file must be text/csv or application/x-ndjson."))
        }
    }
}
