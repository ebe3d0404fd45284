//! Handler of `ImportTickets`, which turns a stream of pieces into a stored upload.

use crate::support::config::SupportConfig;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use crate::operations::id::OperationId;
use crate::proto::support::v1 as pb;
use crate::{
    operations::{model::Operation, ops as operation, render},
    support::import::{
        model::{
            Format, ReadOptions,
            options::{Charset, Delimiter},
        },
        ops,
    },
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
    options: ReadOptions,
    file: Upload,
}

/// Handles the RPC. The upload is spooled first, because its hash is the request's fingerprint and a transaction must
/// not wait for the caller's network.
pub(crate) async fn import(
    app: &App,
    request: Request<Streaming<pb::ImportTicketsRequest>>,
) -> Reply<pb::ImportTicketsResponse> {
    let (metadata, extensions, stream) = request.into_parts();
    let principal = extensions.get::<Permit>().map(|permit| permit.caller().principal()).unwrap_or_default();
    let max_bytes = app.config.section::<SupportConfig>().max_import_bytes;
    let file = Upload::begin(app.part::<Spool>(), principal, max_bytes).await?;
    let ReceivedFile { account, format, options, file } = receive(file, stream).await?;
    let mut fingerprint = Sha256::new()
        .chain_update(account.0.as_bytes())
        .chain_update(format.number().to_be_bytes())
        .chain_update(file.hash());
    // Without options, the fingerprint equals that of the previous version, whose keys are still stored.
    if options != ReadOptions::default() {
        fingerprint.update(serde_json::to_vec(&options).map_err(Error::internal)?);
    }
    let call = Call::admit_stream(&metadata, &extensions, fingerprint.finalize().into())?;
    let permit = call.permit()?;
    let committed = call.commit(app, async move |work: &mut Work| {
        let operation = ops::begin(work, account, (format, options), file).await?;
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
    let (account, format, options) = admit(&first)?;
    let mut next = Some(first);
    while let Some(piece) = next {
        check(&piece, Some(account))?;
        let data = piece.file.unwrap_or_default().data;
        file.push(&data).await?;
        next = file.wait(stream.message()).await.map_err(unreadable)?;
    }
    if file.bytes() == 0 {
        return Err(Error::field("file", "is empty").into());
    }
    Ok(ReceivedFile { account, format, options, file })
}

/// Reads the account, the format and the options from the first piece.
fn admit(first: &pb::ImportTicketsRequest) -> Result<(AccountId, Format, ReadOptions)> {
    check(first, None)?;
    let content_type = first.file.as_ref().map(|file| file.content_type.as_str()).unwrap_or_default();
    let (format, declared) = media_type(content_type).ok_or_else(|| {
        let message = "The file must be text/csv, text/tab-separated-values or application/x-ndjson, in a charset of the \
                       WHATWG Encoding Standard.";
        Error::with_message(Reason::UnsupportedMediaType, message)
    })?;
    if first.account_id.is_empty() {
        return Err(Error::field("accountId", "is required"));
    }
    let account = first.account_id.parse().map_err(|_| Error::field("accountId", "must be a UUID"))?;
    let charset = match first.charset.as_str() {
        "" => declared.charset,
        label => Some(Charset::from_label(label).ok_or_else(|| {
            Error::field("charset", "must be a charset of the WHATWG Encoding Standard, such as windows-1252")
        })?),
    };
    let options = ReadOptions {
        unescapes_newlines: first.unescape == "newlines",
        delimiter: Delimiter::from_name(&first.delimiter).or(declared.delimiter),
        charset,
    };
    Ok((AccountId(account), format, options))
}

fn check(piece: &pb::ImportTicketsRequest, account: Option<AccountId>) -> Result<()> {
    piece.check().map_err(|violations| Error::validation(violations.into_inner()))?;
    let Some(account) = account else { return Ok(()) };
    if !piece.account_id.is_empty() && piece.account_id.parse() != Ok(account.0) {
        return Err(Error::field("accountId", "must be the same in every piece"));
    }
    Ok(())
}

/// Parses the format and the read options from a media type (RFC 9110, section 8.3.1).
fn media_type(content_type: &str) -> Option<(Format, ReadOptions)> {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let mut options = ReadOptions::default();
    let format = match parts.next()?.as_str() {
        "text/csv" => Format::Csv,
        "text/tab-separated-values" => {
            options.delimiter = Some(Delimiter::Tab);
            Format::Csv
        }
        "application/x-ndjson" | "application/ndjson" => Format::Ndjson,
        _ => return None,
    };
    for parameter in parts {
        if let Some(("charset", label)) = parameter.split_once('=') {
            options.charset = Some(Charset::from_label(label.trim_matches('"'))?);
        }
    }
    Some((format, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_media_types() {
        let read = |text: &str| media_type(text).map(|(format, options)| (format, options.charset.map(String::from)));
        assert_eq!(read("text/csv"), Some((Format::Csv, None)));
        let with = |format, charset: &str| Some((format, Some(charset.to_owned())));
        assert_eq!(read("Text/CSV; header=present; charset=\"UTF-8\""), with(Format::Csv, "UTF-8"));
        assert_eq!(read("text/csv;charset=latin1"), with(Format::Csv, "windows-1252"));
        assert_eq!(read("text/tab-separated-values; charset=utf-16"), with(Format::Csv, "UTF-16LE"));
        assert_eq!(read("application/x-ndjson; charset=us-ascii"), with(Format::Ndjson, "UTF-8"));
        let tabs = media_type("text/tab-separated-values").expect("a format").1;
        assert_eq!(tabs.delimiter, Some(Delimiter::Tab));
        for other in ["", "text/plain", "text/csv;charset=ebcdic", "text/csv; charset=utf-7", "application/json"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
