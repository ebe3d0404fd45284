//! Conversion of files to messages, and of messages to drafts.

use mainstay_kernel::{
    audit::Audited,
    contract::validate::text,
    error::{Error, Reason, Result},
    grpc::render::time,
    id::AccountId,
};

use crate::{
    files::{
        file::{
            model::{Draft, File, Purpose, State},
            ops::{Target, hex},
        },
        media,
    },
    proto::files::v1 as pb,
};

/// The most characters of a media type without its parameters.
const MAX_CONTENT_TYPE: usize = 127;

impl Audited for File {
    type Message = pb::File;

    fn message(self) -> pb::File {
        let is_ready = matches!(self.state, State::Ready { .. });
        pb::File {
            id: Some(self.id.to_string()),
            account_id: Some(self.account.to_string()),
            owner_id: Some(self.owner.to_string()),
            status: Some(self.status().number().into()),
            name: Some(self.name),
            content_type: Some(self.content_type),
            size_bytes: Some(self.size_bytes),
            sha256: self.sha256.filter(|_| is_ready).map(|hash| hex(&hash)),
            purpose: Some(self.purpose.number().into()),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
        }
    }
}

pub(crate) fn upload(announced: File, target: Target) -> pb::Upload {
    let header = |(name, value): &(http::HeaderName, http::HeaderValue)| pb::UploadHeader {
        name: name.to_string(),
        value: value.to_str().unwrap_or_default().to_owned(),
    };
    pb::Upload {
        file: Some(announced.message()),
        method: Some("PUT".to_owned()),
        headers: target.headers.iter().map(header).collect(),
        url: Some(target.url),
        expire_time: Some(time(target.expires)),
    }
}

pub(crate) fn download(target: Target) -> pb::Download {
    pb::Download { url: Some(target.url), expire_time: Some(time(target.expires)) }
}

/// Reads a draft from a validated message.
///
/// # Errors
/// `VALIDATION_FAILED`, `PAYLOAD_TOO_LARGE`.
pub(crate) fn draft(message: pb::CreateUploadRequest, max_file_bytes: usize) -> Result<Draft> {
    if usize::try_from(message.size_bytes).map_or(true, |size| size > max_file_bytes) {
        let message = format!("A file may have at most {max_file_bytes} bytes.");
        return Err(Error::with_message(Reason::PayloadTooLarge, message));
    }
    Ok(Draft {
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        name: name(message.name, "name")?,
        content_type: content_type(&message.content_type)?,
        size_bytes: message.size_bytes,
        sha256: message.sha256.as_deref().map(sha256).transpose()?,
        purpose: purpose(message.purpose)?,
    })
}

pub(crate) fn name(name: String, field: &str) -> Result<String> {
    // The contract's rules do not check the name of a multipart form.
    let name = text::line(name).map_err(|fault| Error::field(field, fault))?;
    match media::name_fault(&name) {
        Some(fault) => Err(Error::field(field, fault)),
        None => Ok(name),
    }
}

pub(crate) fn content_type(text: &str) -> Result<String> {
    let fault = |fault: String| Error::field("contentType", fault);
    let content_type = media::parse(text).ok_or_else(|| fault("must be a media type, such as image/png".to_owned()))?;
    // The contract's rules do not check the type of a body or of a part of a form.
    if content_type.len() > MAX_CONTENT_TYPE {
        return Err(fault(format!("must be at most {MAX_CONTENT_TYPE} characters")));
    }
    Ok(content_type)
}

pub(crate) fn purpose(number: i32) -> Result<Purpose> {
    Purpose::from_number(number).ok_or_else(|| Error::field("purpose", "is required"))
}

fn sha256(text: &str) -> Result<[u8; 32]> {
    let digit = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digit).collect();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Error::field("sha256", "must be 64 hexadecimal digits"))
}
