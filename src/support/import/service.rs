//! Handler of `ImportTickets`, which turns a stream of pieces into a stored upload.

use crate::support::config::SupportConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future::ready, stream};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, Streaming};

use crate::proto::support::v1 as pb;
use crate::{
    files::canonical_type,
    operations,
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
    contract::{Validate, proto::google::api::HttpBody},
    error::{Error, Reason, Result},
    grpc::{Call, Reply, unreadable},
    id::AccountId,
    unit_of_work::Work,
    upload::{Spool, Upload, form},
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
    let begin = async move |work: &mut Work| ops::begin(work, account, (format, options), file).await;
    operations::write(&call, app, begin, |operation| pb::ImportTicketsResponse { data: Some(operation) }).await
}

async fn receive(mut file: Upload, mut stream: Streaming<pb::ImportTicketsRequest>) -> Result<ReceivedFile, Status> {
    let mut first = file.wait(stream.message()).await.map_err(unreadable)?.unwrap_or_default();
    let (account, mut options) = admit(&first)?;
    let HttpBody { content_type, data, .. } = first.file.take().unwrap_or_default();
    let is_form = form::is_form(&content_type);
    // Another type is refused before the file arrives.
    if !is_form {
        media_type(&content_type)?;
    }
    let metadata = form::receive(&mut file, &content_type, pieces(data, stream, account)).await?;
    if let Some((name, _)) = metadata.fields.first() {
        return Err(Error::field(name.clone(), "must be in the query").into());
    }
    let head = file.next().await?.ok_or_else(|| Error::field("file", "is empty"))?;
    file.rewind().await?;
    // The default of a part (RFC 7578, section 4.4).
    let content_type = if is_form && metadata.content_type.is_empty() { "text/plain" } else { &metadata.content_type };
    let (format, declared) = media_type(content_type)?;
    options.charset = options.charset.or(declared.charset);
    options.delimiter = options.delimiter.or(declared.delimiter);
    Ok(ReceivedFile { account, format: of_content(format, &head)?, options, file })
}

fn pieces(
    first: Bytes,
    messages: Streaming<pb::ImportTicketsRequest>,
    account: AccountId,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    let rest = messages.and_then(move |piece| {
        ready(check(&piece, Some(account)).map(|()| piece.file.unwrap_or_default().data).map_err(Status::from))
    });
    stream::iter([Ok(first)]).chain(rest)
}

/// Reads the account and the options from the first piece.
fn admit(first: &pb::ImportTicketsRequest) -> Result<(AccountId, ReadOptions)> {
    check(first, None)?;
    if first.account_id.is_empty() {
        return Err(Error::field("accountId", "is required"));
    }
    let account = first.account_id.parse().map_err(|_| Error::field("accountId", "must be a UUID"))?;
    let charset = match first.charset.as_str() {
        "" => None,
        label => Some(Charset::from_label(label).ok_or_else(|| {
            Error::field("charset", "must be a charset of the WHATWG Encoding Standard, such as windows-1252")
        })?),
    };
    let options = ReadOptions {
        unescapes_newlines: first.unescape == "newlines",
        delimiter: Delimiter::from_name(&first.delimiter),
        charset,
    };
    Ok((AccountId(account), options))
}

fn check(piece: &pb::ImportTicketsRequest, account: Option<AccountId>) -> Result<()> {
    piece.check()?;
    let Some(account) = account else { return Ok(()) };
    if !piece.account_id.is_empty() && piece.account_id.parse() != Ok(account.0) {
        return Err(Error::field("accountId", "must be the same in every piece"));
    }
    Ok(())
}

/// Returns the format of a file that begins like this.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE` for the files of Excel, by the signatures of ZIP and OLE, and for an array of JSON.
fn of_content(declared: Option<Format>, head: &[u8]) -> Result<Format> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(unsupported("The file is an Excel workbook; save it as CSV."));
    }
    let mut text = head;
    while let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf") {
        text = rest;
    }
    match (declared, text.trim_ascii_start().first()) {
        (None | Some(Format::Ndjson), Some(b'[')) => {
            Err(unsupported("The file is an array; write one object per line."))
        }
        (None, Some(b'{')) => Ok(Format::Ndjson),
        (declared, _) => Ok(declared.unwrap_or(Format::Csv)),
    }
}

fn unsupported(message: &'static str) -> Error {
    let types = "text/csv, text/tab-separated-values, application/x-ndjson, multipart/form-data";
    Error::with_message(Reason::UnsupportedMediaType, message).with("accepted", types)
}

