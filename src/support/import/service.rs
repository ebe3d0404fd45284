//! `ImportTickets`: turns a stream of pieces into a stored upload.

use crate::support::config::SupportConfig;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use crate::operations::id::OperationId;
use crate::proto::support::v1 as pb;
use crate::{
    operations::{model::Operation, ops as operation, render},
    support::import::{model::Format, ops},
};
use mainstay_kernel::{
    app::App,
    caller::Permit,
    contract::Validate,
    database::Connection,
    error::{Error, Reason, Result},
    grpc::{Call, Reply, unreadable},
    id::AccountId,
    unit_of_work::Work,
    upload::{Spool, Upload},
};

/// A complete file.
struct ReceivedFile {
    account: AccountId,
    format: Format,
    file: Upload,
}

/// The RPC body. The upload is spooled first, because its hash is the request's fingerprint, and so that no transaction
/// waits for the caller's network.
pub(crate) async fn import(
    app: &App,
    request: Request<Streaming<pb::ImportTicketsRequest>>,
) -> Reply<pb::ImportTicketsResponse> {
    let (metadata, extensions, stream) = request.into_parts();
    let principal = extensions.get::<Permit>().map(|permit| permit.caller().principal()).unwrap_or_default();
    let max_bytes = app.config.section::<SupportConfig>().max_import_bytes;
    let file = Upload::begin(app.part::<Spool>(), principal, max_bytes).await?;
    let ReceivedFile { account, format, file } = receive(file, stream).await?;
    let fingerprint = Sha256::new()
        .chain_update(account.0.as_bytes())
        .chain_update(format.number().to_be_bytes())
        .chain_update(file.hash());
    let call = Call::admit_stream(&metadata, &extensions, fingerprint.finalize().into())?;
    let permit = call.permit()?;
    let committed = call.commit(app, async move |work: &mut Work| {
        let operation = ops::begin(work, account, format, file).await?;
        Ok(message(operation))
    });
    let current = committed.await?.resolve(async |id: Uuid| {
        let id = OperationId(id);
        let read = async move |connection: &mut Connection| operation::get(connection, &permit, id).await;
        Ok(message(app.database.autocommit(read).await?))
    });
    call.respond(current.await?)
}

fn message(operation: Operation) -> pb::ImportTicketsResponse {
    pb::ImportTicketsResponse { data: Some(render(operation)) }
}

async fn receive(mut file: Upload, mut stream: Streaming<pb::ImportTicketsRequest>) -> Result<ReceivedFile, Status> {
    let first = file.wait(stream.message()).await.map_err(unreadable)?.unwrap_or_default();
    let (account, format) = admit(&first)?;
    let mut next = Some(first);
    while let Some(piece) = next {
        check(&piece, account)?;
        let data = piece.file.unwrap_or_default().data;
        file.push(&data).await?;
        next = file.wait(stream.message()).await.map_err(unreadable)?;
    }
    if file.bytes() == 0 {
        return Err(Error::field("file", "is empty").into());
    }
    Ok(ReceivedFile { account, format, file })
}

/// Reads the account and the format from the first piece.
fn admit(first: &pb::ImportTicketsRequest) -> Result<(AccountId, Format)> {
    let content_type = first.file.as_ref().map(|file| file.content_type.as_str()).unwrap_or_default();
    let format = format(content_type).ok_or_else(|| {
        Error::with_message(
            Reason::UnsupportedMediaType,
            "The file must be text/csv or application/x-ndjson, in UTF-8.",
        )
    })?;
    if first.account_id.is_empty() {
        return Err(Error::field("accountId", "is required"));
    }
    let account = first.account_id.parse().map_err(|_| Error::field("accountId", "must be a UUID"))?;
    Ok((AccountId(account), format))
}

fn check(piece: &pb::ImportTicketsRequest, account: AccountId) -> Result<()> {
    piece.check().map_err(|violations| Error::validation(violations.into_inner()))?;
    if !piece.account_id.is_empty() && piece.account_id.parse() != Ok(account.0) {
        return Err(Error::field("accountId", "must be the same in every piece"));
    }
    Ok(())
}

/// Parses the format from a media type (RFC 9110, 8.3.1), whose charset may be UTF-8 or its subset US-ASCII.
fn format(content_type: &str) -> Option<Format> {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let format = match parts.next()?.as_str() {
        "text/csv" => Format::Csv,
        "application/x-ndjson" | "application/ndjson" => Format::Ndjson,
        _ => return None,
    };
    let readable = parts.all(|parameter| match parameter.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        _ => true,
    });
    readable.then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_media_types() {
        assert_eq!(format("text/csv"), Some(Format::Csv));
        assert_eq!(format("Text/CSV; header=present; charset=\"UTF-8\""), Some(Format::Csv));
        assert_eq!(format("application/x-ndjson"), Some(Format::Ndjson));
        for other in ["", "text/plain", "text/csv;charset=latin1", "application/json"] {
            assert_eq!(format(other), None, "{other}");
        }
    }
}
