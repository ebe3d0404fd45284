//! `UploadFile`: spools the content as it comes, and stores it once it is complete. No transaction waits for the caller.

use mainstay_kernel::{
    app::App,
    caller::Permit,
    contract::Validate as _,
    error::{Error, Result},
    grpc::{Call, Reply, unreadable},
    id::AccountId,
    unit_of_work::Answer,
    upload::{Spool, Upload},
};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, Streaming};

use crate::{
    files::{
        file::{
            model::{Draft, Purpose},
            ops::{self, Limits},
            render,
            service::form::{self, Fields},
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
    let principal = extensions.get::<Permit>().map(|permit| permit.caller().principal()).unwrap_or_default();
    let method = extensions.get::<&'static mainstay_kernel::contract::Method>();
    let max_bytes = method.and_then(|method| method.max_request_bytes).unwrap_or_default();
    let mut upload = Upload::begin(app.part::<Spool>(), principal, max_bytes).await?;
    let fields = receive(&mut upload, stream).await?;
    let fingerprint = fingerprint(&fields, &upload);
    let mut call = Call::admit_stream(&metadata, &extensions, fingerprint)?;
    let (permit, now) = (call.permit()?, app.clock.now());
    let draft = draft(fields, &upload)?;
    let id = FileId::generate(now);
    let content = ops::store_upload(app, id, &mut upload, &draft.content_type, draft.purpose).await?;
    let (key, limits) = (content.key.clone(), Limits::new(app));
    let created = call
        .run_or_recall(
            app,
            async move |connection| ops::create(connection, permit, id, draft, content, limits, now).await,
            |file| (pb::UploadFileResponse { data: Some(render::file(file)) }, ()),
        )
        .await;
    if !matches!(created, Ok(Answer::Fresh(..))) {
        ops::abandon(app, key).await;
    }
    call.respond(created?)
}

async fn receive(upload: &mut Upload, mut stream: Streaming<pb::UploadFileRequest>) -> Result<Fields, Status> {
    let first = upload.wait(stream.message()).await.map_err(unreadable)?.unwrap_or_default();
    first.check().map_err(|violations| Error::validation(violations.into_inner()))?;
    let pb::UploadFileRequest { name, purpose, account_id, file } = first;
    let file = file.unwrap_or_default();
    let fields = Fields { name, purpose, account_id, content_type: file.content_type };
    if let Some(boundary) = form::boundary(&fields.content_type)? {
        return Ok(form::receive(upload, boundary, fields, file.data, stream).await?);
    }
    let mut data = file.data;
    loop {
        upload.push(&data).await?;
        match upload.wait(stream.message()).await.map_err(unreadable)? {
            Some(piece) => data = piece.file.unwrap_or_default().data,
            None => return Ok(fields),
        }
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
        text => render::content_type(text)?,
    };
    Ok(Draft {
        account: account.map(AccountId),
        name: render::name(fields.name, "name")?,
        content_type,
        size_bytes: i64::try_from(upload.bytes()).map_err(Error::internal)?,
        sha256: None,
        purpose: if fields.purpose == 0 { Purpose::Attachment } else { render::purpose(fields.purpose)? },
    })
}
