//! `SetUserAvatar`: spools the picture as it arrives, so that no transaction waits for the upload.

use futures_util::{Stream, stream};
use mainstay_kernel::{
    app::App,
    audit::Audited as _,
    caller::Permit,
    contract::Validate as _,
    error::Error,
    grpc::{Call, Reply, unreadable},
    id::UserId,
    unit_of_work::{Committed, Work},
    upload::{Spool, Upload, form},
};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status, Streaming};

use crate::{files::avatar::ops as avatar, identity::user::ops, proto::identity::v1 as pb};

pub(super) async fn set(
    app: &App,
    request: Request<Streaming<pb::SetUserAvatarRequest>>,
) -> Reply<pb::SetUserAvatarResponse> {
    let (metadata, extensions, mut stream) = request.into_parts();
    let principal = extensions.get::<Permit>().map(|permit| permit.caller().principal()).unwrap_or_default();
    let mut upload = Upload::begin(app.part::<Spool>(), principal, avatar::MAX_BYTES).await?;
    let mut first = upload.wait(stream.message()).await.map_err(unreadable)?.unwrap_or_default();
    first.admit().map_err(Error::from)?;
    let (id, image) = (UserId::parse(&first.user_id)?, first.image.unwrap_or_default());
    let form = form::receive(&mut upload, &image.content_type, pieces(image.data, stream)).await?;
    if !form.fields.is_empty() {
        return Err(Error::field("image", "must be the only part of the form").into());
    }
    let fingerprint = Sha256::new().chain_update(id.0.as_bytes()).chain_update(upload.hash());
    let call = Call::admit_stream(&metadata, &extensions, fingerprint.finalize().into())?;
    let (permit, expected) = (call.permit()?, call.if_match.clone());
    // Permission is checked first, so that a caller without it causes no image processing.
    app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
    let new = avatar::store(app, &mut upload).await?;
    let policies = &app.contract.policies;
    let committed = call.commit(app, async move |work: &mut Work| {
        let user = ops::set_avatar(work, policies, id, expected, Some(new)).await?;
        Ok(pb::SetUserAvatarResponse { data: Some(user.message()) })
    });
    let committed = committed.await;
    if !matches!(committed, Ok(Committed::Fresh(_))) {
        avatar::abandon(app, new).await;
    }
    call.respond(committed?)
}

fn pieces(
    first: bytes::Bytes,
    messages: Streaming<pb::SetUserAvatarRequest>,
) -> impl Stream<Item = Result<bytes::Bytes, Status>> + Send {
    stream::try_unfold((Some(first), messages), |(first, mut messages)| async move {
        if let Some(first) = first {
            return Ok(Some((first, (None, messages))));
        }
        let next = messages.message().await?;
        Ok(next.map(|message| (message.image.unwrap_or_default().data, (None, messages))))
    })
}
