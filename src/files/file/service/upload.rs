//! `UploadFile`: spools the content as it arrives, and stores it when it is complete. No transaction waits for the
//! upload.

use bytes::Bytes;
use futures_util::{Stream, stream};
use mainstay_kernel::{
    app::App,
    audit::Audited as _,
    caller::Permit,
    contract::Validate as _,
    error::{Error, Result},
    grpc::{Call, Reply, unreadable},
    id::AccountId,
    unit_of_work::{Committed, Work},
    upload::{Spool, Upload, form},
};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, Streaming};

use crate::{
    files::{
        file::{
            convert,
            model::{Draft, Purpose},
            ops::{self, Limits},
        },
        id::FileId,
        media,
    },
    proto::files::v1 as pb,
};

pub(super) async fn upload(
    app: &App,
    request: Request<Streaming<pb::UploadFileRequest>>,
) -> Reply<pb::UploadFileResponse> {
    let (metadata, extensions, stream) = request.into_parts();
    // Both are always set: the middleware admitted the caller, and the contract limits this method. Without them, the
    // upload is rejected.
    let principal = extensions.get::<Permit>().map(|permit| permit.caller().limited_as()).unwrap_or_default();
    let method = extensions.get::<&'static mainstay_kernel::contract::Method>();
    let max_bytes = method.and_then(|method| method.max_request_bytes).unwrap_or_default();
    let mut upload = Upload::begin(app.part::<Spool>(), principal, max_bytes).await?;
    let fields = receive(&mut upload, stream).await?;
    let fingerprint = fingerprint(&fields, &upload);
    let call = Call::admit_stream(&metadata, &extensions, fingerprint)?;
    let (draft, id) = (draft(fields, &upload)?, FileId::generate(app.clock.now()));
    let content = ops::store_upload(app, id, &mut upload, &draft.content_type, draft.purpose).await?;
    let (key, limits) = (content.key.clone(), Limits::new(app));
    let committed = call.commit(app, async move |work: &mut Work| {
        let file = ops::create(work, id, draft, content, limits).await?;
        Ok(pb::UploadFileResponse { data: Some(file.message()) })
    });
    let committed = committed.await;
    if !matches!(committed, Ok(Committed::Fresh(_))) {
        ops::abandon(app, key).await;
    }
    call.respond(committed?)
}

/// The fields of the form that have arrived so far.
#[derive(Debug, Default)]
struct Fields {
    name: String,
    content_type: String,
    account_id: String,
    purpose: i32,
}

async fn receive(upload: &mut Upload, mut stream: Streaming<pb::UploadFileRequest>) -> Result<Fields, Status> {
    let mut first = upload.wait(stream.message()).await.map_err(unreadable)?.unwrap_or_default();
    first.admit().map_err(Error::from)?;
    let pb::UploadFileRequest { name, purpose, account_id, file } = first;
    let file = file.unwrap_or_default();
    let form = form::receive(upload, &file.content_type, pieces(file.data, stream)).await?;
    let mut fields = Fields { name, purpose, account_id, content_type: form.content_type };
    for (name, text) in form.fields {
        fields.set(&name, text)?;
    }
    if fields.name.is_empty() {
        fields.name = form.file_name;
    }
    Ok(fields)
}

fn pieces(
    first: Bytes,
    messages: Streaming<pb::UploadFileRequest>,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    stream::try_unfold((Some(first), messages), |(first, mut messages)| async move {
        if let Some(first) = first {
            return Ok(Some((first, (None, messages))));
        }
        let next = messages.message().await?;
        Ok(next.map(|message| (message.file.unwrap_or_default().data, (None, messages))))
    })
}

impl Fields {
    /// Sets a field to the text of a part of the form.
    fn set(&mut self, name: &str, text: String) -> Result<()> {
        match name {
            "name" if self.name.is_empty() => self.name = text,
            "accountId" | "account_id" if self.account_id.is_empty() => self.account_id = text,
            "purpose" if self.purpose == 0 => {
                let purpose = pb::FilePurpose::from_str_name(&text);
                self.purpose = purpose.ok_or_else(|| Error::field("purpose", "is not a purpose"))?.into();
            }
            "name" | "accountId" | "account_id" | "purpose" => return Err(Error::field(name, "is given twice")),
            _ => return Err(Error::field(name, "is not a field of the request")),
        }
        Ok(())
    }
}

fn fingerprint(fields: &Fields, upload: &Upload) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in [&fields.name, &fields.content_type, &fields.account_id] {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.update(fields.purpose.to_be_bytes());
    hash.update(upload.hash());
    hash.finalize().into()
}

fn draft(fields: Fields, upload: &Upload) -> Result<Draft> {
    if upload.bytes() == 0 {
        return Err(Error::field("file", "is empty"));
    }
    let account = Some(fields.account_id).filter(|id| !id.is_empty());
    let account = account.map(|id| id.parse().map_err(|_| Error::field("accountId", "must be a UUID"))).transpose()?;
    let content_type = match fields.content_type.as_str() {
        "" => media::UNKNOWN.to_owned(),
        text => convert::content_type(text)?,
    };
    Ok(Draft {
        account: account.map(AccountId),
        name: convert::name(fields.name, "name")?,
        content_type,
        size_bytes: i64::try_from(upload.bytes()).map_err(Error::internal)?,
        sha256: None,
        purpose: if fields.purpose == 0 { Purpose::Attachment } else { convert::purpose(fields.purpose)? },
    })
}