/// Parses the read options and the format from a media type (RFC 9110, section 8.3.1); without a format if the content
/// decides it.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE`.
fn media_type(content_type: &str) -> Result<(Option<Format>, ReadOptions)> {
    let refused = || {
        unsupported(
            "The file must be text/csv, text/tab-separated-values or application/x-ndjson, in a charset of the WHATWG \
             Encoding Standard.",
        )
    };
    let mut options = ReadOptions::default();
    let format = match canonical_type(content_type).ok_or_else(refused)?.as_str() {
        "text/csv" => Some(Format::Csv),
        "text/tab-separated-values" => {
            options.delimiter = Some(Delimiter::Tab);
            Some(Format::Csv)
        }
        "application/x-ndjson" => Some(Format::Ndjson),
        // The first three are vague. Windows gives the name of Excel to every CSV file once Excel is installed.
        "application/octet-stream" | "text/plain" | "application/json" | "application/vnd.ms-excel" => None,
        _ => return Err(refused()),
    };
    let parameters = content_type.split(';').skip(1).map(|part| part.trim().to_ascii_lowercase());
    for parameter in parameters {
        if let Some(("charset", label)) = parameter.split_once('=') {
            options.charset = Some(Charset::from_label(label.trim_matches('"')).ok_or_else(refused)?);
        }
    }
    Ok((format, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_media_types() {
        let read = |text: &str| {
            let (format, options) = media_type(text).ok()?;
            Some((format, options.charset.map(String::from)))
        };
        for csv in ["text/csv", "application/csv", "text/x-csv", "text/comma-separated-values", "application/x-csv"] {
            assert_eq!(read(csv), Some((Some(Format::Csv), None)));
        }
        for ndjson in ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"] {
            assert_eq!(read(ndjson), Some((Some(Format::Ndjson), None)));
        }
        for vague in [
            "",
            "text/plain",
            "application/octet-stream",
            "binary/octet-stream",
            "application/x-www-form-urlencoded",
            "application/json",
            "application/vnd.ms-excel",
            "application/msexcel",
            "application/x-msexcel",
        ] {
            assert_eq!(read(vague), Some((None, None)), "{vague}");
        }
        let with = |format, charset: &str| Some((Some(format), Some(charset.to_owned())));
        assert_eq!(read("Text/CSV; header=present; charset=\"UTF-8\""), with(Format::Csv, "UTF-8"));
        assert_eq!(read("text/csv;charset=latin1"), with(Format::Csv, "windows-1252"));
        assert_eq!(read("text/tab-separated-values; charset=utf-16"), with(Format::Csv, "UTF-16LE"));
        assert_eq!(read("application/x-ndjson; charset=us-ascii"), with(Format::Ndjson, "UTF-8"));
        let tabs = media_type("text/tab-separated-values").expect("a format").1;
        assert_eq!(tabs.delimiter, Some(Delimiter::Tab));
        assert_eq!(media_type("text/x-tsv").expect("a format").1.delimiter, Some(Delimiter::Tab));
        for other in ["csv", "text/html", "text/csv;charset=ebcdic", "text/csv; charset=utf-7", "application/pdf"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn the_content_decides_what_a_vague_type_means() {
        assert_eq!(of_content(None, b"\xef\xbb\xbf{\"body\":1}").ok(), Some(Format::Ndjson));
        assert_eq!(of_content(None, b"\r\n {\"body\":1}").ok(), Some(Format::Ndjson));
        assert_eq!(of_content(None, b"PK,body\n").ok(), Some(Format::Csv));
        assert_eq!(of_content(Some(Format::Csv), b"{body").ok(), Some(Format::Csv));
        assert_eq!(of_content(Some(Format::Csv), b"[body]").ok(), Some(Format::Csv));
        assert_eq!(of_content(None, b"\xef\xbb\xbf\xef\xbb\xbf{\"body\":1}").ok(), Some(Format::Ndjson));
        for declared in [None, Some(Format::Ndjson)] {
            let error = of_content(declared, b" [{\"body\":1}]").expect_err("an array");
            assert_eq!(error.reason(), Reason::UnsupportedMediaType);
        }
        for workbook in [&b"PK\x03\x04\x14\0"[..], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"] {
            let error = of_content(Some(Format::Csv), workbook).expect_err("a workbook");
            assert_eq!(error.reason(), Reason::UnsupportedMediaType);
        }
    }
}
