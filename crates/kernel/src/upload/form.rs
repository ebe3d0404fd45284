//! The body of an upload: raw bytes, or a form with one file (multipart/form-data, RFC 7578), read as it comes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use multer::{Field, Multipart};
use tonic::Status;

use crate::{
    contract::status,
    error::{Error, Reason, Result},
    grpc::unreadable,
    upload::Upload,
};

/// What may come before the content of the file: all other parts, and the headers of its own.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The largest part beside the file.
const MAX_FIELD_BYTES: usize = 1024;

/// What came with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// The media type of the file; empty if nobody said.
    pub content_type: String,
    /// The name of the file, without a path; empty if nobody said.
    pub file_name: String,
    /// The parts of the form before the file.
    pub fields: Vec<(String, String)>,
}

/// Reads the body of a request into an upload.
///
/// # Errors
/// `MALFORMED_REQUEST` for a form that can't be read, `VALIDATION_FAILED` for one without a file or with several, and the
/// errors of the upload and of `pieces`.
pub async fn receive(
    upload: &mut Upload,
    content_type: &str,
    pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Result<Received> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = upload.wait(async { pieces.next().await.transpose().map_err(of_stream) }).await? {
            upload.push(&piece).await?;
        }
        return Ok(Received { content_type: content_type.to_owned(), ..Received::default() });
    }
    let boundary = multer::parse_boundary(content_type).map_err(|_| malformed("The form has no boundary."))?;
    // The parser keeps what it can't use yet. Before the file begins, that is not much.
    let allowance = Arc::new(AtomicUsize::new(MAX_HEAD_BYTES));
    let form = Multipart::new(bounded(pieces, allowance.clone()), boundary);
    read(upload, form, &allowance).await
}

async fn read(upload: &mut Upload, mut form: Multipart<'static>, allowance: &AtomicUsize) -> Result<Received> {
    let mut received = Received::default();
    while let Some(mut field) = upload.wait(next_field(&mut form)).await? {
        let Some(file_name) = field.file_name() else {
            let name = field.name().unwrap_or_default().to_owned();
            let text = upload.wait(text(&mut field)).await?;
            received.fields.push((name, text));
            continue;
        };
        received.file_name = base_name(file_name);
        received.content_type = field.content_type().map(ToString::to_string).unwrap_or_default();
        allowance.store(usize::MAX, Ordering::Relaxed);
        while let Some(piece) = upload.wait(chunk(&mut field)).await? {
            upload.push(&piece).await?;
        }
        drop(field);
        if upload.wait(next_field(&mut form)).await?.is_some() {
            return Err(Error::field("file", "must be one file, and the last part of the form"));
        }
        return Ok(received);
    }
    Err(Error::field("file", "is required: the form has no file"))
}

fn malformed(message: &'static str) -> Error {
    Error::with_message(Reason::MalformedRequest, message)
}

async fn next_field(form: &mut Multipart<'static>) -> Result<Option<Field<'static>>> {
    form.next_field().await.map_err(of_form)
}

async fn chunk(field: &mut Field<'static>) -> Result<Option<Bytes>> {
    field.chunk().await.map_err(of_form)
}

async fn text(field: &mut Field<'static>) -> Result<String> {
    let mut text = Vec::new();
    while let Some(piece) = chunk(field).await? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_FIELD_BYTES {
            return Err(malformed("A part of the form is too long."));
        }
    }
    String::from_utf8(text).map_err(|_| malformed("A part of the form is not UTF-8."))
}

/// Some browsers send the path of the file.
fn base_name(file_name: &str) -> String {
    file_name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

/// Ends the bytes of a form whose file does not begin soon.
fn bounded(
    pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    allowance: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, Status>> + Send + 'static {
    pieces.and_then(move |piece| {
        let left = allowance.load(Ordering::Relaxed);
        // The first piece may hold the whole form.
        let result: Result<Bytes, Status> =
            if left == 0 { Err(malformed("The parts before the file are too long.").into()) } else { Ok(piece) };
        if let (Ok(piece), true) = (&result, left != usize::MAX) {
            allowance.store(left.saturating_sub(piece.len()), Ordering::Relaxed);
        }
        std::future::ready(result)
    })
}

/// Converts an error of the parser, which may be one of the stream below it.
fn of_form(error: multer::Error) -> Error {
    let multer::Error::StreamReadFailed(source) = error else {
        return malformed("The form can't be read.").caused_by(error);
    };
    match source.downcast::<Status>() {
        Ok(status) => of_stream(*status),
        Err(other) => malformed("The form can't be read.").caused_by(anyhow::anyhow!("{other}")),
    }
}

/// Converts an error of the stream of requests.
fn of_stream(status: Status) -> Error {
    let status = unreadable(status);
    Error::with_message(status::reason(&status), status.message().to_owned()).caused_by(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_down_to_its_name() {
        assert_eq!(base_name("C:\\fake\\a.png"), "a.png");
        assert_eq!(base_name("../../etc/passwd"), "passwd");
    }
}
