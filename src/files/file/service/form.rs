//! A form with one file (multipart/form-data, RFC 7578), read as it comes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::stream;
use mainstay_kernel::{
    error::{Error, Reason, Result},
    upload::Upload,
};
use multer::{Field, Multipart};
use tonic::{Status, Streaming};

use crate::proto::files::v1 as pb;

/// What may come before the content of the file: all other parts, and the headers of its own.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The largest part beside the file.
const MAX_FIELD_BYTES: usize = 1024;

/// What the caller said about the file, as far as it is known yet.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) account_id: String,
    pub(super) purpose: i32,
}

/// Returns the boundary of a form; `None` for any other media type.
///
/// # Errors
/// `MALFORMED_REQUEST` for a form without one.
pub(super) fn boundary(content_type: &str) -> Result<Option<String>> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    multer::parse_boundary(content_type).map(Some).map_err(|_| malformed("The form has no boundary."))
}

fn malformed(message: &'static str) -> Error {
    Error::with_message(Reason::MalformedRequest, message)
}

/// Reads a form, whose file goes to the upload.
///
/// # Errors
/// `MALFORMED_REQUEST`, `VALIDATION_FAILED`, and the errors of the upload.
pub(super) async fn receive(
    upload: &mut Upload,
    boundary: String,
    fields: Fields,
    first: Bytes,
    messages: Streaming<pb::UploadFileRequest>,
) -> Result<Fields> {
    // The parser keeps what it can't use yet. Before the file begins, that is not much.
    let allowance = Arc::new(AtomicUsize::new(MAX_HEAD_BYTES));
    let mut form = Multipart::new(pieces(first, messages, allowance.clone()), boundary);
    let mut fields = Fields { content_type: String::new(), ..fields };
    while let Some(mut field) = upload.wait(next_field(&mut form)).await? {
        if field.file_name().is_none() {
            let text = upload.wait(text(&mut field)).await?;
            set(&mut fields, field.name().unwrap_or_default(), text)?;
            continue;
        }
        if fields.name.is_empty() {
            fields.name = base_name(field.file_name().unwrap_or_default());
        }
        fields.content_type = field.content_type().map(ToString::to_string).unwrap_or_default();
        allowance.store(usize::MAX, Ordering::Relaxed);
        while let Some(piece) = upload.wait(chunk(&mut field)).await? {
            upload.push(&piece).await?;
        }
        drop(field);
        if upload.wait(next_field(&mut form)).await?.is_some() {
            return Err(Error::field("file", "must be one file, and the last part of the form"));
        }
        return Ok(fields);
    }
    Err(Error::field("file", "is required: the form has no file"))
}

async fn next_field(form: &mut Multipart<'static>) -> Result<Option<Field<'static>>> {
    form.next_field().await.map_err(unreadable)
}

async fn chunk(field: &mut Field<'static>) -> Result<Option<Bytes>> {
    field.chunk().await.map_err(unreadable)
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

fn set(fields: &mut Fields, name: &str, text: String) -> Result<()> {
    let conflict = || Error::field(name, "is given twice");
    match name {
        "name" if fields.name.is_empty() => fields.name = text,
        "accountId" | "account_id" if fields.account_id.is_empty() => fields.account_id = text,
        "purpose" if fields.purpose == 0 => {
            let purpose = pb::FilePurpose::from_str_name(&text);
            fields.purpose = purpose.ok_or_else(|| Error::field("purpose", "is not a purpose"))?.into();
        }
        "name" | "accountId" | "account_id" | "purpose" => return Err(conflict()),
        _ => return Err(Error::field(name, "is not a field of the request")),
    }
    Ok(())
}

/// Some browsers send the path of the file.
fn base_name(file_name: &str) -> String {
    file_name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

/// The bytes of the form.
fn pieces(
    first: Bytes,
    messages: Streaming<pb::UploadFileRequest>,
    allowance: Arc<AtomicUsize>,
) -> impl futures_util::Stream<Item = Result<Bytes, Status>> + Send {
    stream::try_unfold((Some(first), messages), move |(first, mut messages)| {
        let allowance = allowance.clone();
        async move {
            let piece = match first {
                Some(first) => first,
                None => match messages.message().await? {
                    Some(message) => message.file.unwrap_or_default().data,
                    None => return Ok(None),
                },
            };
            // The first piece may hold the whole form.
            let left = allowance.load(Ordering::Relaxed);
            if left == 0 {
                return Err(malformed("The parts before the file are too long.").into());
            }
            if left != usize::MAX {
                allowance.store(left.saturating_sub(piece.len()), Ordering::Relaxed);
            }
            Ok(Some((piece, (None, messages))))
        }
    })
}

/// Converts an error of the parser, which may be one of the stream below it.
fn unreadable(error: multer::Error) -> Error {
    let multer::Error::StreamReadFailed(source) = error else {
        return malformed("The form can't be read.").caused_by(error);
    };
    match source.downcast::<Status>() {
        Ok(status) => match mainstay_kernel::contract::status::reason(&status) {
            reason if !status.details().is_empty() => {
                Error::with_message(reason, status.message().to_owned()).caused_by(*status)
            }
            _ => Error::new(Reason::MalformedRequest).caused_by(*status),
        },
        Err(other) => malformed("The form can't be read.").caused_by(anyhow::anyhow!("{other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_media_type() {
        assert_eq!(boundary("Multipart/Form-Data; boundary=\"a b\"").expect("a form").as_deref(), Some("a b"));
        assert_eq!(boundary("text/plain").expect("no form"), None);
        assert!(boundary("multipart/form-data").is_err());
    }

    #[test]
    fn a_path_is_cut_down_to_its_name() {
        assert_eq!(base_name("C:\\fake\\a.png"), "a.png");
        assert_eq!(base_name("../../etc/passwd"), "passwd");
    }
}
